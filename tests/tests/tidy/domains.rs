//! Domain strings: each stands in one place of the product code, and PROTOCOL 1.1 lists it.

use std::collections::BTreeMap;

use crate::assert_tidy;
use crate::source::{Kind, product_code};
use crate::tree::{self, File};

/// Complains about domain strings that stand in several places, or that `protocol` does not list.
fn strays(files: &[File], protocol: &str) -> Vec<String> {
    let mut places = BTreeMap::<String, Vec<String>>::new();
    for (path, tokens) in product_code(files) {
        for token in tokens.iter().filter(|token| token.kind == Kind::Text && is_domain(token.text)) {
            places.entry(token.text.to_owned()).or_default().push(format!("{path}:{}", token.line));
        }
    }
    let mut complaints = Vec::new();
    for (domain, places) in places {
        if places.len() > 1 {
            complaints.push(format!("{domain} stands in {} places: {}", places.len(), places.join(", ")));
        }
        if !protocol.contains(&format!("| `{domain}` |")) {
            complaints.push(format!("{domain}: PROTOCOL 1.1 does not list it"));
        }
    }
    complaints
}

fn is_domain(text: &str) -> bool {
    let middle = text.strip_prefix("dgns/").and_then(|rest| rest.strip_suffix("/v1"));
    middle.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
}

#[test]
fn each_domain_string_has_one_place() {
    let protocol = std::fs::read_to_string(tree::top().join("docs/PROTOCOL.md")).unwrap();
    assert_tidy(&strays(&tree::product_files(), &protocol));
}

#[test]
fn a_second_place_and_an_unlisted_string_are_noticed() {
    let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
    let files = [
        file(
            "a.rs",
            "fn a() { h(\"dgns/pow/v1\") } // \"dgns/pow/v1\"\n#[cfg(test)] mod tests { const D: &str = \"dgns/pow/v1\"; }",
        ),
        file("b.rs", "fn b() { h(b\"dgns/new/v1\") }"),
    ];
    assert_eq!(strays(&files, "| `dgns/pow/v1` | x |"), ["dgns/new/v1: PROTOCOL 1.1 does not list it"]);
    let twice = [file("a.rs", "fn a() { h(\"dgns/pow/v1\") }"), file("b.rs", "fn b() { h(\"dgns/pow/v1\") }")];
    assert_eq!(strays(&twice, "| `dgns/pow/v1` | x |").len(), 1);
}
