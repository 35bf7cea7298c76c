use data_encoding::HEXLOWER_PERMISSIVE;

use super::*;

const NOW_S: u64 = 1_700_000_000;

fn key(algorithm: &str, name: &str) -> Arc<Key> {
    Arc::new(Key::parse(&format!("{algorithm}:{name}:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")).unwrap())
}

/// A query for the SOA of `dgns.test`.
fn query() -> Vec<u8> {
    b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x04dgns\x04test\0\0\x06\0\x01".to_vec()
}

fn judged(message: &[u8], keys: &[Arc<Key>], now_s: u64) -> Result<(bool, Option<Fault>), Malformed> {
    let tsig = read(message)?.ok_or(Malformed)?;
    tsig.judge(message, keys, now_s).map(|(chain, fault)| (chain.is_some(), fault))
}

#[test]
fn a_line_is_a_key_or_none() {
    for (line, is_key) in [
        ("hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODw==", true),
        ("HMAC-SHA512:Peer.Example.:AAECAwQFBgcICQoLDA0ODw==\n", true),
        ("hmac-sha384:a.b:AAECAwQFBgcICQoLDA0ODw==", true),
        ("", false),
        ("hmac-sha256:peer", false),
        ("hmac-sha256::AAECAwQFBgcICQoLDA0ODw==", false),
        ("hmac-sha256:a..b:AAECAwQFBgcICQoLDA0ODw==", false),
        ("hmac-md5:peer:AAECAwQFBgcICQoLDA0ODw==", false),
        ("hmac-sha256:peer:AAECAwQFBgcICQoLDA0O", false),
        ("hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODw", false),
        ("hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODw==:x", false),
    ] {
        assert_eq!(Key::parse(line).is_ok(), is_key, "{line:?}");
    }
    let key = Key::parse("hmac-sha256:Peer:AAECAwQFBgcICQoLDA0ODw==").unwrap();
    assert_eq!(format!("{key:?}"), "hmac-sha256:peer", "the secret is not shown");
}

#[test]
fn a_signature_holds_for_its_key_its_message_and_its_time() {
    // Goal: every change of a byte, another secret, name or algorithm, and another time is told apart by the error RFC 8945 has for it.
    for algorithm in ["hmac-sha256", "hmac-sha384", "hmac-sha512"] {
        let ours = key(algorithm, "peer");
        let mut message = query();
        Chain::begin(ours.clone()).sign(&mut message, NOW_S);
        let keys = [ours.clone()];
        assert_eq!(read(&message).unwrap().unwrap().message_before(&message), query());
        for (now_s, wanted) in [
            (NOW_S, (true, None)),
            (NOW_S + 300, (true, None)),
            (NOW_S - 300, (true, None)),
            (NOW_S + 301, (true, Some(Fault::Time))),
            (NOW_S - 301, (true, Some(Fault::Time))),
        ] {
            assert_eq!(judged(&message, &keys, now_s), Ok(wanted));
        }
        let other = Arc::new(Key::parse(&format!("{algorithm}:peer:AAECAwQFBgcICQoLDA0ODw==")).unwrap());
        assert_eq!(judged(&message, &[other], NOW_S), Ok((false, Some(Fault::Signature))));
        assert_eq!(judged(&message, &[key(algorithm, "stranger")], NOW_S), Ok((false, Some(Fault::Key))));
        assert_eq!(judged(&message, &[], NOW_S), Ok((false, Some(Fault::Key))));
        let unlike = if algorithm == "hmac-sha256" { "hmac-sha512" } else { "hmac-sha256" };
        assert_eq!(judged(&message, &[key(unlike, "peer")], NOW_S), Ok((false, Some(Fault::Key))));
        for at in 0..message.len() {
            let mut bent = message.clone();
            bent[at] ^= 1;
            let judged = judged(&bent, &keys, NOW_S);
            // The id that stands in the record is the one that is signed.
            assert!(at < 2 || judged != Ok((true, None)), "{algorithm} {at}: {judged:?}");
        }
    }
}

#[test]
fn a_signature_stands_last_and_once_and_whole() {
    let ours = key("hmac-sha256", "peer");
    let mut message = query();
    Chain::begin(ours.clone()).sign(&mut message, NOW_S);
    let record = message[query().len()..].to_vec();
    let edited = |message: &[u8], at: usize, byte: u8| {
        let mut edited = message.to_vec();
        edited[at] = byte;
        edited
    };
    let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    assert!(read(&query()).unwrap().is_none());
    for (what, message) in [
        ("as an answer", edited(&edited(&message, 7, 1), 11, 0)),
        ("twice", edited(&[&message[..], &record].concat(), 11, 2)),
        ("before another record", edited(&[&message[..], opt].concat(), 11, 2)),
        ("of class IN", edited(&message, query().len() + 9, 1)),
        ("of another TTL", edited(&message, query().len() + 13, 1)),
        ("cut", message[..message.len() - 1].to_vec()),
        ("with more behind", [&message[..], b"x"].concat()),
        ("longer other data", edited(&message, message.len() - 1, 1)),
    ] {
        assert_eq!(read(&message).map(|tsig| tsig.is_some()), Err(Malformed), "{what}");
    }
    // The MAC: 2 bytes of length and 32, before 6 bytes of id, error and other length.
    let cut = |bytes: usize| {
        let (front, back) = (message.len() - 6 - 32, message.len() - 6);
        let mut cut = [&message[..front + bytes], &message[back..]].concat();
        cut[front - 1] = bytes as u8;
        let length = query().len() + 6 + 9;
        let rdata = u16::from_be_bytes([cut[length - 1], cut[length]]) as usize - (32 - bytes);
        cut[length - 1..=length].copy_from_slice(&(rdata as u16).to_be_bytes());
        cut
    };
    let keys = [ours];
    assert_eq!(judged(&cut(32), &keys, NOW_S), Ok((true, None)));
    // A cut one is looked at whether it holds, then at its time: it is told so, signed (RFC 8945 section 5.3.2).
    assert_eq!(judged(&cut(31), &keys, NOW_S), Ok((true, Some(Fault::Truncated))));
    assert_eq!(judged(&cut(16), &keys, NOW_S), Ok((true, Some(Fault::Truncated))));
    assert_eq!(judged(&cut(16), &keys, NOW_S + 301), Ok((true, Some(Fault::Time))));
    let bent = cut(16);
    assert_eq!(
        judged(&edited(&bent, bent.len() - 7, bent[bent.len() - 7] ^ 1), &keys, NOW_S),
        Ok((false, Some(Fault::Signature)))
    );
    assert_eq!(judged(&cut(15), &keys, NOW_S), Err(Malformed));
    assert_eq!(judged(&cut(0), &keys, NOW_S), Err(Malformed));
}

#[test]
fn answers_are_signed_over_their_query_and_each_over_the_one_before() {
    // Goal: no message of many can be left out, put elsewhere, or come from another exchange.
    let ours = key("hmac-sha256", "peer");
    let mut asks = Chain::begin(ours.clone());
    let mut message = query();
    asks.sign(&mut message, NOW_S);
    let tsig = read(&message).unwrap().unwrap();
    let (chain, _) = tsig.judge(&message, std::slice::from_ref(&ours), NOW_S).unwrap();
    let mut chain = chain.unwrap();
    let mut answers = [query(), query(), query()];
    for answer in &mut answers {
        answer[2] |= 0x80;
        let before = answer.len();
        let bytes = chain.bytes();
        chain.sign(answer, NOW_S);
        assert_eq!(answer.len() - before, bytes);
    }
    assert!(asks.is_answered_by(&answers[0], NOW_S) && !asks.is_answered_by(&answers[0], NOW_S + 301));
    assert!(!asks.is_answered_by(&answers[1], NOW_S) && !asks.is_answered_by(&query(), NOW_S));
    assert!(!Chain::begin(ours).is_answered_by(&answers[0], NOW_S));
    let macs: Vec<Vec<u8>> = answers.iter().map(|answer| read(answer).unwrap().unwrap().mac).collect();
    assert!(macs[0] != macs[1] && macs[1] != macs[2]);
    // What a reader computes of the second message: the MAC before it, the message, the time.
    let before = read(&answers[1]).unwrap().unwrap().message_before(&answers[1]);
    let signed = [&[0, 32], macs[0].as_slice(), &before, &times(NOW_S, FUDGE_S)].concat();
    let secret = Key::parse("hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    assert!(macs::verify(&secret.key, &signed, &macs[1]).is_ok());
}

#[test]
fn refusals_say_why_and_are_signed_where_the_mac_holds() {
    let ours = key("hmac-sha256", "peer");
    let mut asks = Chain::begin(ours.clone());
    let mut message = query();
    asks.sign(&mut message, NOW_S);
    let tsig = read(&message).unwrap().unwrap();
    for fault in [Fault::Signature, Fault::Key] {
        let mut answer = query();
        tsig.refuse(fault, &mut answer);
        let told = read(&answer).unwrap().unwrap();
        assert_eq!((told.error, told.mac.len(), told.key, told.id), (fault as u16, 0, tsig.key, 0x1234));
    }
    let (chain, fault) = tsig.judge(&message, std::slice::from_ref(&ours), NOW_S + 1_000).unwrap();
    assert_eq!(fault, Some(Fault::Time));
    let mut answer = query();
    tsig.refuse_signed(Fault::Time, chain.unwrap(), &mut answer, NOW_S + 1_000);
    let told = read(&answer).unwrap().unwrap();
    assert_eq!((told.error, told.time_s), (18, NOW_S));
    assert_eq!(HEXLOWER_PERMISSIVE.encode(&told.other), format!("{:012x}", NOW_S + 1_000));
    assert!(told.holds(&answer, &ours, &tsig.mac), "so that the peer can believe it");
    let (chain, _) = tsig.judge(&message, std::slice::from_ref(&ours), NOW_S).unwrap();
    let mut answer = query();
    tsig.refuse_signed(Fault::Truncated, chain.unwrap(), &mut answer, NOW_S + 7);
    let told = read(&answer).unwrap().unwrap();
    assert_eq!((told.error, told.time_s, told.other.len()), (22, NOW_S + 7, 0));
    assert!(told.holds(&answer, &ours, &tsig.mac));
}

#[test]
fn answers_of_several_messages_are_heard_in_their_order_and_whole() {
    // Goal: RFC 8945 section 5.3.1 from the other side: each message is signed over the one before; one that is changed, left out, doubled, unsigned, late,
    // or of another key is not heard.
    let ours = key("hmac-sha256", "peer");
    let (mut asks, mut message) = (Chain::begin(ours.clone()), query());
    asks.sign(&mut message, NOW_S);
    let (answers, _) = read(&message).unwrap().unwrap().judge(&message, &[ours], NOW_S).unwrap();
    let mut answers = answers.expect("the key is known");
    let messages: Vec<Vec<u8>> = (0..3_u8)
        .map(|number| {
            let mut answer = query();
            answer[2..4].copy_from_slice(&[0x84, number]);
            answers.sign(&mut answer, NOW_S);
            answer
        })
        .collect();
    let heard = |messages: &[&[u8]], now_s| {
        let mut chain = Chain { key: asks.key.clone(), mac: asks.mac.clone(), goes_on: asks.goes_on };
        messages.iter().all(|message| chain.hears(message, now_s))
    };
    let [first, second, third] = [0, 1, 2].map(|number: usize| messages[number].as_slice());
    assert!(heard(&[first, second, third], NOW_S) && heard(&[first, second], NOW_S + 300));
    for (what, wrong, now_s) in [
        ("late", vec![first], NOW_S + 301),
        ("left out", vec![first, third], NOW_S),
        ("in another order", vec![second, first], NOW_S),
        ("doubled", vec![first, first], NOW_S),
        ("unsigned", vec![first, &query()], NOW_S),
    ] {
        assert!(!heard(&wrong, now_s), "{what}");
    }
    for at in 2..second.len() {
        let mut changed = second.to_vec();
        changed[at] ^= 1;
        assert!(!heard(&[first, &changed, third], NOW_S), "byte {at}");
    }
    let mut stranger = query();
    Chain::begin(key("hmac-sha256", "other")).sign(&mut stranger, NOW_S);
    assert!(!heard(&[&stranger], NOW_S));
}
