//! Writes and holds the files of this folder: what another implementation is measured by. Each package that makes some has this
//! file as a module of its tests.
//!
//! A test builds the cases from fixed seeds and calls [`hold`]. With `UPDATE_VECTORS=1` the file is written instead; a file that
//! changes is a change of the protocol.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Compares the cases with those of `tests/vectors/<area>.json`, letter by letter, or writes them.
pub(crate) fn hold(area: &str, about: &[&str], cases: &[Value]) {
    let above = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("tests/vectors"));
    let folder =
        above.skip(1).find(|folder| folder.is_dir()).expect("every package lies below the folder of the tests");
    let path = folder.join(format!("{area}.json"));
    let mut text = format!("{{\n\"about\": {},\n\"cases\": [\n", json!(about.join(" ")));
    text.push_str(&cases.iter().map(|case| ordered(case).to_string()).collect::<Vec<_>>().join(",\n"));
    text.push_str("\n]}\n");
    if std::env::var_os("UPDATE_VECTORS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).expect("the file of the vectors");
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(held == text, "tests/vectors/{area}.json differs from what this code makes; UPDATE_VECTORS=1 writes it");
}

/// Orders the names of objects; otherwise their order is up to the features that a build happens to give serde_json.
pub(crate) fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name.clone(), ordered(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(ordered).collect(),
        plain => plain.clone(),
    }
}

/// Returns bytes as a JSON string of lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> Value {
    Value::String(data_encoding::HEXLOWER.encode(bytes))
}
