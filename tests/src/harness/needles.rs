//! What must stand nowhere, in every spelling that somebody might find it by: as it is, in any case, in hexadecimal digits, in
//! Base64 of both alphabets at each of its three alignments, and escaped as in URLs.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};

use super::site::Site;

/// The least bytes of a spelling that are looked for: shorter ones stand anywhere.
const BYTES_MIN: usize = 6;

/// Everything that is looked for.
#[derive(Debug, Default)]
pub struct Needles {
    /// Spellings whose case counts, with what each says.
    exact: Table,
    /// Spellings in lower case, for texts in lower case.
    folded: Table,
}

/// Spellings by their first bytes.
#[derive(Debug, Default)]
struct Table(HashMap<[u8; 4], Vec<(Vec<u8>, String)>>);

impl Needles {
    /// Adds what is called `name` in all its spellings.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        for (how, spelling) in folded(secret) {
            self.folded.add(spelling, format!("{name}, {how}"));
        }
        for (how, spelling) in exact(secret) {
            self.exact.add(spelling, format!("{name}, {how}"));
        }
    }

    /// Returns what stands where, in all files of a server and in what it wrote to standard error.
    pub fn found_at(&self, site: &Site) -> Vec<(PathBuf, Vec<&str>)> {
        let mut files = files_below(site.data());
        files.push(site.log());
        for kept in ["names.db", "people.db"] {
            assert!(files.iter().any(|file| file.ends_with(kept)), "{kept} is searched");
        }
        let searched = files.into_iter().map(|file| {
            let found = self.found_in(&fs::read(&file).expect("the files of a test can be read"));
            (file, found)
        });
        searched.filter(|(_, found)| !found.is_empty()).collect()
    }

    /// Returns what stands in `text`, each once.
    pub fn found_in(&self, text: &[u8]) -> Vec<&str> {
        let mut found = self.exact.found_in(text);
        found.extend(self.folded.found_in(&text.to_ascii_lowercase()));
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Table {
    fn add(&mut self, spelling: Vec<u8>, name: String) {
        if spelling.len() >= BYTES_MIN {
            let first = spelling[..4].try_into().expect("four bytes");
            self.0.entry(first).or_default().push((spelling, name));
        }
    }

    fn found_in(&self, text: &[u8]) -> Vec<&str> {
        // Two bytes decide most places without a look into the table.
        let mut begins = vec![false; 1 << 16];
        let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
        self.0.keys().for_each(|first| begins[pair(first)] = true);
        let mut found = Vec::new();
        for (place, window) in text.windows(4).enumerate() {
            if !begins[pair(window)] {
                continue;
            }
            let here = self.0.get(window).into_iter().flatten();
            found.extend(
                here.filter(|(spelling, _)| text[place..].starts_with(spelling)).map(|(_, name)| name.as_str()),
            );
        }
        found
    }
}

/// Returns all files below a directory.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory can be read").map(|entry| entry.expect("read").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The spellings that are looked for whatever their case.
fn folded(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let lower = secret.to_ascii_lowercase();
    let escape = |byte: &u8| format!("%{byte:02x}").into_bytes();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().flat_map(|byte| if plain(*byte) { vec![*byte] } else { escape(byte) }).collect()
    };
    let form = |bytes: &[u8]| String::from_utf8_lossy(&escaped(bytes)).replace("%20", "+").into_bytes();
    vec![
        ("hexadecimal of it", HEXLOWER.encode(secret).into_bytes()),
        ("hexadecimal of it in lower case", HEXLOWER.encode(&lower).into_bytes()),
        ("every byte escaped", secret.iter().flat_map(escape).collect()),
        ("every byte of it in lower case escaped", lower.iter().flat_map(escape).collect()),
        ("escaped as in a URL", escaped(&lower)),
        ("escaped as in a form", form(&lower)),
        ("quoted as in JSON", serde_json::to_string(&String::from_utf8_lossy(&lower)).map_or(Vec::new(), inner)),
        ("in clear", lower),
    ]
}

fn inner(quoted: String) -> Vec<u8> {
    quoted.trim_matches('"').as_bytes().to_vec()
}

/// The spellings whose case counts.
fn exact(secret: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut spellings = Vec::new();
    for (what, secret) in [("it", secret.to_vec()), ("it in lower case", secret.to_ascii_lowercase())] {
        for before in 0..3 {
            for (how, encoding) in [("Base64", BASE64_NOPAD), ("Base64 for URLs", BASE64URL_NOPAD)] {
                let shifted = [vec![0; before], secret.clone()].concat();
                // The characters that depend on nothing but the secret.
                let (from, to) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
                let text = encoding.encode(&shifted).into_bytes();
                spellings.push((format!("{how} of {what}, {before} bytes behind a group"), text[from..to].to_vec()));
            }
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_is_found_wherever_it_stands_and_nothing_else_is() {
        let secret = b"Ada Lovelace+x@Privacy.test";
        let mut needles = Needles::default();
        needles.add("address", secret);
        let lower = secret.to_ascii_lowercase();
        let upper = secret.to_ascii_uppercase();
        let url =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(' ', "%20").replace('+', "%2B").replace('@', "%40");
        let mut spelled: Vec<Vec<u8>> = vec![secret.to_vec(), lower.clone(), upper.clone()];
        for bytes in [secret.as_slice(), &lower] {
            spelled.push(HEXLOWER.encode(bytes).into_bytes());
            spelled.push(HEXLOWER.encode(bytes).to_uppercase().into_bytes());
            spelled.push(url(bytes).into_bytes());
            spelled.push(bytes.iter().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect());
            for before in ["", "a", "ab", "abc"] {
                for behind in ["", "x", "xy"] {
                    let whole = [before.as_bytes(), bytes, behind.as_bytes()].concat();
                    spelled.push(BASE64_NOPAD.encode(&whole).into_bytes());
                    spelled.push(BASE64URL_NOPAD.encode(&whole).into_bytes());
                }
            }
        }
        for spelling in &spelled {
            for before in [0, 1, 4_095] {
                let text = [vec![0xff; before], spelling.clone(), vec![b'z'; 9]].concat();
                assert!(!needles.found_in(&text).is_empty(), "{}", String::from_utf8_lossy(spelling));
                let cut = [&text[..before], &spelling[..spelling.len() / 2], &text[before + spelling.len()..]].concat();
                assert_eq!(needles.found_in(&cut), Vec::<&str>::new(), "half of it is not it");
            }
        }
        let mut dotted = Needles::default();
        dotted.add("three alignments", &[0xfb, 0xff, 0xfe, 0x3e, 0x3f, 0xfb, 0xff, 0xbf, 0x7e, 0xf8]);
        let plus = BASE64_NOPAD.encode(&[0xfb, 0xff, 0xfe, 0x3e, 0x3f, 0xfb, 0xff, 0xbf, 0x7e, 0xf8]);
        assert!(plus.contains(['+', '/']) && !dotted.found_in(plus.as_bytes()).is_empty(), "{plus}");
        let dash = plus.replace('+', "-").replace('/', "_");
        assert!(!dotted.found_in(dash.as_bytes()).is_empty(), "{dash}");
    }
}
