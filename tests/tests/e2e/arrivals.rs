//! What a server takes of databases that come to it, and from whom: asked as no client would ask.

use dgns_api::path;
use dgns_api::store::acl::Acl;
use dgns_api::store::anchor::AnchoredLog;
use dgns_api::store::answer::Cursor;
use dgns_api::store::arrival::{Arrival, Proof};
use dgns_api::store::content::id_of;
use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, Header, LogId};
use dgns_api::store::place::Place;
use dgns_client::error::ClientError;
use dgns_client::home::{DeviceKeys, Home};
use dgns_client::session::{Session, Signer};
use dgns_client::store::database::OpenDb;
use dgns_client::store::follow::Follower;
use dgns_tests::harness::{Person, Server, wait};
use identity::did::Did;
use identity::state::Subject;
use translog::entry::Anchor;
use translog::hash::EMPTY_ROOT;

use crate::moved::{source, target};

const NAME: &str = "photos.alice";

/// A person with the servers that a database leaves and comes to.
struct Mover {
    from: Session,
    to: Session,
    keys: DeviceKeys,
    did: Did,
}

impl Mover {
    async fn new(person: &Person, from: &Server, to: &Server) -> Self {
        let home = Home::open(person.home()).unwrap();
        let from = Session::open(&home, &from.url).await.unwrap();
        let keys = from.log().device().unwrap().expect("a device");
        let did = keys.did.expect("a DID");
        Self { from, to: Session::open(&home, &to.url).await.unwrap(), keys, did }
    }

    fn signer(&self) -> Signer<'_> {
        Signer { did: self.did, keys: &self.keys }
    }

    async fn resolution(&self, did: &Did) -> Vec<u8> {
        self.from.get(&format!("{}{did}", path::DIDS)).await.unwrap()
    }

    /// Asks to be known at the other server as `did`; returns the code of a refusal.
    async fn introduce(&self, signer: Signer<'_>, did: &Did) -> Option<String> {
        code(self.to.post_signed(signer, path::GUESTS, &self.resolution(did).await).await)
    }

    /// Returns the control log as it is where it was made.
    async fn control(&self) -> (LogId, Vec<Entry>) {
        let db = OpenDb::open(&self.from, self.signer(), NAME).await.unwrap();
        let log = LogId::control(db.acl().did());
        let (entries, _) = Follower::from(log, 0).read(&self.from, self.signer(), 64, 0).await.unwrap();
        (log, entries)
    }

    /// Returns how the newest anchor has the control log, asked for with a size.
    async fn proof(&self, log: &LogId, size: usize) -> Proof {
        let resolved = self.from.resolve(&Subject::Anchors).await.unwrap();
        let anchors = self.from.get(path::ANCHORS).await.unwrap();
        let k = Anchor::decode(resolved.anchors().unwrap()).unwrap().k;
        let target = format!("{}{log}/anchor?k={k}&old={size}", path::LOGS);
        let shown = self.from.get_signed(self.signer(), &target).await.unwrap();
        Proof { anchors, log: AnchoredLog::decode(&shown).unwrap() }
    }

    /// Brings entries; returns how far the log is, or the code of a refusal.
    async fn bring(&self, log: &LogId, entries: Vec<Entry>, proof: Option<Proof>) -> Result<u64, String> {
        let arrival = Arrival { entries, proof }.encode();
        let answer = self.to.post_signed(self.signer(), &arrivals(log), &arrival).await;
        match answer {
            Ok(far) => Ok(Cursor::decode(&far).unwrap().next),
            refused => Err(code(refused).unwrap()),
        }
    }
}

fn arrivals(log: &LogId) -> String {
    format!("{}{log}/arrivals", path::LOGS)
}

fn code<T>(answer: Result<T, ClientError>) -> Option<String> {
    match answer {
        Ok(_) => None,
        Err(ClientError::Refused(problem)) => Some(problem.code),
        Err(other) => panic!("{other}"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The next statement of a device in a control log, which is sent to no server where it counts.
fn made_up(mover: &Mover, log: LogId, said: &[Entry], statement: &Control) -> Entry {
    let device = mover.keys.sign.public();
    let last = said.iter().rfind(|entry| entry.header().device == device);
    let header = Header {
        class: Class::Control,
        log,
        author: mover.did,
        device,
        lsn: last.map_or(0, |entry| entry.header().lsn + 1),
        prev: last.map(Entry::leaf),
        epoch: 0,
        refs: Vec::new(),
        body_bytes: 0,
        body: [0; 32],
        expect: None,
        unix_ms: 0,
    };
    Entry::sign(header, statement.encode(), mover.from.trust().origin(), &mover.keys.sign).unwrap()
}

#[test]
fn what_was_made_up_of_a_database_comes_to_no_server() {
    // Goal: who owns a database brings what was said of it, and nobody anything else. Method: a member brings it; an owner without the proof, with
    // that of less, and with a word that was never said where the database is; then rightly, and everything again from the beginning.
    let (_site, from) = source();
    let (_there, to) = target(&from, "other.test");
    let [alice, bob] = ["alice", "bob"].map(|name| Person::with_name(&from, name));
    alice.dgns(&from, &["db", "create", NAME]).exits(0);
    alice.dgns(&from, &["db", "grant", NAME, "bob", "--write"]).exits(0);
    wait::until("the control log is anchored", || {
        let verified = alice.dgns(&from, &["db", "verify", NAME]).exits(0).json();
        let logs = verified["logs"].as_array().unwrap().clone();
        logs.iter().all(|log| log["anchored"] == log["entries"]).then_some(())
    });
    runtime().block_on(async {
        let (owner, member) = (Mover::new(&alice, &from, &to).await, Mover::new(&bob, &from, &to).await);
        for mover in [&owner, &member] {
            assert_eq!(mover.introduce(mover.signer(), &mover.did).await, None);
        }
        let (log, said) = owner.control().await;
        let all = said.len();
        assert_eq!(owner.bring(&log, said.clone(), None).await, Err("not_anchored".into()));
        let of_less = Some(owner.proof(&log, all - 1).await);
        assert_eq!(owner.bring(&log, said.clone(), of_less).await, Err("not_anchored".into()));
        let proof = owner.proof(&log, all).await;
        assert_eq!(member.bring(&log, said.clone(), Some(proof.clone())).await, Err("not_allowed".into()));
        let genesis = owner.proof(&log, 1).await;
        assert_eq!(owner.bring(&log, said[..1].to_vec(), Some(genesis)).await, Err("not_allowed".into()), "not yet");

        let acl = OpenDb::open(&owner.from, owner.signer(), NAME).await.unwrap();
        let acl: &Acl = acl.acl();
        let heads = acl.logs().keys().map(|log| (*log, 0, EMPTY_ROOT)).collect();
        let there = owner.to.trust();
        let server = owner.to.info().await.unwrap().server_did.parse().unwrap();
        let key = *there.log_keys()[0].key();
        let to = Place { server, url: to.url.clone(), origin: there.origin().clone(), key };
        let word = made_up(&owner, log, &said, &Control::Moved { to, heads });
        let false_log = [said.clone(), vec![word.clone()]].concat();
        assert_eq!(owner.bring(&log, false_log, Some(proof.clone())).await, Err("not_anchored".into()));

        assert_eq!(owner.bring(&log, said.clone(), Some(proof.clone())).await, Ok(all as u64));
        let signer = member.signer();
        assert_eq!(code(member.to.get_signed(signer, &arrivals(&log)).await), Some("arriving".into()));
        assert_eq!(code(member.to.delete_signed(signer, &arrivals(&log)).await), Some("arriving".into()));
        let read = format!("{}{log}/entries", path::LOGS);
        assert_eq!(code(member.to.get_signed(signer, &read).await), Some("arriving".into()), "nobody reads it yet");
        assert_eq!(owner.bring(&log, vec![word], Some(proof.clone())).await, Err("not_anchored".into()));
        assert_eq!(code(owner.to.delete_signed(owner.signer(), &arrivals(&log)).await), None);
        assert_eq!(code(owner.to.get_signed(owner.signer(), &arrivals(&log)).await), Some("not_found".into()));
        assert_eq!(owner.bring(&log, said, Some(proof)).await, Ok(all as u64), "and begins anew");
    });
    alice.dgns(&from, &["db", "move", NAME, "--to", &to.url]).exits(0);
}

#[test]
fn only_who_signs_for_themselves_is_known_at_another_server() {
    // Goal: nobody has others known, as others, or as people of the server's own log; whoever is known has databases there and nothing else.
    let (_site, from) = source();
    let (_there, to) = target(&from, "other.test");
    let [alice, bob] = ["alice", "bob"].map(|name| Person::with_name(&from, name));
    let local = Person::with_name(&to, "alice");
    runtime().block_on(async {
        let (alice, bob) = (Mover::new(&alice, &from, &to).await, Mover::new(&bob, &from, &to).await);
        let as_alice = Signer { did: alice.did, keys: &bob.keys };
        assert_eq!(bob.introduce(as_alice, &alice.did).await, Some("unknown_signer".into()), "with another device");
        assert_eq!(bob.introduce(bob.signer(), &alice.did).await, Some("unknown_home".into()), "somebody else");
        let account = || alice.to.get_signed(alice.signer(), path::ACCOUNT);
        assert_eq!(code(account().await), Some("unknown_signer".into()));
        assert_eq!(alice.introduce(alice.signer(), &alice.did).await, None);
        assert_eq!(code(account().await), Some("unknown_home".into()), "they have no account of their own");
        let file = format!("{}{}", path::CHUNKS, data_encoding::HEXLOWER.encode(&id_of(b"a file")));
        let put = alice.to.put_signed(alice.signer(), &file, b"a file").await;
        assert_eq!(code(put), Some("unknown_home".into()), "nor files");

        let local = Mover::new(&local, &to, &to).await;
        assert_eq!(
            local.introduce(local.signer(), &local.did).await,
            Some("unknown_home".into()),
            "who is known anyway"
        );
        assert_eq!(code(local.to.get_signed(local.signer(), path::ACCOUNT).await), None);
    });
    let unsigned = to.post(path::GUESTS, b"anything");
    assert_eq!(
        (unsigned.status, unsigned.json()["code"].as_str()),
        (401, Some("bad_authorization")),
        "{}",
        unsigned.text()
    );
}
