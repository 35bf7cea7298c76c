//! The rows of the suite: declared beside the attacks, held to what the programs say, shown in docs/THREATS.md.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::stories::Story;

/// One attack on one program.
pub struct Row {
    attack: &'static str,
    story: fn() -> Story,
    victim: Victim,
    outcome: Outcome,
    says: &'static str,
    evidence: &'static str,
}

/// A stock program and what it knows.
#[derive(Clone, Copy)]
pub struct Victim {
    /// As the page calls it.
    pub name: &'static str,
    /// Lets it meet an attack.
    pub meets: fn(Story) -> Caught,
}

/// A row: what the operator does, in which story and to whom; that it shows; what the program says, exit code or status with its
/// code; what a stranger makes of the evidence it keeps.
pub const fn detected(
    attack: &'static str,
    story: fn() -> Story,
    victim: Victim,
    says: &'static str,
    evidence: &'static str,
) -> Row {
    Row { attack, story, victim, outcome: Outcome::Detected, says, evidence }
}

/// A row of an attack that comes to nothing, and about which nobody need be told.
pub const fn prevented(
    attack: &'static str,
    story: fn() -> Story,
    victim: Victim,
    says: &'static str,
    evidence: &'static str,
) -> Row {
    Row { attack, story, victim, outcome: Outcome::Prevented, says, evidence }
}

/// No evidence.
pub const NONE: &str = "–";
/// Evidence that shows what was given, and by itself convicts nobody.
pub const KEPT: &str = "kept";
/// Evidence of two heads of one size.
pub const SAME_SIZE: &str = "convicts: `same-size`";
/// Evidence of a head that does not continue another.
pub const PREFIX: &str = "convicts: `prefix`";

/// Evidence of a log that does not follow from its own entries.
pub const WHOLE: &str = "convicts: `map`";

/// What comes of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Prevented,
    Detected,
}

/// What became of an attack.
#[derive(Clone, Debug)]
pub struct Caught {
    /// What the program said.
    pub says: String,
    /// What a stranger makes of the evidence it kept.
    pub evidence: String,
    /// From the attack to these words.
    pub took: Duration,
}

/// Mounts attacks, prints each with its time, and keeps them as a table.
///
/// Panics if a program says anything else than its row, or says it too late.
pub fn mount(rows: &[Row]) -> Vec<Caught> {
    let caught = mounted(rows);
    hold(rows, &caught);
    caught
}

/// Holds the page to `table`; with `DGNS_WRITE_TABLE` set it mounts every attack and writes the page instead.
pub fn hold_page(table: &[&[Row]]) {
    let page = std::fs::read_to_string(page()).unwrap();
    if std::env::var_os("DGNS_WRITE_TABLE").is_none() {
        let complaints = differences(&page, table);
        assert!(complaints.is_empty(), "\n{}\nto write it: see the head of this suite", complaints.join("\n"));
        return;
    }
    let mut lines = Vec::new();
    for rows in table {
        let caught = mount(rows);
        lines.extend(rows.iter().zip(caught).map(|(row, caught)| format!("{} {} |", row.line(), time(caught.took))));
    }
    let (before, after) = around(&page);
    std::fs::write(self::page(), format!("{before}{BEGIN}\n{HEADER}\n{}\n{END}{after}", lines.join("\n"))).unwrap();
}

/// Panics unless pages that lack, add or change a row are complained about.
pub fn complains(rows: &[Row]) {
    let page = |lines: &[String]| format!("a\n{BEGIN}\n{HEADER}\n{}\n{END}\nb", lines.join("\n"));
    let right: Vec<String> = rows.iter().map(|row| format!("{} 0.10 s |", row.line())).collect();
    assert!(differences(&page(&right), &[rows]).is_empty());
    assert_eq!(differences(&page(&right[1..]), &[rows]).len(), 1);
    assert_eq!(
        differences(&page(&[&right[..], &["| x | y | prevented | z | – | 1 s |".into()]].concat()), &[rows]).len(),
        1
    );
    let changed = page(&right).replacen("detected", "prevented", 1);
    assert_eq!(differences(&changed, &[rows]).len(), 2);
}

impl Row {
    /// The row of the page without its time.
    fn line(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Prevented => "prevented",
            Outcome::Detected => "detected",
        };
        format!("| {} | {} | {outcome} | {} | {} |", self.attack, self.victim.name, self.says, self.evidence)
    }
}

/// A few at a time: some of them consist in waiting.
fn mounted(rows: &[Row]) -> Vec<Caught> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((place, row)) = rows.iter().enumerate().nth(next.fetch_add(1, Ordering::SeqCst)) {
            done.push((place, (row.victim.meets)((row.story)())));
        }
        done
    };
    let mut caught: Vec<(usize, Caught)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    caught.sort_by_key(|(place, _)| *place);
    caught.into_iter().map(|(_, caught)| caught).collect()
}

fn hold(rows: &[Row], caught: &[Caught]) {
    let mut wrong = Vec::new();
    for (row, caught) in rows.iter().zip(caught) {
        println!("{} {} |", row.line(), time(caught.took));
        if (row.says, row.evidence) != (&caught.says, &caught.evidence) {
            wrong.push(format!("{}\n  but it says {} and its evidence {}", row.line(), caught.says, caught.evidence));
        }
        if caught.took > TOO_LATE {
            wrong.push(format!("{}\n  but only after {}", row.line(), time(caught.took)));
        }
    }
    keep(rows, caught);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Writes what was measured, for machines: one file an attack.
fn keep(rows: &[Row], caught: &[Caught]) {
    let Some(first) = rows.first() else { return };
    let values = rows.iter().zip(caught).map(|(row, caught)| {
        json!({
            "attack": row.attack,
            "victim": row.victim.name,
            "outcome": format!("{:?}", row.outcome).to_lowercase(),
            "says": caught.says,
            "evidence": caught.evidence,
            "seconds": caught.took.as_secs_f64(),
        })
    });
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("adversary");
    std::fs::create_dir_all(&directory).unwrap();
    let name = first.attack.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let table = serde_json::to_string_pretty(&values.collect::<Vec<_>>()).unwrap();
    std::fs::write(directory.join(format!("{name}.json")), table).unwrap();
}

/// The rows that only one of page and suite has.
fn differences(page: &str, table: &[&[Row]]) -> Vec<String> {
    let (before, after) = around(page);
    let inner = &page[before.len() + BEGIN.len()..page.len() - after.len() - END.len()];
    let shown = inner.trim().strip_prefix(HEADER).expect("the table has its header").lines();
    let without_time = |line: &str| line.trim_end_matches(" |").rsplit_once("| ").map(|(rest, _)| format!("{rest}|"));
    let shown: Vec<String> = shown.filter_map(without_time).collect();
    let declared: Vec<String> = table.iter().flat_map(|rows| rows.iter()).map(Row::line).collect();
    let missing = declared.iter().filter(|line| !shown.contains(line)).map(|line| format!("not on the page: {line}"));
    let extra = shown.iter().filter(|line| !declared.contains(line)).map(|line| format!("not in the suite: {line}"));
    missing.chain(extra).collect()
}

fn around(page: &str) -> (&str, &str) {
    let (before, rest) = page.split_once(BEGIN).expect("the page marks where the table begins");
    (before, rest.split_once(END).expect("the page marks where the table ends").1)
}

fn time(took: Duration) -> String {
    match took.as_secs() {
        0 => format!("{} ms", took.as_millis().max(1)),
        1..10 => format!("{:.2} s", took.as_secs_f64()),
        seconds => format!("{seconds} s"),
    }
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/THREATS.md")
}

const AT_A_TIME: usize = 3;

/// Beyond the longest wait that a program allows a server, which is 30 s.
const TOO_LATE: Duration = Duration::from_secs(50);

const BEGIN: &str = "<!-- the adversary suite writes from here -->";
const END: &str = "<!-- to here -->";
const HEADER: &str = "| attack | victim | outcome | it says | evidence | time |\n|---|---|---|---|---|---|";
