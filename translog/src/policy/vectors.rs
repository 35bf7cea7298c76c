//! tests/vectors/policies.json

use serde_json::{Value, json};

use super::tests::{log_key, witness_key, witnesses};
use super::*;
use crate::vectors::hold;

const ABOUT: [&str; 3] = [
    "Trust policies (PROTOCOL 9.6). op parse: in policy, a text; out canonical, and verifiers: the names of those witnesses; error:",
    "the code, line: where (0 = the file as a whole). op reached: in policy, cosigned [[vkey, Unix seconds], ...]; out time_s: when",
    "the quorum was reached, or null.",
];

#[test]
fn policy_vectors_hold() {
    let mut cases = read();
    cases.extend(refused());
    cases.extend(quorums());
    hold("policies", &ABOUT, &cases);
}

fn parse(name: &str, text: &str) -> Value {
    match text.parse::<Policy>() {
        Ok(policy) => {
            let verifiers: Vec<&str> = policy.verifiers().iter().map(|witness| witness.name.as_str()).collect();
            let out = json!({"canonical": policy.to_string(), "verifiers": verifiers});
            json!({"name": name, "op": "parse", "in": {"policy": text}, "out": out})
        }
        Err(error) => {
            json!({"name": name, "op": "parse", "in": {"policy": text}, "error": error.code(), "line": error.line})
        }
    }
}

fn read() -> Vec<Value> {
    let (log, one) = (log_key("dgns.test/log", 9), witness_key(1));
    let three = witnesses(3);
    vec![
        parse("no quorum", "quorum none\n"),
        parse("no newline at the end", "quorum none"),
        parse("comments, blanks and tabs", &format!("# a policy\n\n \t # indented\n\tlog  {log}\t\n  quorum none \n")),
        parse("a log with its URL", &format!("log {log} https://dgns.test/log\nquorum none\n")),
        parse("one witness", &format!("witness north {one} https://north.example\nquorum north\n")),
        parse("names beyond ASCII", &format!("witness nördlich {one}\nquorum nördlich\n")),
        parse("a witness called any", &format!("witness any {one}\ngroup g any any\nquorum g\n")),
        parse("two of three", &format!("{three}group g 2 w1 w2 w3\nquorum g\n")),
        parse("thresholds as numbers", &format!("{three}group g 1 w1\ngroup h 3 g w2 w3\nquorum h\n")),
        parse("a quorum before more lines", &format!("{three}quorum w1\ngroup g any w1\n")),
        parse("verifiers", &format!("{three}group verifiers any w2 w3\nquorum w1\n")),
        parse("verifiers in a group", &format!("{three}group v any w3\ngroup verifiers all w2 v\nquorum w1\n")),
    ]
}

fn refused() -> Vec<Value> {
    let (log, one, two) = (log_key("dgns.test/log", 9), witness_key(1), witness_key(2));
    let pair = witnesses(2);
    let long = format!("#{}\nquorum none\n", "x".repeat(65_536));
    vec![
        parse("nothing", ""),
        parse("no quorum line", &pair),
        parse("two quorum lines", "quorum none\nquorum none\n"),
        parse("too long", &long),
        parse("a carriage return", "quorum none\r\n"),
        parse("a control character in a comment", "# \u{1}\nquorum none\n"),
        parse("another word", "quorum none\npolicy 1\n"),
        parse("an upper-case word", "Quorum none\n"),
        parse("a log without a key", "log\nquorum none\n"),
        parse("a log with two URLs", &format!("log {log} a b\nquorum none\n")),
        parse("a witness without a key", "witness a\nquorum none\n"),
        parse("a group without members", &format!("{pair}group g any\nquorum g\n")),
        parse("two quorums in one line", &format!("{pair}quorum w1 w2\n")),
        parse("a witness's key for a log", &format!("log {one}\nquorum none\n")),
        parse("a log's key for a witness", &format!("witness a {log}\nquorum none\n")),
        parse("a damaged key", &format!("witness a {one}x\nquorum none\n")),
        parse("a log twice", &format!("log {log}\nlog {log} https://dgns.test/log\nquorum none\n")),
        parse("one witness key, two names", &format!("witness a {one}\nwitness b {one}\nquorum none\n")),
        parse("one name, two witnesses", &format!("witness a {one}\nwitness a {two}\nquorum none\n")),
        parse("a witness called none", &format!("witness none {one}\nquorum none\n")),
        parse("a group called as a witness", &format!("{pair}group w1 any w2\nquorum w1\n")),
        parse("a quorum nobody defines", "quorum north\n"),
        parse("a member defined below", &format!("group g any w1\n{pair}quorum g\n")),
        parse("a group of itself", &format!("{pair}group g any g\nquorum g\n")),
        parse("none as a member", &format!("{pair}group g any none\nquorum g\n")),
        parse("a member twice", &format!("{pair}group g any w1 w1\nquorum g\n")),
        parse("a member of two groups", &format!("{pair}group g any w1\ngroup h any w1 w2\nquorum h\n")),
        parse("a threshold of 0", &format!("{pair}group g 0 w1 w2\nquorum g\n")),
        parse("a threshold above the members", &format!("{pair}group g 3 w1 w2\nquorum g\n")),
        parse("a threshold with a leading zero", &format!("{pair}group g 01 w1 w2\nquorum g\n")),
        parse("a threshold in words", &format!("{pair}group g both w1 w2\nquorum g\n")),
        parse("65 witnesses", &format!("{}quorum none\n", witnesses(65))),
    ]
}

fn quorums() -> Vec<Value> {
    let three = witnesses(3);
    let two_of_three = format!("{three}group g 2 w1 w2 w3\nquorum g\n");
    let nested = format!("{}group x 2 w1 w2 w3\ngroup y any w4 w5\ngroup xy all x y\nquorum xy\n", witnesses(5));
    let verified = format!("{three}group verifiers any w2 w3\nquorum w1\n");
    vec![
        reached("quorum none asks for nothing", "quorum none\n", &[]),
        reached("two of three", &two_of_three, &[(1, 30), (3, 10), (2, 20)]),
        reached("one of two needed", &two_of_three, &[(1, 30)]),
        reached("one of two needed, twice", &two_of_three, &[(1, 30), (1, 31)]),
        reached("strangers do not count", &two_of_three, &[(1, 30), (7, 10), (8, 20)]),
        reached("two levels", &nested, &[(1, 1), (2, 5), (5, 3)]),
        reached("two levels, one missing", &nested, &[(1, 1), (2, 5), (3, 3)]),
        reached("verifiers beside the quorum", &verified, &[(1, 1), (3, 9)]),
        reached("verifiers missing", &verified, &[(1, 1)]),
        reached("verifiers alone", &verified, &[(2, 1), (3, 1)]),
    ]
}

fn reached(name: &str, text: &str, cosigned: &[(u8, u64)]) -> Value {
    let policy: Policy = text.parse().unwrap();
    let keys: Vec<(VerifierKey, u64)> = cosigned.iter().map(|(seed, time_s)| (witness_key(*seed), *time_s)).collect();
    let time_s = policy.reached(keys.iter().map(|(key, time_s)| Signed { key, time_s: Some(*time_s) }));
    let cosigned: Vec<Value> = keys.iter().map(|(key, time_s)| json!([key.to_string(), time_s])).collect();
    json!({"name": name, "op": "reached", "in": {"policy": text, "cosigned": cosigned}, "out": {"time_s": time_s}})
}
