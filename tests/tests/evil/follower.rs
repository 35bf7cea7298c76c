//! A follower before an origin that cheats, and before a network that garbles: nothing false is taken over, what was verified goes
//! on being served, and there is evidence.

use std::io::Write as _;
use std::path::PathBuf;

use dgns_tests::harness::{Server, Site, wait};
use identity::state::State;
use serde_json::Value;
use translog::batch::Change;
use translog::fault::{FaultFile, FaultKind};
use translog::note::{Checkpoint, Note};

use super::export::{Export, FileServer};
use super::forge::{Forge, entry, small};
use super::people::Someone;

/// A follower, and the directory it lives in.
pub struct Follower {
    site: Site,
    server: Server,
    _policy: tempfile::NamedTempFile,
}

impl Follower {
    /// Starts a follower of the log that this policy names, read from `url`.
    pub fn start(url: &str, policy_text: &str, max_stale_s: u64) -> Self {
        let (site, policy) = site(url, policy_text);
        let site = site.with("follow", "max_stale_s", &max_stale_s.to_string());
        let server = site.start();
        Self { site, server, _policy: policy }
    }

    /// Returns what it says of the log it follows.
    pub fn standing(&self) -> Value {
        self.server.get("/v1/info").json()["follows"].clone()
    }

    /// Returns the head it shows.
    pub fn head(&self) -> Checkpoint {
        head(&self.server)
    }

    /// Waits until it says that it stands so.
    pub fn stands(&self, state: &str, problem: &str) -> Value {
        wait::until(&format!("the follower is {state}: {problem}"), || {
            let standing = self.standing();
            (standing["state"] == state && standing["problem"] == problem).then_some(standing)
        })
    }

    /// Still serves what it verified of `forge`: checkpoint and names alike.
    pub fn still_serves(&self, forge: &Forge, name: &str) {
        let head = head(&self.server);
        assert_eq!((head.size, head.root), (forge.edge.size(), forge.edge.root()));
        assert_eq!(self.server.get(&format!("/v1/names/{name}")).status, 200);
        assert_eq!(self.server.get("/ready").status, 200);
    }

    /// Returns the evidence files.
    pub fn evidence(&self) -> Vec<PathBuf> {
        let Ok(files) = std::fs::read_dir(self.site.data().join("evidence")) else { return Vec::new() };
        let files = files.map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "fault")).collect()
    }
}

/// The site of a follower, and its policy file.
fn site(url: &str, policy_text: &str) -> (Site, tempfile::NamedTempFile) {
    let mut policy = tempfile::NamedTempFile::new().unwrap();
    policy.write_all(policy_text.as_bytes()).unwrap();
    let path = policy.path().display().to_string();
    let site = Site::new().with("follow", "url", &format!("{url:?}")).with("follow", "policy", &format!("{path:?}"));
    (site, policy)
}

/// The policy of a log without witnesses.
pub fn policy_of(export: &Export) -> String {
    format!("log {}\nquorum none\n", export.vkey)
}

/// A follower of a log that is nothing but files.
struct Followed {
    origin: FileServer,
    follower: Follower,
}

impl Followed {
    /// Starts a follower that has all of `forge`.
    fn start(forge: &Forge, max_stale_s: u64) -> Self {
        let export = forge.export();
        let origin = FileServer::new(&export);
        let follower = Follower::start(&origin.url, &policy_of(&export), max_stale_s);
        assert_eq!(head(&follower.server).root, forge.edge.root());
        Self { origin, follower }
    }

    /// Waits until the follower has all of `forge`.
    fn follows_on(&self, forge: &Forge) {
        self.origin.now_serves(&forge.export());
        let size = || head(&self.follower.server).size;
        wait::until("the follower goes on", || (size() == forge.edge.size()).then_some(()));
        assert_eq!(head(&self.follower.server).root, forge.edge.root());
    }
}

fn head(server: &Server) -> Checkpoint {
    Checkpoint::parse(Note::parse(&server.get("/log/checkpoint").body).unwrap().text()).unwrap()
}

#[test]
fn bytes_that_are_not_the_logs_are_refused_and_asked_for_again() {
    // Goal: a network, a cache, a sloppy mirror convicts nobody and stops nothing for good. Method: the log grown by honest batches,
    // one thing in its files changed; then the honest files.
    let (mut forge, people) = small();
    let followed = Followed::start(&forge, 3_600);
    let before = forge.clone();
    for number in 20..30 {
        forge.batch(&Someone::new(number).1);
    }
    let (honest, older) = (forge.export(), before_last(&before));
    let size = honest.size();
    let entries = honest.entries();
    let index = (before.edge.size()..size).find(|index| entries[*index as usize][0] == 1).unwrap();
    let bundle = honest.files.keys().find(|path| path.starts_with("tile/entries/")).unwrap().clone();
    let altered = |change: &dyn Fn(&mut Export)| {
        let mut export = honest.clone();
        change(&mut export);
        export
    };
    let cases = [
        ("an altered entry", "root", honest.clone().with_entry(index, |entry| *entry.last_mut().unwrap() ^= 1)),
        ("a bundle cut short", "garbled", altered(&|export| export.files.get_mut(&bundle).unwrap().truncate(700))),
        ("an endless bundle", "garbled", altered(&|export| export.files.get_mut(&bundle).unwrap().resize(4 << 20, 7))),
        ("a garbled checkpoint", "note", altered(&|export| export.files.get_mut("checkpoint").unwrap().truncate(9))),
        ("an older checkpoint", "rollback", before.export_signed(older.0, older.1)),
    ];
    for (what, code, export) in cases {
        let code = if code == "note" { Note::parse(&export.files["checkpoint"]).unwrap_err().code() } else { code };
        followed.origin.now_serves(&export);
        let told = followed.follower.stands("refused", code);
        assert_eq!(told["stale"], false, "{what}");
        followed.follower.still_serves(&before, &people[0].name);
    }
    assert!(
        followed.follower.evidence().len() >= 2,
        "what looked like the log's own is kept: {:?}",
        followed.follower.evidence()
    );
    for path in followed.follower.evidence() {
        assert!(FaultFile::decode(&std::fs::read(path).unwrap()).unwrap().check().is_err(), "it convicts nobody");
    }
    followed.follows_on(&forge);
}

/// The head before the newest one of a log.
fn before_last(forge: &Forge) -> (u64, identity::hash::Hash) {
    let end = forge.entries[..forge.entries.len() - 1].iter().rposition(|entry| entry[0] == 2).unwrap() + 1;
    let mut edge = translog::tree::Edge::new();
    forge.entries[..end].iter().for_each(|entry| edge.append(translog::hash::leaf_hash(entry)));
    (edge.size(), edge.root())
}

#[test]
fn two_histories_end_the_following_with_a_file_that_convicts() {
    // Goal: a fork is never taken over, is proved to third parties, outlasts a restart, and what was verified is served for a while.
    // Method: a log that goes on otherwise, at the same size and beyond it.
    for extra in [0, 3] {
        let (forge, people) = small();
        let mut followed_log = forge.clone();
        let mut other = forge;
        followed_log.batch(&Someone::new(40).1);
        other.batch(&Someone::new(41).1);
        for number in 0..extra {
            other.batch(&Someone::new(50 + number).1);
        }
        let followed = Followed::start(&followed_log, 3_600);
        followed.origin.now_serves(&other.export());
        let told = followed.follower.stands("fault", "fork");
        assert_eq!(told["stale"], true);
        followed.follower.still_serves(&followed_log, &people[0].name);
        let evidence = followed.follower.evidence();
        assert_eq!(evidence.len(), 1, "{evidence:?}");
        let file = FaultFile::decode(&std::fs::read(&evidence[0]).unwrap()).unwrap();
        assert_eq!(file.check().unwrap().key, *other.signer().verifier_key());
        assert!(followed.follower.server.get("/metrics").text().contains("dgns_follow_fault 1"));

        let Followed { origin, follower: Follower { site, server, _policy } } = followed;
        server.stop().exits(0);
        origin.now_serves(&followed_log.export());
        let server = site.start();
        let followed = Followed { origin, follower: Follower { site, server, _policy } };
        followed.follower.stands("fault", "fork");
        followed.follower.still_serves(&followed_log, &people[0].name);
    }
}

#[test]
fn a_map_that_the_entries_do_not_make_ends_the_following_and_the_serving_in_time() {
    // Goal: signed and false: a fault; after `max_stale_s` nothing is served any more. Method: one state changed in an otherwise
    // honest batch, and a limit of one second.
    let (mut forge, people) = small();
    let followed = Followed::start(&forge, 1);
    let mut batch = forge.integrate(&Someone::new(50).1, forge.time_ms + 1_000);
    let mut leaf = forge.leaf(&people[0].subject());
    let State::Name(name) = &mut leaf.state else { panic!("a name has a NameState") };
    (name.did, name.version) = (Some(people[1].did), name.version + 1);
    batch.changes.insert(people[0].subject(), Change::of(&people[0].subject(), leaf.into()));
    let before = forge.edge.size();
    forge.take(batch, |_| {});
    followed.origin.now_serves(&forge.export());
    followed.follower.stands("fault", "map_root");
    convicts(&followed.follower.evidence(), &forge);
    wait::until("nothing is served any more", || (followed.follower.server.get("/ready").status == 503).then_some(()));
    let refused = followed.follower.server.get("/log/checkpoint");
    assert_eq!((refused.status, refused.problem_code().as_str()), (503, "log_unavailable"));
    assert_eq!(followed.follower.server.get(&format!("/v1/names/{}", people[0].name)).status, 503);
    assert_eq!(followed.follower.server.get("/v1/info").json()["size"], before, "it still says where it stands");
}

#[test]
fn an_entry_that_the_rules_refuse_ends_the_following() {
    // Goal: a name cannot be taken by logging another claim. Method: mallory's claim of a name that is taken, map as before it.
    let (mut forge, people) = small();
    let followed = Followed::start(&forge, 3_600);
    let before = forge.clone();
    let (mut mallory, mut certificates) = Someone::new(66);
    certificates.push(mallory.claims(&people[0].name));
    let honest = forge.integrate(&certificates[..2], forge.time_ms + 1_000);
    let entries = certificates.iter().map(|certificate| entry(&forge.countersigned(certificate))).collect();
    forge.close(entries, honest.changes, honest.epoch.time_ms, |_| {});
    followed.origin.now_serves(&forge.export());
    followed.follower.stands("fault", "refused");
    convicts(&followed.follower.evidence(), &forge);
    followed.follower.still_serves(&before, &people[0].name);
}

/// The one file there is convicts the log's key with nothing else at hand.
fn convicts(evidence: &[PathBuf], forge: &Forge) {
    let [file] = evidence else { panic!("one file: {evidence:?}") };
    let file = FaultFile::decode(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!((file.kind(), file.check().unwrap().key), (FaultKind::Map, forge.signer().verifier_key().clone()));
}

#[test]
fn an_origin_at_fault_from_the_start_is_never_served() {
    // Goal: there is nothing verified to serve. Method: a log with one signature flipped, followed from its first entry.
    let (mut forge, _) = small();
    let mut batch = forge.integrate(&Someone::new(50).1, forge.time_ms + 1_000);
    *batch.entries[0].last_mut().unwrap() ^= 1;
    forge.take(batch, |_| {});
    let export = forge.export();
    let origin = FileServer::new(&export);
    let (site, _policy) = site(&origin.url, &policy_of(&export));
    let ran = site.start_in_vain();
    assert!(ran.exits(3).stderr.contains("signature"), "{ran}");
}
