//! The documents name what exists: files of the code map, closed lists of codes, links between pages.

use std::collections::BTreeSet;

use crate::source::{Kind, Token, product_code, tokens};
use crate::{assert_tidy, tree};

/// Complains about every path in backticks that begins with a folder of the project and does not exist.
fn missing_paths(page: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let spans = text.split('`').skip(1).step_by(2);
    let paths = spans.filter(|span| FOLDERS.iter().any(|folder| span.starts_with(folder)) && is_plain(span));
    let missing: BTreeSet<_> = paths.filter(|path| !exists(path.trim_end_matches('/'))).collect();
    missing.into_iter().map(|path| format!("{page}: {path} does not exist")).collect()
}

fn is_plain(path: &str) -> bool {
    let is_domain_string = path.ends_with("/v1");
    !is_domain_string && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
}

/// Complains about the code map of `text`: a table below a heading such as "### `identity/src`: ..." lists what stands in that
/// folder, all of it and nothing else. `listing` gives a folder's entries, none if there is no such folder.
fn wrong_map(text: &str, listing: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for section in text.split("\n### `").skip(1) {
        let folder = section.split('`').next().unwrap_or("").trim_end_matches('/');
        let table = section.lines().skip(1).take_while(|line| !line.starts_with('#'));
        let rows = table.filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let listed: BTreeSet<_> = rows.map(str::to_owned).collect();
        let present: BTreeSet<_> = listing(folder).into_iter().collect();
        complaints.extend(listed.difference(&present).map(|name| format!("{MAP}: {folder}/{name} does not exist")));
        complaints
            .extend(present.difference(&listed).map(|name| format!("{MAP}: {folder}/{name} is not in the code map")));
    }
    complaints
}

/// The entries of a folder that the code map names: a folder beside a file of the same name belongs to that file.
fn entries(folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(tree::top().join(folder)) else { return Vec::new() };
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    let belongs = |name: &str| names.contains(&format!("{name}.rs"));
    let not_mapped = ["Cargo.toml", "Cargo.lock", "lib.rs", "target"];
    let kept = names.iter().filter(|name| !belongs(name) && !not_mapped.contains(&name.as_str()));
    kept.cloned().collect()
}

/// Complains about every relative link that leads nowhere.
fn dead_links(page: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let relative = targets.filter(|target| !target.starts_with("http") && !target.starts_with('#'));
    let dead = relative.filter(|target| !exists(&resolve(folder, target.split('#').next().unwrap_or(""))));
    dead.map(|target| format!("{page}: the link {target} leads nowhere")).collect()
}

fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The codes that functions named `code` return: the closed lists as the code has them.
fn codes(tokens: &[Token<'_>]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for at in 0..tokens.len().saturating_sub(1) {
        if tokens[at].text == "fn" && tokens[at + 1].text == "code" {
            let (mut depth, mut entered) = (0_usize, false);
            for token in &tokens[at..] {
                match (token.kind, token.text) {
                    (Kind::Mark, "{") => (depth, entered) = (depth + 1, true),
                    (Kind::Mark, "}") => depth -= 1,
                    (Kind::Text, text) if entered => drop(found.insert(text.to_owned())),
                    _ => {}
                }
                if entered && depth == 0 {
                    break;
                }
            }
        }
    }
    found.retain(|code| {
        !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    });
    found
}

fn undocumented(path: &str, codes: &BTreeSet<String>, protocol: &str) -> Vec<String> {
    let missing = codes.iter().filter(|code| !protocol.contains(&format!("`{code}`")));
    missing.map(|code| format!("{path}: the code {code} is not in docs/PROTOCOL.md")).collect()
}

#[test]
fn documents_name_files_that_exist() {
    let pages = tree::files().into_iter().filter(|file| file.path.ends_with(".md"));
    let exists = |path: &str| tree::top().join(path).exists();
    let complaints = pages.flat_map(|page| {
        let mut complaints = dead_links(&page.path, &page.text, exists);
        if page.path == MAP || page.path == THREATS {
            complaints.extend(missing_paths(&page.path, &page.text, exists));
        }
        complaints
    });
    assert_tidy(&complaints.collect::<Vec<_>>());
}

#[test]
fn the_code_map_lists_what_is_there() {
    let text = std::fs::read_to_string(tree::top().join(MAP)).unwrap();
    assert!(text.matches("\n### `").count() >= 7, "the code map has a table per package");
    assert_tidy(&wrong_map(&text, entries));
}

#[test]
fn every_code_is_in_the_protocol() {
    let protocol = std::fs::read_to_string(tree::top().join("docs/PROTOCOL.md")).unwrap();
    let files = tree::product_files();
    let code = product_code(&files);
    let pure = code.iter().filter(|(path, _)| PURE_FOLDERS.iter().any(|folder| path.starts_with(folder)));
    assert_tidy(&pure.flat_map(|(path, tokens)| undocumented(path, &codes(tokens), &protocol)).collect::<Vec<_>>());
}

/// Complains about every test that `text` names and that no file of tests has. A test's name is at least three words.
fn missing_tests(page: &str, text: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let spans = text.split('`').skip(1).step_by(2);
    let is_name = |span: &&str| span.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let named = spans.filter(is_name).filter(|span| span.matches('_').count() >= 2);
    let missing = named.filter(|name| !tests.contains(*name));
    missing.map(|name| format!("{page}: there is no test {name}")).collect()
}

/// The names of all functions that `#[test]` or a runtime's attribute of that name marks, or that run on both engines.
fn test_names(tokens: &[Token<'_>]) -> Vec<String> {
    let marked =
        (1..tokens.len()).filter(|at| tokens[*at].text == "test" && matches!(tokens[*at - 1].text, "[" | "::"));
    let names = marked.filter_map(|at| {
        let rest = &tokens[at..tokens.len().min(at + 40)];
        rest.windows(2).find(|pair| pair[0].text == "fn").map(|pair| pair[1].text.to_owned())
    });
    let listed =
        tokens.windows(3).position(|three| three.iter().map(|token| token.text).eq(["on_both_engines", "!", "{"]));
    let listed = listed.map_or(&[][..], |at| &tokens[at + 3..]).iter().map(|token| token.text);
    names.chain(listed.take_while(|text| *text != "}").map(str::to_owned)).collect()
}

/// A page without what the adversary suite writes: its words in backticks are codes.
fn by_hand(text: &str) -> String {
    let (before, rest) = text.split_once("<!-- the adversary suite writes from here -->").unwrap_or((text, ""));
    let after = rest.split_once("<!-- to here -->").map_or("", |(_, after)| after);
    format!("{before}{after}")
}

#[test]
fn every_test_that_the_threats_name_exists() {
    let rust = tree::files().into_iter().filter(|file| file.path.ends_with(".rs"));
    let tests: BTreeSet<_> = rust.flat_map(|file| test_names(&tokens(&file.text))).collect();
    assert!(tests.contains("every_test_that_the_threats_name_exists"), "tests are found");
    let text = std::fs::read_to_string(tree::top().join(THREATS)).unwrap();
    assert_tidy(&missing_tests(THREATS, &by_hand(&text), &tests));
    assert_eq!(
        missing_tests("P", "`no_such_test` `every_test_that_the_threats_name_exists` `bad_name`", &tests).len(),
        1
    );
    assert_eq!(
        test_names(&super::source::tokens("#[tokio::test] async fn a_b() {} #[test] fn c() {} fn d() {}")),
        ["a_b", "c"]
    );
    assert_eq!(test_names(&super::source::tokens("on_both_engines! { a_b c } fn d() {}")), ["a_b", "c"]);
}

/// The keys of a TOML text, in order: those of a table and the tables themselves.
fn toml_keys(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let keys = lines.filter_map(|line| match line.strip_prefix('[') {
        Some(table) => Some(format!("[{}]", table.split(']').next()?)),
        None => Some(line.split_once('=')?.0.trim().to_owned()),
    });
    keys.collect()
}

/// The names of metrics in product code: words that begin as all of them do.
fn metrics(tokens: &[Token<'_>]) -> BTreeSet<String> {
    let texts = tokens.iter().filter(|token| token.kind == Kind::Text).map(|token| token.text);
    let words = texts.flat_map(|text| text.split(|c: char| !c.is_ascii_lowercase() && c != '_'));
    let named = words.filter(|word| word.starts_with("dgns_") || word.starts_with("dns_"));
    named.map(str::to_owned).collect()
}

/// Complains about every word that `page` does not have in backticks.
fn unexplained(page: &str, text: &str, words: impl IntoIterator<Item = String>) -> Vec<String> {
    let missing = words.into_iter().filter(|word| !text.contains(&format!("`{word}`")));
    missing.map(|word| format!("{page}: {word} is not explained")).collect()
}

#[test]
fn the_operators_page_explains_every_key_and_metric() {
    let page = "docs/OPERATING.md";
    let text = std::fs::read_to_string(tree::top().join(page)).unwrap();
    let files = tree::product_files();
    let code = product_code(&files);
    let named = code.iter().filter(|(path, _)| path.ends_with("/metrics.rs")).flat_map(|(_, tokens)| metrics(tokens));
    let named: BTreeSet<_> = named.collect();
    assert!(named.len() >= 4, "metrics are named in files called metrics.rs: {named:?}");
    let defaults = std::fs::read_to_string(tree::top().join("dgns/src/config/defaults.toml"));
    let keys = defaults.map(|text| toml_keys(&text)).unwrap_or_default();
    assert_tidy(&unexplained(page, &text, named.into_iter().chain(keys)));
}

#[test]
fn missing_keys_and_metrics_are_noticed() {
    let toml = "# a = 1\ndata = \"x\"\n[http]\nlisten = []\n";
    assert_eq!(toml_keys(toml), ["data", "[http]", "listen"]);
    let found = metrics(&tokens("f(\"dgns_log_size\", \"# TYPE dns_names gauge\\n\"); let dgns_x = 1;"));
    assert_eq!(found.iter().collect::<Vec<_>>(), ["dgns_log_size", "dns_names"]);
    assert_eq!(
        unexplained("P", "`data` and data_dir", ["data".into(), "data_dir".into()]),
        ["P: data_dir is not explained"]
    );
}

#[test]
fn missing_files_links_and_codes_are_noticed() {
    let exists = |path: &str| path == "docs/STYLE.md" || path == "identity/src";
    let text =
        "`identity/src/` `identity/src/gone.rs` `identity/src/<x>` [a](STYLE.md#1) [b](../gone.md) [c](https://x)";
    assert_eq!(missing_paths("docs/A.md", text, exists), ["docs/A.md: identity/src/gone.rs does not exist"]);
    assert_eq!(dead_links("docs/A.md", text, exists), ["docs/A.md: the link ../gone.md leads nowhere"]);
    let source =
        "fn code(&self) -> &'static str { match self { A { .. } => \"a_b\", B => { \"c\" } } } fn d() { \"e\" }";
    let found = codes(&tokens(source));
    assert_eq!(found.iter().collect::<Vec<_>>(), ["a_b", "c"]);
    assert_eq!(undocumented("x.rs", &found, "`c` `a_bc`"), ["x.rs: the code a_b is not in docs/PROTOCOL.md"]);
}

/// The page that names the test behind each promise.
const THREATS: &str = "docs/THREATS.md";

/// The page with the code map.
const MAP: &str = "docs/ARCHITECTURE.md";

/// Folders whose names begin a path of the project.
const FOLDERS: [&str; 9] =
    ["identity/", "translog/", "lobby/", "storage/", "dgns/", "tests/", "docs/", ".ci/", ".cargo/"];

/// Where the closed lists of codes stand.
const PURE_FOLDERS: [&str; 4] = ["identity/src/", "translog/src/", "lobby/src/", "dgns/api/src/"];
