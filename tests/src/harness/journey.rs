//! Parts of people's journeys that several tests go: a browser led back to a program, six digits typed on another device.

use serde_json::Value;

use super::issuer::Issuer;
use super::{Person, Running, Server, http};

/// Returns the six digits in a line such as `  123 456`.
pub fn digits(line: &str) -> Option<String> {
    let digits: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    (digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// Starts `devices watch --once`, and waits until it listens.
pub fn watching(old: &Person, server: &Server) -> Running {
    let watch = old.dgns_running(&server.url, &["devices", "watch", "--once"]);
    assert_eq!(watch.event()["event"], "now");
    watch
}

/// Returns the next event of this kind.
pub fn told(watch: &Running, kind: &str) -> Value {
    loop {
        let event = watch.event();
        if event["event"] == kind {
            return event;
        }
    }
}

/// Lets `new` become a device of the name by the digits.
pub fn joins(old: &Person, new: &Person, server: &Server, name: &str) {
    let mut watch = watching(old, server);
    let join = new.dgns_running(&server.url, &["join", name]);
    let shown = join.note(digits);
    assert_eq!(told(&watch, "pair")["asks"], "digits");
    watch.types(&format!("{} {}", &shown[..3], &shown[3..]));
    let joined = join.ended();
    assert_eq!(joined.exits(0).json()["user_key"], true, "{joined}");
    assert_eq!(told(&watch, "pair")["added"], true);
    watch.ended().exits(0);
}

/// Goes where a running command says, as this person, and lets the issuer lead back to it.
pub fn visits(running: &Running, server: &Server, issuer: &Issuer, person: &[(&str, &str)]) {
    let url = running.note(|line| line.trim().starts_with("http").then(|| line.trim().to_owned()));
    let callback = issuer.visit(&url, person);
    let led = server.get(&callback).header("location").to_owned();
    let (host, path) = led.trim_start_matches("http://").split_once('/').expect("it leads to loopback");
    let to = host.parse().unwrap_or_else(|_| panic!("it leads to {led}"));
    let stray = http::request(to, "GET", "/?state=stray&code=x", &[], b"").expect("it listens");
    assert_eq!(stray.status, 404, "another session's state is nothing to it");
    let answer = http::request(to, "GET", &format!("/{path}"), &[], b"").expect("it listens");
    assert!(answer.status == 200 && answer.text().contains("close this window"), "{}", answer.text());
}

/// Runs a command that signs in, to its end; returns what it printed.
pub fn signs_in(person: &Person, who: &[(&str, &str)], at: (&Server, &Issuer), arguments: &[&str], exit: i32) -> Value {
    let running = person.dgns_running(&at.0.url, arguments);
    visits(&running, at.0, at.1, who);
    running.ended().exits(exit).json()
}
