//! What no file of the project may say: where somebody's machine keeps it, or which host served its packages.

use crate::{assert_tidy, tree};

/// Beginnings of absolute paths on a developer's machine, and hosts of package registries; written in halves so that this file
/// passes its own check.
const UNSAID: [(&str, &str); 13] = [
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("/Us", "ers/"),
    ("/wo", "rk/"),
    ("C:\\", "Users"),
    ("crates", ".io"),
    ("registry.npm", "js.org"),
    ("py", "pi.org"),
    ("deb.de", "bian.org"),
    ("proxy.go", "lang.org"),
    ("/tmp", "/w/"),
    ("/usr/local", "/cargo"),
    ("/.car", "go/registry"),
];

/// The line that cargo writes above every package of its lock file.
const LOCK_SOURCE: (&str, &str) = ("source = \"registry+https://github.com/rust-lang/crates", ".io-index\"");

/// Complains about every line of `text` that names a machine's path or a registry.
fn unsaid(path: &str, text: &str) -> Vec<String> {
    let lock_source = format!("{}{}", LOCK_SOURCE.0, LOCK_SOURCE.1);
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| path != "Cargo.lock" && !path.ends_with("/Cargo.lock") || *line != lock_source);
    let found = lines.flat_map(|(at, line)| {
        let words = UNSAID.iter().map(|(a, b)| format!("{a}{b}")).filter(|word| line.contains(word.as_str()));
        words.map(move |word| format!("{path}:{}: {word}", at + 1))
    });
    found.collect()
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    assert_tidy(&tree::files().iter().flat_map(|file| unsaid(&file.path, &file.text)).collect::<Vec<_>>());
}

#[test]
fn a_machine_path_and_a_registry_are_noticed() {
    assert_eq!(unsaid("README.md", concat!("see /ho", "me/ada/dgns\nand /var/lib/dgns")).len(), 1);
    assert_eq!(unsaid("docs/X.md", concat!("https://static.crates", ".io/x")).len(), 1);
    let lock = format!("{}{}", LOCK_SOURCE.0, LOCK_SOURCE.1);
    assert_eq!(unsaid("Cargo.lock", &lock).len(), 0);
    assert_eq!(unsaid("Cargo.toml", &lock).len(), 1);
}
