use std::sync::Arc;
use std::task::{Context, Waker};

use identity::key::SigningKey;
use identity::time::Timestamp;
use storage::Options;
use storage::inject::{Failure, Plan, Step};
use translog::note::{Checkpoint, LogSigner, Note};
use translog::witness::{Request, WitnessRefusal, cosignature_of};

use super::cosigner::{Role, Shared};
use super::evidence::Evidence;
use super::{Cosigner, Declined, Watched, WitnessedLogs};
use crate::clock::Clock;
use crate::outbound::Outbound;

fn log() -> LogSigner {
    LogSigner::new("a.test/log", SigningKey::from_seed(&[1; 32])).unwrap()
}

/// A request for a tree of one leaf, which is its root.
fn first(root: [u8; 32]) -> (Vec<u8>, String) {
    let checkpoint = Checkpoint { origin: "a.test/log".into(), size: 1, root };
    let note = Note::new(checkpoint.text(), vec![log().sign(&checkpoint)]).unwrap();
    (Request::new(0, Vec::new(), note).unwrap().encode(), checkpoint.text())
}

async fn open(data: &std::path::Path, failures: &Plan) -> Arc<Cosigner> {
    let logs = WitnessedLogs::parse(&format!("log {}\n", log().verifier_key())).unwrap();
    let clock = Clock::fixed_for_tests(Timestamp::from_ms(1_700_000_000_000));
    let options = Options { failures: failures.clone(), ..Options::default() };
    let logs = Watched::open_all(data, &logs, &Outbound::new(false), &clock).unwrap();
    let shared = Shared { data, logs, evidence: Arc::new(Evidence::below(data)), clock, options };
    Arc::new(Cosigner::open(&shared, Role::Witness, "w.test", None).await.unwrap())
}

#[tokio::test]
async fn nothing_is_signed_unless_the_record_is_durable() {
    // Goal: full disks and commits of unknown outcome give no signature, and none for another root afterwards. Method: each
    // failure in turn; then the same head again, or another one of the same size.
    for (failure, kept) in [
        (Failure::DiskFull, false),
        (Failure::Refused, false),
        (Failure::DroppedOutcomeUnknown, false),
        (Failure::KeptButReportedFailed, true),
    ] {
        let data = tempfile::tempdir().unwrap();
        let failures = Plan::default();
        let witness = open(data.path(), &failures).await;
        failures.fail_next(Step::Cosign, failure);
        let (request, text) = first([1; 32]);
        let declined = witness.add_checkpoint(&request).await.unwrap_err();
        assert!(matches!(declined, Declined::Storage(_)), "{failure:?}: {declined}");
        let problem = crate::problem::of_declined(&declined);
        assert_eq!((problem.status, problem.code.as_str()), (500, "internal"));
        assert_eq!(witness.standings()[0].size, 0, "nothing is shown");
        let (other, _) = first([2; 32]);
        match kept {
            true => {
                let refused = witness.add_checkpoint(&other).await.unwrap_err();
                assert_eq!(refused, Declined::Refused(WitnessRefusal::Conflict { size: 1 }));
                drop(witness);
                let witness = open(data.path(), &failures).await;
                assert_eq!(witness.standings()[0].size, 1, "a start raises the guard to the record");
            }
            false => {
                let line = witness.add_checkpoint(&request).await.unwrap();
                let signed = cosignature_of(line.as_bytes(), &text, witness.vkey()).unwrap();
                assert_eq!(signed.time_s, 1_700_000_000);
                assert!(witness.add_checkpoint(&other).await.is_err());
            }
        }
    }
}

#[tokio::test]
async fn request_that_nobody_waits_for_is_cosigned_to_its_end() {
    // Goal: record and guard move together, whoever hangs up. Method: the asking future dropped at its first rest.
    let data = tempfile::tempdir().unwrap();
    let witness = open(data.path(), &Plan::default()).await;
    let request = first([1; 32]).0;
    let mut asking = Box::pin(witness.add_checkpoint(&request));
    let polled_once = asking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled_once.is_pending(), "it rests before it is done");
    drop(asking);
    for _ in 0..2_000 {
        if witness.standings()[0].size == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the head was never cosigned");
}
