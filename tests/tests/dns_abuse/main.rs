//! What is sent to a name server to do harm, or to learn what it is: floods that it is to answer less of, updates that it is not to make, questions about itself. Whoever asks honestly beside that notices
//! nothing.

mod names;
mod rates;
mod updates;
mod wire;

use dgns_tests::harness::Server;

/// Returns a counter of a server; 0 if it never counted that.
fn counter(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics").text();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}
