//! The files of the project, and what may stand at its top.

use std::fs;
use std::path::{Path, PathBuf};

use crate::assert_tidy;

/// One text file of the project.
pub(crate) struct File {
    /// The path from the top of the project, with forward slashes.
    pub(crate) path: String,
    /// What stands in it.
    pub(crate) text: String,
}

/// The directory that holds the workspace's `Cargo.toml`.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies below the top").to_owned()
}

/// Every text file of the project, sorted by path; build products, data and other programs' folders are left out.
pub(crate) fn files() -> Vec<File> {
    let top = top();
    let mut files = Vec::new();
    collect(&top, &top, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The project's Rust files below a `src` folder, those of the package of tests left out; `source::product_code` drops what
/// is test in them.
pub(crate) fn product_files() -> Vec<File> {
    files().into_iter().filter(|file| is_product(&file.path)).collect()
}

fn is_product(path: &str) -> bool {
    path.ends_with(".rs") && !path.starts_with("tests/") && path.contains("/src/")
}

fn collect(top: &Path, folder: &Path, files: &mut Vec<File>) {
    let entries = fs::read_dir(folder).expect("a folder of the project is readable");
    for entry in entries.map(|entry| entry.expect("an entry of a folder is readable")) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        let kind = entry.file_type().expect("an entry has a type");
        if kind.is_dir() {
            collect(top, &path, files);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path.strip_prefix(top).expect("walked from the top").to_string_lossy().replace('\\', "/");
            files.push(File { path, text });
        }
    }
}

/// Complains about entries at the top that the layout does not know.
fn foreign_entries(names: &[String]) -> Vec<String> {
    let known = |name: &str| name.starts_with('.') || TOP.contains(&name) || NOT_OURS.contains(&name);
    names.iter().filter(|name| !known(name)).map(|name| format!("{name}: no such entry belongs at the top")).collect()
}

#[test]
fn the_top_level_holds_only_the_layout() {
    let entries = fs::read_dir(top()).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_tidy(&foreign_entries(&names));
    assert_eq!(
        foreign_entries(&["scripts".into(), "docs".into(), ".ci".into()]).len(),
        1,
        "a foreign entry is noticed"
    );
}

#[test]
fn the_walk_finds_product_and_test_files() {
    let paths: Vec<_> = files().into_iter().map(|file| file.path).collect();
    for path in ["Cargo.toml", "identity/src/lib.rs", "tests/tests/tidy/main.rs", ".ci/run"] {
        assert!(paths.iter().any(|found| found == path), "{path} was not found");
    }
    assert!(is_product("dgns/client/src/main.rs") && !is_product("tests/src/lib.rs") && !is_product("docs/STYLE.md"));
}

/// The entries at the top besides dotfiles.
const TOP: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "dgns",
    "identity",
    "translog",
    "lobby",
    "storage",
    "tests",
    "docs",
];

/// Folders that programs make: never part of the project.
const NOT_OURS: [&str; 6] = [".git", "target", "dgns-data", "node_modules", "corpus", "artifacts"];
