//! What code of the pure packages must not touch, and what no code of the project may contain.

use crate::assert_tidy;
use crate::graph::PURE;
use crate::source::{Kind, Token, product_code, tokens};
use crate::tree::{self, File};

/// Paths that read a clock, do I/O or start something; a value type such as `Duration` or `Ipv4Addr` is none of these.
const IMPURE_PATHS: [&str; 15] = [
    "SystemTime",
    "Instant",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "tokio",
    "getrandom",
    "OsRng",
    "SysRng",
];

/// Macros that print.
const PRINTING: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];

/// Complains about everything in product code of a pure package that is not a function of its arguments.
fn impurities(path: &str, tokens: &[Token<'_>]) -> Vec<String> {
    let mut complaints = Vec::new();
    for at in 0..tokens.len() {
        let banned = IMPURE_PATHS.iter().find(|banned| begins_path(&tokens[at..], banned));
        complaints.extend(banned.map(|banned| format!("{path}:{}: pure code names {banned}", tokens[at].line)));
        let is_macro = tokens.get(at + 1).is_some_and(|next| next.text == "!");
        if tokens[at].kind == Kind::Word && is_macro && PRINTING.contains(&tokens[at].text) {
            complaints.push(format!("{path}:{}: pure code prints", tokens[at].line));
        }
    }
    complaints
}

/// Whether the tokens begin with the parts of `wanted`, which may also stand in a group: `use std::{fs, io}`.
fn begins_path(tokens: &[Token<'_>], wanted: &str) -> bool {
    if tokens[0].kind != Kind::Word {
        return false;
    }
    let Some((first, second)) = wanted.split_once("::") else {
        return tokens[0].text == wanted;
    };
    if tokens[0].text != first || tokens.get(1).is_none_or(|mark| mark.text != "::") {
        return false;
    }
    match tokens.get(2).map(|token| token.text) {
        Some("{") => tokens[3..].iter().take_while(|token| token.text != ";").any(|token| token.text == second),
        Some(next) => next == second,
        None => false,
    }
}

/// Complains about unfinished code and about tests that nobody sees: they stand for work that is neither done nor named.
fn unfinished(path: &str, tokens: &[Token<'_>]) -> Vec<String> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let is_word = |at: &usize| tokens[*at].kind == Kind::Word;
    let found = (0..tokens.len()).filter(is_word).filter(|at| match text(*at) {
        "todo" | "unimplemented" => text(at + 1) == "!",
        "ignore" => *at >= 2 && text(at - 1) == "[" && text(at - 2) == "#",
        _ => false,
    });
    found.map(|at| format!("{path}:{}: {}", tokens[at].line, text(at))).collect()
}

#[test]
fn pure_packages_are_functions_of_their_arguments() {
    let files = tree::product_files();
    let code = product_code(&files);
    let mut complaints = Vec::new();
    for package in PURE {
        let folder = if package == "dgns-api" { "dgns/api/src/".to_owned() } else { format!("{package}/src/") };
        let ours: Vec<_> = code.iter().filter(|(path, _)| path.starts_with(&folder)).collect();
        assert!(!ours.is_empty(), "{package} has files");
        complaints.extend(ours.iter().flat_map(|(path, tokens)| impurities(path, tokens)));
    }
    assert_tidy(&complaints);
}

#[test]
fn nothing_is_unfinished_or_ignored() {
    let rust = tree::files().into_iter().filter(|file| file.path.ends_with(".rs"));
    let complaints = rust.flat_map(|file| unfinished(&file.path, &tokens(&file.text)));
    assert_tidy(&complaints.collect::<Vec<_>>());
}

#[test]
fn impure_and_unfinished_code_is_noticed() {
    let count = |code: &str| impurities("x.rs", &tokens(code)).len();
    assert_eq!(count("use std::time::SystemTime;"), 1);
    assert_eq!(count("use std::{fmt, fs};"), 1);
    assert_eq!(
        count("let now = std::time::Instant::now(); std::env::var(\"A\"); println!(\"x\"); tokio::spawn(f);"),
        4
    );
    assert_eq!(count("use std::time::Duration; use core::net::Ipv4Addr; fn print() {} let fs = env;"), 0);
    let count = |code: &str| unfinished("x.rs", &tokens(code)).len();
    assert_eq!(count(concat!("fn a() { to", "do!() } #[ign", "ore] fn b() { unimple", "mented!(\"later\") }")), 3);
    assert_eq!(count("fn ignore() { todo } // todo!()"), 0);
}

#[test]
fn unit_tests_of_pure_packages_may_do_as_they_like() {
    let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
    let files = [
        file("identity/src/a.rs", "fn a() {} #[cfg(test)] mod tests;"),
        file("identity/src/a/tests.rs", "use std::fs;"),
        file("identity/src/a/other.rs", "use std::fs;"),
    ];
    let code = product_code(&files);
    let complaints: Vec<_> = code.iter().flat_map(|(path, tokens)| impurities(path, tokens)).collect();
    assert_eq!(complaints, ["identity/src/a/other.rs:1: pure code names std::fs"]);
}
