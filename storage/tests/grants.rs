//! Grants and profiles: kept for whom they concern, bounded, taken back with what came of them, changed by version alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where and stop")]

use identity::cert::Kid;
use identity::did::Did;
use identity::token::Revoked;
use storage::people::{FamilyRow, GrantRow, KeepError, People};

fn did(number: u8) -> Did {
    Did::from_bytes([number; 20])
}

fn grant(number: u8, issuer: u8, subject: u8, parent: Option<u8>, until_s: u64) -> GrantRow {
    GrantRow {
        sid: [number; 32],
        issuer: did(issuer),
        subject: did(subject),
        parent: parent.map(|parent| [parent; 32]),
        until_s,
        revoked: false,
        envelope: vec![number; 200],
    }
}

fn family(number: u8, of: u8) -> FamilyRow {
    FamilyRow {
        rid: [number; 8],
        did: did(of),
        kid: Kid([of; 8]),
        audience: did(9),
        scope: vec![0x80],
        chain: vec![number],
        life_s: 0,
        turn: 0,
        spent_ms: 0,
        uid: u64::from(of),
        iat_s: 100,
        exp_s: 1_000,
        seq: 1,
        over_s: 1_000,
    }
}

#[tokio::test]
async fn a_chain_is_kept_whole_or_not_at_all_for_its_issuers_and_its_subject() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    let chain = [grant(1, 1, 2, None, 500), grant(2, 2, 3, Some(1), 400)];
    people.keep_grants(&chain, 2, 0).await.unwrap();
    people.keep_grants(&chain, 2, 0).await.unwrap();
    assert_eq!(
        people.grants(&did(2)).await.unwrap(),
        [chain[1].clone(), chain[0].clone()],
        "to and by, soonest end first"
    );
    assert_eq!(people.grants(&did(3)).await.unwrap(), chain[1..]);
    assert_eq!(people.grants(&did(4)).await.unwrap(), []);
    assert_eq!(people.grant(&[2; 32]).await.unwrap(), Some(chain[1].clone()));
    assert_eq!(people.grant(&[9; 32]).await.unwrap(), None);
    people.keep_grants(&[], 0, 0).await.unwrap();

    // The last one's issuer or subject has as many as there may be: nothing of the chain is kept.
    people.keep_grants(&[grant(3, 2, 5, None, 500)], 2, 0).await.unwrap();
    let more = [grant(4, 6, 2, None, 500), grant(5, 2, 7, Some(4), 500)];
    assert!(matches!(people.keep_grants(&more, 2, 0).await, Err(KeepError::TooMany)));
    assert_eq!(people.grant(&[4; 32]).await.unwrap(), None);
    people.close().await.unwrap();
    let people = People::open(dir.path()).await.unwrap();
    assert_eq!(people.grant(&[1; 32]).await.unwrap(), Some(chain[0].clone()), "it is durable");
    // What ended makes room.
    people.keep_grants(&more, 2, 500).await.unwrap();
    assert_eq!(people.grant(&[1; 32]).await.unwrap(), None);
    assert_eq!(people.grants(&did(2)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_grant_taken_back_takes_its_families_and_says_so_once_each() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    people.keep_grants(&[grant(1, 1, 2, None, 900), grant(2, 2, 3, Some(1), 900)], 10, 0).await.unwrap();
    people.add_family(&family(1, 3), &[[1; 32], [2; 32]], 10, 0).await.unwrap();
    people.add_family(&family(2, 2), &[[1; 32]], 10, 0).await.unwrap();
    people.add_family(&family(3, 3), &[], 10, 0).await.unwrap();
    people.revoke_grant(&[2; 32], 900, 10).await.unwrap();
    let left = async |of: u8| people.families(&did(of)).await.unwrap().iter().map(|row| row.rid[0]).collect::<Vec<_>>();
    assert_eq!((left(3).await, left(2).await), (vec![3], vec![2]), "what came of the grant, and nothing else");
    assert!(people.grant(&[2; 32]).await.unwrap().unwrap().revoked);
    assert!(!people.grant(&[1; 32]).await.unwrap().unwrap().revoked, "the one above it stands");
    let newest = people.revoke_grant(&[1; 32], 900, 10).await.unwrap();
    assert_eq!((left(3).await, left(2).await), (vec![3], vec![]));
    let (head, entries) = people.revocations(0, 10, 100).await.unwrap();
    let said: Vec<Revoked> = entries.into_iter().map(|entry| entry.what).collect();
    let expected = [Revoked::Family([1; 8]), Revoked::Grant([2; 32]), Revoked::Family([2; 8]), Revoked::Grant([1; 32])];
    assert_eq!((head, newest, said.as_slice()), (4, 4, expected.as_slice()));
    // Keeping it again does not give it back.
    people.keep_grants(&[grant(2, 2, 3, Some(1), 900)], 10, 10).await.unwrap();
    assert!(people.grant(&[2; 32]).await.unwrap().unwrap().revoked);
}

#[tokio::test]
async fn a_profile_is_swapped_by_version_and_one_of_many_wins() {
    let dir = tempfile::tempdir().unwrap();
    let people = std::sync::Arc::new(People::open(dir.path()).await.unwrap());
    assert_eq!(people.profile(&did(1)).await.unwrap(), None);
    assert!(!people.swap_profile(&did(1), 1, b"of nothing").await.unwrap());
    assert!(people.swap_profile(&did(1), 0, b"first").await.unwrap());
    assert!(!people.swap_profile(&did(1), 0, b"again").await.unwrap(), "there is one");
    let mut racers = tokio::task::JoinSet::new();
    for number in 0..20_u8 {
        let people = people.clone();
        racers.spawn(async move { people.swap_profile(&did(1), 1, &[number]).await.unwrap().then_some(number) });
    }
    let won: Vec<u8> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(people.profile(&did(1)).await.unwrap(), Some((2, won)));
    assert_eq!(people.profile(&did(2)).await.unwrap(), None, "another's is another's");
}

#[tokio::test]
async fn the_life_an_audience_asked_for_last_holds() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    assert_eq!(people.audience_life(&did(1)).await.unwrap(), None);
    for life_s in [60, 86_400, 900] {
        people.set_audience_life(&did(1), life_s).await.unwrap();
    }
    people.close().await.unwrap();
    let people = People::open(dir.path()).await.unwrap();
    assert_eq!(
        (people.audience_life(&did(1)).await.unwrap(), people.audience_life(&did(2)).await.unwrap()),
        (Some(900), None)
    );
}
