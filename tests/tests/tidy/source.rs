//! Rust text as tokens: enough to tell code from comments and strings, and product code from its unit tests.

use crate::tree::File;

/// The product code of `files`: each with its tokens, without unit tests and without the files that hold only unit tests.
pub(crate) fn product_code(files: &[File]) -> Vec<(&str, Vec<Token<'_>>)> {
    let parsed: Vec<_> = files.iter().map(|file| (file.path.as_str(), without_tests(&tokens(&file.text)))).collect();
    let is_test = |path: &str| {
        let mut declared =
            parsed.iter().flat_map(|(parent, (_, modules))| modules.iter().map(move |name| (*parent, name)));
        declared.any(|(parent, name)| is_module_file(parent, name, path))
    };
    let product: Vec<_> = parsed.iter().map(|(path, _)| *path).filter(|path| !is_test(path)).collect();
    parsed.into_iter().filter(|(path, _)| product.contains(path)).map(|(path, (tokens, _))| (path, tokens)).collect()
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or keyword.
    Word,
    /// A string literal of any form; the text is what stands between the quotes.
    Text,
    /// One punctuation character, or `::`.
    Mark,
    /// A character, lifetime or number.
    Other,
}

/// One token and the line it begins on, counted from 1.
#[derive(Clone, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

/// Splits Rust text into tokens; comments and white space are dropped.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < source.len() {
        let rest = &source[at..];
        let first = rest.chars().next().expect("not at the end");
        let (kind, length) = if first.is_whitespace() {
            (None, first.len_utf8())
        } else if rest.starts_with("//") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (None, block_comment(rest))
        } else if let Some((open, body, close)) = string_literal(rest) {
            out.push(Token { kind: Kind::Text, text: &rest[open..open + body], line });
            (None, open + body + close)
        } else if first.is_alphabetic() || first == '_' {
            (Some(Kind::Word), word(rest))
        } else if first == '\'' || first.is_ascii_digit() {
            (Some(Kind::Other), character_or_number(rest))
        } else if rest.starts_with("::") {
            (Some(Kind::Mark), 2)
        } else {
            (Some(Kind::Mark), first.len_utf8())
        };
        if let Some(kind) = kind {
            out.push(Token { kind, text: &rest[..length], line });
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    out
}

/// Drops every item that `#[cfg(test)]` or `#[test]` marks. Returns what is left and the names of the modules that such an item
/// declares in files of their own.
pub(crate) fn without_tests<'a>(tokens: &[Token<'a>]) -> (Vec<Token<'a>>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if !is_test_attribute(&tokens[at..]) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = end_of_item(tokens, at);
        if let Some(declared) = tokens[at..end].windows(3).find(|w| w[0].text == "mod" && w[2].text == ";") {
            modules.push(declared[1].text.to_owned());
        }
        at = end;
    }
    (kept, modules)
}

/// Whether `path` is the file, or lies below the folder, of a module `name` that the file `parent` declares.
pub(crate) fn is_module_file(parent: &str, name: &str, path: &str) -> bool {
    let (folder, file) = parent.rsplit_once('/').unwrap_or(("", parent));
    let inner = match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    path == format!("{inner}/{name}.rs") || path.starts_with(&format!("{inner}/{name}/"))
}

fn is_test_attribute(tokens: &[Token<'_>]) -> bool {
    let starts = |words: &[&str]| tokens.len() >= words.len() && tokens.iter().zip(words).all(|(t, w)| t.text == *w);
    starts(&["#", "[", "cfg", "(", "test", ")", "]"]) || starts(&["#", "[", "test", "]"])
}

/// The index after the item that begins, with its attributes, at `at`: after its `;` or its closing brace.
fn end_of_item(tokens: &[Token<'_>], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text {
            _ if token.kind != Kind::Mark => {}
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return index + 1;
                }
            }
            ";" if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The lengths of opening, body and closing if a string literal begins here.
fn string_literal(rest: &str) -> Option<(usize, usize, usize)> {
    let prefix = rest.find(|c| !matches!(c, 'b' | 'c' | 'r')).filter(|length| *length <= 2)?;
    let raw = rest[..prefix].contains('r');
    let hashes = rest[prefix..].find(|c| c != '#').filter(|n| *n == 0 || raw)?;
    let open = prefix + hashes + 1;
    if !rest[prefix + hashes..].starts_with('"') {
        return None;
    }
    if raw {
        let close = format!("\"{}", "#".repeat(hashes));
        let body = rest[open..].find(&close).unwrap_or(rest.len() - open);
        return Some((open, body, close.len().min(rest.len() - open - body)));
    }
    let mut escaped = false;
    for (at, c) in rest[open..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((open, at, 1)),
            _ => {}
        }
    }
    Some((open, rest.len() - open, 0))
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
}

fn character_or_number(rest: &str) -> usize {
    let Some(inside) = rest.strip_prefix('\'') else {
        return word(rest);
    };
    if let Some(escape) = inside.strip_prefix('\\') {
        return 3 + escape.char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(escape.len(), |(at, _)| at);
    }
    let first = inside.chars().next().map_or(0, char::len_utf8);
    if inside[first..].starts_with('\'') { 1 + first + 1 } else { 1 + word(inside) }
}

#[test]
fn comments_and_strings_are_not_code() {
    let source = "let a = \"use sqlx;\\\"\"; // use axum\n/* use /* nested */ clap */ let b = br#\"rustls\"#; let c = '\\''; fn d<'a>() {}";
    let words: Vec<_> = tokens(source).into_iter().filter(|t| t.kind == Kind::Word).map(|t| t.text).collect();
    assert_eq!(words, ["let", "a", "let", "b", "let", "c", "fn", "d"]);
    let texts: Vec<_> = tokens(source).into_iter().filter(|t| t.kind == Kind::Text).map(|t| t.text).collect();
    assert_eq!(texts, ["use sqlx;\\\"", "rustls"]);
}

#[test]
fn unit_tests_are_left_out_and_their_files_named() {
    let source = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { let x = [1; 2]; } }\n#[cfg(test)] mod more;\n#[test] fn c() {}\nfn d() {}";
    let tokens = tokens(source);
    let (kept, modules) = without_tests(&tokens);
    let words: Vec<_> = kept.iter().filter(|t| t.kind == Kind::Word).map(|t| t.text).collect();
    assert_eq!(words, ["fn", "a", "fn", "d"]);
    assert_eq!(modules, ["more"]);
    assert!(is_module_file("x/src/map.rs", "more", "x/src/map/more.rs"));
    assert!(is_module_file("x/src/lib.rs", "more", "x/src/more/deep.rs"));
    assert!(!is_module_file("x/src/map.rs", "more", "x/src/more.rs"));
}
