//! Holds the tree to what the documents say about it: who imports whom, which module may name which package, what pure code
//! must not touch, where each domain string stands, and that the documents name what exists.
//!
//! Every check is a function over text that returns complaints, so each is also shown bad input and must complain.

mod docs;
mod domains;
mod graph;
mod purity;
mod rooms;
mod source;
mod text;
mod tree;

/// Fails with every complaint at once, so that one run shows the whole list.
fn assert_tidy(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
