//! Who imports whom, from `cargo metadata`, and what the pure packages and the lock file may hold.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::{assert_tidy, tree};

/// Each package of the workspace with those it may name; imports run downward only, and server and client never meet.
const MAY_IMPORT: [(&str, &[&str]); 9] = [
    ("identity", &[]),
    ("translog", &["identity"]),
    ("lobby", &["identity"]),
    ("peer", &["identity", "lobby"]),
    ("dgns-api", &["identity", "translog"]),
    ("storage", &["identity", "translog", "dgns-api"]),
    ("dgns", &["identity", "translog", "lobby", "dgns-api", "storage"]),
    ("dgns-client", &["identity", "translog", "lobby", "peer", "dgns-api"]),
    ("dgns-tests", &["identity", "translog", "lobby", "dgns-api", "storage", "dgns", "dgns-client"]),
];

/// The packages without clock, network, file, async or ambient randomness.
pub(crate) const PURE: [&str; 4] = ["identity", "translog", "lobby", "dgns-api"];

/// What a pure package must not even bring along.
const NOT_IN_PURE: [&str; 9] =
    ["tokio", "mio", "async-std", "getrandom", "rand", "rand_chacha", "reqwest", "sqlx", "rustix"];

/// A second cryptography provider beside `ring` makes rustls panic; OpenSSL needs a native library.
const NOT_IN_LOCK: [&str; 7] =
    ["aws-lc-rs", "aws-lc-sys", "aws-lc-fips-sys", "openssl", "openssl-sys", "native-tls", "boring-sys"];

/// A package of the workspace and the names of its dependencies, those of tests and builds included.
type Imports = BTreeMap<String, Vec<String>>;

/// Complains about every dependency between packages of the workspace that the table above does not have. A package may name
/// itself: so its tests turn on its features.
fn upward_imports(imports: &Imports) -> Vec<String> {
    let mut complaints = Vec::new();
    for (package, dependencies) in imports {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| name == package) else {
            complaints.push(format!("{package}: a package that the table of imports does not know"));
            continue;
        };
        let ours = dependencies.iter().filter(|name| imports.contains_key(*name));
        let upward = ours.filter(|name| !allowed.contains(&name.as_str()) && *name != package);
        complaints.extend(upward.map(|name| format!("{package} must not import {name}")));
    }
    complaints
}

/// Complains about every line of `cargo tree` that begins with a banned package.
fn impure_dependencies(package: &str, tree: &str) -> Vec<String> {
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let banned = names.filter(|name| NOT_IN_PURE.contains(name));
    banned.map(|name| format!("{package} is pure and must not bring {name}")).collect()
}

/// Complains about every banned package of a lock file.
fn banned_in_lock(lock: &str) -> Vec<String> {
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    names
        .filter(|name| NOT_IN_LOCK.contains(name))
        .map(|name| format!("Cargo.lock: {name} must not be there"))
        .collect()
}

/// Each dependency of product code: the package that has it, and its name. Those of tests and builds are left out.
pub(crate) fn product_dependencies() -> Vec<(String, String)> {
    let metadata = metadata();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter().filter(|package| package["name"] != "dgns-tests");
    let dependencies = packages.flat_map(|package| {
        let rows = package["dependencies"].as_array().unwrap().iter().filter(|row| row["kind"].is_null());
        rows.map(move |row| (text(&package["name"]), text(&row["name"]))).collect::<Vec<_>>()
    });
    dependencies.collect()
}

fn metadata() -> Value {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    serde_json::from_str(&text).unwrap()
}

fn imports(metadata: &Value) -> Imports {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            (text(&package["name"]), dependencies.iter().map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).current_dir(tree::top()).args(arguments).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn imports_run_downward() {
    let imports = imports(&metadata());
    assert!(imports.len() >= MAY_IMPORT.len(), "cargo metadata names the packages: {imports:?}");
    assert_tidy(&upward_imports(&imports));
}

#[test]
fn an_upward_import_is_noticed() {
    let imports = |package: &str, dependency: &str| {
        Imports::from([(package.to_owned(), vec![dependency.to_owned()]), (dependency.to_owned(), vec![])])
    };
    assert_eq!(upward_imports(&imports("dgns-client", "dgns")), ["dgns-client must not import dgns"]);
    assert_eq!(upward_imports(&imports("identity", "translog")), ["identity must not import translog"]);
    assert_eq!(upward_imports(&imports("helpers", "identity")).len(), 1);
    assert!(upward_imports(&imports("translog", "identity")).is_empty());
}

#[test]
fn pure_packages_bring_no_runtime_and_no_randomness() {
    let complaints = PURE.iter().flat_map(|package| {
        let tree = cargo(&["tree", "--offline", "-p", package, "-e", "normal", "--prefix", "none"]);
        assert!(tree.starts_with(package), "cargo tree begins with the package");
        impure_dependencies(package, &tree)
    });
    assert_tidy(&complaints.collect::<Vec<_>>());
    assert_eq!(impure_dependencies("identity", "identity v0.1.0\ngetrandom v0.4.1\nrand_core v0.10.0").len(), 1);
}

#[test]
fn the_lock_file_has_one_provider_and_no_openssl() {
    assert_tidy(&banned_in_lock(&std::fs::read_to_string(tree::top().join("Cargo.lock")).unwrap()));
    assert_eq!(banned_in_lock("name = \"aws-lc-rs\"\nname = \"openssl-probe\"\n").len(), 1);
}
