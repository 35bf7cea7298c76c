use super::*;
use crate::fault::FaultKind;
use crate::head::Cosignature;
use crate::note::{Cosigner, LogSigner};
use crate::tree::oracle::{self, Oracle};
use identity::key::SigningKey;

fn origin() -> Origin {
    Origin::parse("dgns.test/log").expect("an origin")
}

fn signer(seed: u8) -> LogSigner {
    LogSigner::new(origin().as_str(), SigningKey::from_seed(&[seed; 32])).expect("a good name")
}

fn witness(seed: u8) -> Cosigner {
    Cosigner::new(&format!("w{seed}.example"), SigningKey::from_seed(&[seed; 32])).expect("a good name")
}

/// The trust in the log of signer 1, under a policy that knows witnesses 11 and 12.
fn trust() -> Trust {
    let of = |n: u8| format!("witness w{n} {}\n", witness(n).verifier_key());
    let policy = format!("{}{}quorum none\n", of(11), of(12)).parse().expect("a policy");
    Trust::new(origin(), vec![signer(1).verifier_key().clone()]).expect("its key").with_policy(policy)
}

/// A head signed by `signer`, cosigned by these witnesses.
fn head(signer: &LogSigner, size: u64, root: Hash, witnesses: &[u8]) -> Head {
    let checkpoint = Checkpoint { origin: origin().as_str().to_owned(), size, root };
    let cosigned = |n: &u8| {
        let line = witness(*n).cosign(&checkpoint, 1_800_000_000);
        Cosignature { id: line.id, time_s: 1_800_000_000, signature: line.signature[8..].try_into().expect("64 bytes") }
    };
    Head {
        size,
        root,
        log_signature: signer.sign(&checkpoint).signature.try_into().expect("64 bytes"),
        cosignatures: witnesses.iter().map(cosigned).collect(),
        epoch_entry: vec![2; 89],
        path: vec![[3; 32]; 4],
    }
}

fn seen(size: u64, root: Hash) -> SeenHead {
    ShownHead::of(&origin(), &head(&signer(1), size, root, &[])).verify(&trust()).expect("signed")
}

#[test]
fn a_shown_head_comes_back_and_fits() {
    // Goal: at most 600 bytes whatever the head; canonical. Method: heads with 0, 3 and 60 cosignatures; every cut; a byte more.
    for count in [0, 3, 60] {
        let witnesses: Vec<u8> = (11..11 + count).collect();
        let bytes = ShownHead::of(&origin(), &head(&signer(1), 9, [7; 32], &witnesses)).encode();
        assert!(bytes.len() <= 600, "{count} cosignatures: {} bytes", bytes.len());
        let shown = ShownHead::decode(&bytes).expect("its own bytes");
        assert_eq!(shown.encode(), bytes);
        assert_eq!(shown.head.cosignatures.len(), usize::from(count.min(6)));
        for end in 0..bytes.len() {
            assert_eq!(ShownHead::decode(&bytes[..end]), Err(GossipError::Malformed), "cut at {end}");
        }
        assert_eq!(ShownHead::decode(&[&bytes[..], &[0]].concat()), Err(GossipError::Malformed));
    }
}

#[test]
fn only_what_the_log_signed_is_looked_at() {
    // Goal: nobody accuses a log with heads of their own making. Method: each byte of a head flipped; another key; another log.
    let (trust, mine) = (trust(), head(&signer(1), 9, [7; 32], &[]));
    let bytes = ShownHead::of(&origin(), &head(&signer(1), 9, [8; 32], &[])).encode();
    assert!(matches!(meet(&trust, &mine, &bytes), Ok(Meeting::Fork(_))));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(meet(&trust, &mine, &flipped).is_err(), "byte {at}");
    }
    let stranger = ShownHead::of(&origin(), &head(&signer(2), 9, [8; 32], &[])).encode();
    assert_eq!(meet(&trust, &mine, &stranger), Err(GossipError::LogSignature));
    let elsewhere = Origin::parse("example.test/log").expect("an origin");
    let elsewhere = ShownHead::of(&elsewhere, &head(&signer(1), 9, [8; 32], &[])).encode();
    assert_eq!(meet(&trust, &mine, &elsewhere), Err(GossipError::Origin));
}

#[test]
fn two_roots_of_one_size_convict_the_log_and_who_cosigned_both() {
    // Goal: one meeting, every culprit. Method: witness 11 cosigned both heads, 12 one, 13 both but is not known.
    let mine = head(&signer(1), 9, [7; 32], &[11, 12, 13]);
    let theirs = ShownHead::of(&origin(), &head(&signer(1), 9, [8; 32], &[11, 13])).encode();
    let Ok(Meeting::Fork(files)) = meet(&trust(), &mine, &theirs) else { panic!("a fork") };
    let kinds: Vec<FaultKind> = files.iter().map(FaultFile::kind).collect();
    assert_eq!(kinds, [FaultKind::SameSize, FaultKind::Cosigner]);
    assert!(files.iter().all(|file| file.check().is_ok()));
    assert_eq!(&files[1].check().expect("it holds").key, witness(11).verifier_key());
    let same = ShownHead::of(&origin(), &mine).encode();
    assert_eq!(meet(&trust(), &mine, &same), Ok(Meeting::Same));
}

#[test]
fn of_two_sizes_the_larger_proves_or_convicts_itself() {
    // Goal: an honest proof settles it, a fork's own proof convicts it, anything else proves nothing. Method: trees about powers
    // of two, honest and with a changed first leaf; the seed given where the smaller size is a power of two, and left out.
    for (from, to) in [(1, 2), (2, 3), (3, 7), (4, 9), (5, 8), (7, 13), (8, 16), (13, 21)] {
        let leaves = oracle::leaves(to as u64);
        let mut forged = leaves.clone();
        forged[0] = [0xee; 32];
        let (mut honest, mut forked) = (Oracle::new(&leaves), Oracle::new(&forged));
        let small = seen(from as u64, honest.root(0, from));
        let met = |root| compare(&trust(), &seen(to as u64, root), &small);
        let Meeting::Unproved(open) = met(honest.root(0, to)) else { panic!("two sizes") };
        assert_eq!(open.sizes(), (from as u64, to as u64));
        assert_eq!(open.settle(&trust(), &honest.consistency(from, to), None), Settled::Continues);

        let Meeting::Unproved(open) = met(forked.root(0, to)) else { panic!("two sizes") };
        let (path, seed) = (forked.consistency(from, to), forked.root(0, from));
        let settled = open.settle(&trust(), &path, Some(seed));
        let Settled::Fork(files) = settled else { panic!("{from} to {to}: {settled:?}") };
        assert_eq!(files[0].kind(), FaultKind::Prefix);
        assert!(files[0].check().is_ok());
        if from.is_power_of_two() {
            assert_eq!(open.settle(&trust(), &path, None), Settled::Nothing);
        }
        assert_eq!(open.settle(&trust(), &honest.consistency(from, to), Some([9; 32])), Settled::Nothing);
        assert_eq!(open.settle(&trust(), &[], None), Settled::Nothing);
    }
}
