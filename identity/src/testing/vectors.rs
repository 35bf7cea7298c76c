//! Writes and holds the files of `tests/vectors`: what another implementation is measured by.
//!
//! A test builds the cases from fixed seeds and calls [`hold`]. With `UPDATE_VECTORS=1` the file is written instead; a file that
//! changes is a change of the protocol.

use serde_json::{Value, json};

/// Compares the cases with those of `tests/vectors/<area>.json`, or writes them.
pub(crate) fn hold(area: &str, about: &[&str], cases: &[Value]) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors");
    let path = format!("{folder}/{area}.json");
    let mut text = format!("{{\n\"about\": {},\n\"cases\": [\n", json!(about.join(" ")));
    text.push_str(&cases.iter().map(Value::to_string).collect::<Vec<_>>().join(",\n"));
    text.push_str("\n]}\n");
    if std::env::var_os("UPDATE_VECTORS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(folder).expect("the folder of the vectors");
        std::fs::write(&path, &text).expect("the file of the vectors");
    }
    // Not letter by letter: in which order serde_json writes the keys of an object is up to the features of a build.
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        value(&held) == value(&text),
        "tests/vectors/{area}.json differs from what this code makes; UPDATE_VECTORS=1 writes it"
    );
}

/// Returns bytes as a JSON string of lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> Value {
    Value::String(data_encoding::HEXLOWER.encode(bytes))
}
