//! A log of real names: the package names of a Debian system, claimed over HTTP, then proved, asked of DNS, and audited.
//!
//! 2,000 names by default; `DGNS_TEST_ROUNDS=long` takes all there are, at least 50,000, and `DGNS_TEST_NAMES` any number.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use dgns_client::home::Home;
use dgns_client::session::Session;
use dgns_tests::harness::programs::run;
use dgns_tests::harness::{Person, Seed, Server, Site};
use dgns_tests::skip::skip;
use identity::state::Subject;
use translog::resolve::{Resolved, Status};

/// Each how many-th name gets an address.
const RECORDS_EVERY: u64 = 10;

/// The names that are looked up both ways.
const SAMPLE: usize = 1_000;

/// A name with the address its owner gave it, if any.
type Claimed = (String, Option<String>);

#[test]
fn names_of_debian_packages_are_claimed_proved_answered_and_audited() {
    // Goal: proofs, DNS and audit agree on a log of real names. Method: claim them with the bench, every tenth with an address;
    // look 1,000 up at random with proof and with dig; audit the whole log from an empty home.
    let directory = tempfile::tempdir().unwrap();
    let (list, out) = (directory.path().join("names"), directory.path().join("claimed"));
    let Some(available) = write_package_names(&list) else { return };
    let (site, generator) = (Site::new(), Person::new());
    let server = site.start();

    let count = names_wanted(available).to_string();
    let every = RECORDS_EVERY.to_string();
    let [list, out_text] = [&list, &out].map(|path| path.to_str().unwrap());
    let ran = generator.dgns(
        &server,
        &["bench", "claim", "--names", list, "--count", &count, "--records-every", &every, "--out", out_text],
    );
    let said = ran.exits(0).json();
    eprintln!("{said}");
    let names = ran.number("/names");
    assert_eq!(ran.number("/refused"), 0, "each name is new");
    assert!(names >= count.parse::<u64>().unwrap() * 99 / 100, "few are reserved: {said}");
    let claimed = read_claimed(&out);
    assert_eq!(claimed.len() as u64, names);

    let sample = choose(&claimed, &mut Seed::of_the_day());
    let answers = dig(&server, &sample, directory.path());
    let proved = resolve(&server, &sample);
    for ((name, address), resolved) in sample.iter().zip(&proved) {
        assert_eq!(proved_address(resolved), *address, "{name}");
        if let Some(answers) = &answers {
            assert_eq!(answers.get(name), address.as_ref(), "{name}");
        }
    }
    assert!(sample.iter().any(|(_, address)| address.is_some()) && sample.iter().any(|(_, address)| address.is_none()));

    let audit = Person::new().dgns(&server, &["audit"]);
    eprintln!("{}", audit.exits(0).json());
    assert!(audit.number("/size") > ran.number("/certificates"), "{audit}");
    assert!(audit.number("/labels") > 2 * names, "{audit}");
    server.stop().exits(0);
}

/// Writes the names of all packages apt knows, and returns how many there are.
fn write_package_names(path: &Path) -> Option<usize> {
    let listed = Command::new("apt-cache").arg("pkgnames").output().ok().filter(|listed| listed.status.success());
    let text = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
    let count = text.lines().count();
    if count < 1_000 {
        skip("apt-cache lists no packages: run apt-get update");
        return None;
    }
    fs::write(path, text).unwrap();
    Some(count)
}

fn names_wanted(available: usize) -> usize {
    if let Ok(count) = std::env::var("DGNS_TEST_NAMES") {
        return count.parse().expect("DGNS_TEST_NAMES is a number");
    }
    match std::env::var("DGNS_TEST_ROUNDS").as_deref() {
        Ok("long") => {
            assert!(available >= 50_000, "apt-cache lists {available} packages: run apt-get update");
            available * 98 / 100 // some become the same label
        }
        _ => 2_000,
    }
}

fn read_claimed(path: &Path) -> Vec<Claimed> {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| match line.split_once('\t') {
        Some((label, address)) => (format!("{label}.dgns.test"), Some(address.to_owned())),
        None => (format!("{line}.dgns.test"), None),
    };
    text.lines().map(line).collect()
}

/// Returns names at random, half of them with an address as far as there are enough.
fn choose(claimed: &[Claimed], seed: &mut Seed) -> Vec<Claimed> {
    let (mut with, mut without): (Vec<_>, Vec<_>) = claimed.iter().cloned().partition(|(_, address)| address.is_some());
    let mut chosen = Vec::with_capacity(SAMPLE);
    while chosen.len() < SAMPLE.min(claimed.len()) {
        let from =
            if !with.is_empty() && (chosen.len() % 2 == 0 || without.is_empty()) { &mut with } else { &mut without };
        chosen.push(from.swap_remove(seed.below(from.len() as u64) as usize));
    }
    chosen
}

/// Asks DNS for the address of each name; `None` if dig is not here.
fn dig(server: &Server, names: &[Claimed], directory: &Path) -> Option<HashMap<String, String>> {
    if Command::new("dig").arg("-v").output().is_err() {
        skip("dig is not installed");
        return None;
    }
    let batch = directory.join("questions");
    let questions: String = names.iter().map(|(name, _)| format!("{name} A\n")).collect();
    fs::write(&batch, questions).unwrap();
    let mut command = Command::new("dig");
    command.args(["@127.0.0.1", "-p", &server.dns.port().to_string(), "+noall", "+answer", "-f"]).arg(batch);
    let ran = run(command, "");
    let answer = |line: &str| {
        let mut fields = line.split_whitespace();
        let name = fields.next()?.trim_end_matches('.').to_owned();
        (fields.nth(2)? == "A").then(|| fields.next().map(|address| (name, address.to_owned())))?
    };
    Some(ran.exits(0).stdout.lines().filter_map(answer).collect())
}

/// Resolves each name with proof, as one client that remembers what it saw.
fn resolve(server: &Server, names: &[Claimed]) -> Vec<Resolved> {
    let home = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let session = Session::open(&Home::open(home.path()).unwrap(), &server.url).await.unwrap();
        let mut proved = Vec::with_capacity(names.len());
        for (name, _) in names {
            let resolved = session.resolve(&Subject::Name(name.clone())).await;
            proved.push(resolved.unwrap_or_else(|error| panic!("{name}: {error}")));
        }
        proved
    })
}

/// Returns the one address a proof gives the name.
fn proved_address(resolved: &Resolved) -> Option<String> {
    assert_eq!(resolved.status(), Status::Present, "{:?}", resolved.subject());
    let records = resolved.records()?;
    let [row] = &records.rows[..] else { panic!("one address each: {:?}", resolved.subject()) };
    let [a, b, c, d] = row.rdata[..] else { panic!("an IPv4 address has four bytes") };
    Some(format!("{a}.{b}.{c}.{d}"))
}
