//! Who is convicted by two signed statements, and who is not. That files carry them whole is shown against a real server.

use super::*;

fn head(size: u64, root: u8, time_ms: u64, since: Option<u64>) -> StoreHead {
    StoreHead { log: LogId([1; 32]), size, root: [root; 32], time_ms, store: Did::from_bytes([2; 20]), since }
}

#[test]
fn two_heads_convict_where_the_later_is_smaller_or_both_cannot_be() {
    let back = Some(StoreFault::WentBack { before: 9, now: 5 });
    let cases = [
        (head(9, 1, 20, None), head(5, 2, 30, None), back, "smaller and later"),
        (head(9, 1, 20, Some(3)), head(5, 2, 10, Some(4)), back, "smaller, behind a later anchor"),
        (head(9, 1, 20, Some(3)), head(5, 2, 10, Some(3)), None, "smaller and earlier"),
        (head(9, 1, 20, None), head(5, 2, 20, None), None, "of one moment"),
        (head(5, 1, 20, None), head(5, 2, 30, None), Some(StoreFault::TwoHistories { size: 5 }), "two roots"),
        (head(5, 1, 20, None), head(5, 1, 30, Some(2)), None, "the same, signed twice"),
    ];
    for (a, b, expected, what) in cases {
        assert_eq!(of_heads(&a, &b, None), Ok(expected), "{what}");
        assert_eq!(of_heads(&b, &a, None), Ok(expected), "{what}, told the other way round");
    }
    let other = StoreHead { log: LogId([3; 32]), ..head(5, 2, 30, None) };
    assert_eq!(of_heads(&head(9, 1, 20, None), &other, None), Err(NoConviction::Part));
}

#[test]
fn who_says_that_its_databases_are_behind_convicts_itself() {
    let anchor = Anchor { k: 7, prev: Some([1; 32]), root: [4; 32], logs: 2 };
    let stand = |size, root, since| StoreHead { log: LogId::STAND, since, ..head(size, root, 1, None) };
    let cases = [
        (stand(5, 4, Some(7)), Some(StoreFault::Behind { here: 5, there: 7 })),
        (stand(5, 4, Some(6)), None),
        (stand(5, 4, None), None),
        (stand(7, 4, Some(7)), None),
        (stand(7, 5, Some(7)), Some(StoreFault::TwoHistories { size: 7 })),
        (stand(8, 5, Some(7)), None),
    ];
    for (number, (stand, expected)) in cases.into_iter().enumerate() {
        assert_eq!(of_stand(&stand, &anchor), expected, "case {number}");
    }
}

#[test]
fn an_anchor_and_a_head_convict_where_the_head_is_not_older_and_smaller() {
    use translog::map::Map;
    let (log, salt) = (LogId([1; 32]), [9; 16]);
    let anchored = AnchoredHead { version: 1, size: 6, root: [5; 32], prev: None, k: 7 };
    let mut map = Map::new();
    let delta = map.prepare(&[(label(&log, &salt), anchored.hash())]);
    map.apply(delta).unwrap();
    let proof = map.prove(&[label(&log, &salt)]).unwrap();
    let anchor = Anchor { k: 7, prev: Some([1; 32]), root: map.root(), logs: 1 };
    let file = |salt: &[u8]| {
        let file = FaultFile::new(FaultKind::Store, &[]).with_part("salt", salt);
        file.with_part("anchored", &anchored.encode()).with_part("proof", &proof.encode())
    };
    let judged = |head: &StoreHead| of_anchored(&file(&salt), head, &anchor, None);
    let back = Ok(Some(StoreFault::WentBack { before: 6, now: 4 }));
    assert_eq!(judged(&head(4, 1, 1, Some(7))), back);
    assert_eq!(judged(&head(4, 1, 1, Some(6))), Ok(None), "signed before the anchor, perhaps");
    assert_eq!(judged(&head(4, 1, 1, None)), Ok(None));
    assert_eq!(judged(&head(6, 5, 1, Some(7))), Ok(None));
    assert_eq!(judged(&head(6, 4, 1, None)), Ok(Some(StoreFault::TwoHistories { size: 6 })));
    assert_eq!(judged(&head(8, 1, 1, Some(7))), Ok(None), "grown");
    let elsewhere = of_anchored(&file(&[8; 16]), &head(4, 1, 1, Some(7)), &anchor, None);
    assert_eq!(elsewhere, Err(NoConviction::Proof), "the label of another log");
    assert_eq!(of_anchored(&file(&[8; 15]), &head(4, 1, 1, Some(7)), &anchor, None), Err(NoConviction::Part));
}

#[test]
fn files_of_other_kinds_and_without_parts_convict_nobody() {
    use translog::note::LogSigner;
    let key = LogSigner::new("dgns.test/log", identity::key::SigningKey::from_seed(&[1; 32])).unwrap();
    let keys = [key.verifier_key().clone()];
    assert_eq!(check(&FaultFile::new(FaultKind::Answer, &keys)), Err(NoConviction::Kind));
    assert_eq!(check(&FaultFile::new(FaultKind::Store, &keys)), Err(NoConviction::Part));
    assert_eq!(FaultFile::new(FaultKind::Store, &keys).check().map_err(|why| why.code()), Err("needs_replay"));
}

#[test]
fn files_that_another_implementation_made_say_what_they_say_there() {
    // Goal: both implementations convict the same servers. Method: tests/vectors/store_faults.json, which the pages' tests made once.
    let text = include_str!("../../../../../tests/vectors/store_faults.json");
    let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() > 20, "{} cases", cases.len());
    for case in cases {
        let bytes = data_encoding::HEXLOWER.decode(case["in"]["file"].as_str().unwrap().as_bytes()).unwrap();
        let judged = check(&FaultFile::decode(&bytes).unwrap());
        let (says, error) = match &judged {
            Ok(conviction) => (Some(conviction.to_string()), None),
            Err(why) => (None, Some(why.code())),
        };
        assert_eq!(
            (says.as_deref(), error),
            (case["out"]["says"].as_str(), case["error"].as_str()),
            "{}",
            case["name"]
        );
    }
}
