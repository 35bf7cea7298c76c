//! DID documents as a reader of W3C DID Core meets them: what the specification demands of one is checked here by hand, and keys
//! are taken apart by somebody else's Base58.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use dgns_tests::harness::{Person, Server, Site, wait};
use serde_json::{Value, json};

/// The verification relationships of DID Core 5.3 that we use, all of them lists of references.
const RELATIONSHIPS: [&str; 4] = ["authentication", "assertionMethod", "keyAgreement", "capabilityInvocation"];

/// A key of a document: fragment, codec and bytes.
type Key = (String, [u8; 2], Vec<u8>);

/// Checks what DID Core (and Multikey) demand of the document of `did`, and returns its keys.
fn read(did: &str, document: &Value) -> Result<Vec<Key>, String> {
    let demand = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    let list = |member: &str| document[member].as_array().cloned().ok_or(format!("{member} is no list"));
    let members: BTreeSet<&str> = document.as_object().ok_or("no object")?.keys().map(String::as_str).collect();
    let known = ["@context", "id", "alsoKnownAs", "verificationMethod", "service"];
    demand(members.iter().all(|member| known.contains(member) || RELATIONSHIPS.contains(member)), "unknown member")?;
    demand(document["@context"][0] == "https://www.w3.org/ns/did/v1", "@context")?;
    demand(document["id"] == did, "id is not the DID asked for")?;
    let is_uri = |text: &Value| text.as_str().is_some_and(|text| text.contains(':') && !text.contains(' '));
    demand(list("alsoKnownAs")?.iter().all(is_uri), "alsoKnownAs holds no URI")?;
    for service in list("service")? {
        let id = service["id"].as_str().unwrap_or_default();
        demand(id.starts_with(&format!("{did}#")) && service["type"].is_string(), "service")?;
        demand(is_uri(&service["serviceEndpoint"]), "serviceEndpoint")?;
    }
    let (mut keys, mut ids) = (Vec::new(), BTreeSet::new());
    for method in list("verificationMethod")? {
        let id = method["id"].as_str().unwrap_or_default().to_owned();
        let fragment = id.strip_prefix(&format!("{did}#")).ok_or("a method of another subject")?.to_owned();
        demand(method["type"] == "Multikey" && method["controller"] == did, "type, controller")?;
        demand(method.as_object().is_some_and(|method| method.len() == 4), "members of a method")?;
        let key = method["publicKeyMultibase"].as_str().and_then(|text| text.strip_prefix('z')).ok_or("no Base58")?;
        let key = bs58::decode(key).into_vec().map_err(|error| error.to_string())?;
        demand(key.len() == 34, "the length of a key")?;
        keys.push((fragment, [key[0], key[1]], key[2..].to_vec()));
        demand(ids.insert(id), "a method twice")?;
    }
    for relationship in RELATIONSHIPS {
        let named = list(relationship)?;
        let known = named.iter().all(|id| id.as_str().is_some_and(|id| ids.contains(id)));
        demand(known, "a reference to no method")?;
    }
    Ok(keys)
}

fn get(server: &Server, path: &str) -> Value {
    let answer = server.get(path);
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/did+json"), "{}", answer.text());
    answer.json()
}

/// The path at which a reader of `did:web` looks, from the DID alone.
fn web_path(did: &str) -> String {
    let mut parts = did.strip_prefix("did:web:").expect("did:web").split(':');
    let host = parts.next().unwrap();
    assert_eq!(host, "id.dgns.test%3A8443", "the host of the public URL, its port escaped");
    let parts: Vec<&str> = parts.collect();
    if parts.is_empty() { "/.well-known/did.json".into() } else { format!("/{}/did.json", parts.join("/")) }
}

#[test]
fn a_document_holds_the_proved_keys_under_both_names_of_the_did() {
    // Goal: the document is what the log proves, for readers of did:dgns and of did:web. Method: a person with two devices and a
    // user key; the proved lookup and both documents hold the same keys, and each document passes the checks of DID Core.
    let site = Site::new().with("signin", "public_url", "\"https://id.dgns.test:8443\"");
    let (server, alice) = (site.start(), Person::new());
    alice.up(&server, "alice");
    let proved = alice.dgns(&server, &["resolve", "alice", "--genesis"]).exits(0).json();
    let did = proved["did"].as_str().unwrap();
    let hex = |value: &Value| value.as_str().unwrap().to_owned();
    let device = &proved["devices"][0];

    let of_dgns = get(&server, &format!("/v1/dids/{did}/did.json"));
    let web = of_dgns["alsoKnownAs"][0].as_str().unwrap();
    assert_eq!(of_dgns["alsoKnownAs"][1], "dns:alice.dgns.test");
    let of_web = get(&server, &web_path(web));
    assert_eq!(of_web["alsoKnownAs"][0], did);
    for (name, document) in [(did, &of_dgns), (web, &of_web)] {
        let keys = read(name, document).unwrap_or_else(|why| panic!("{why}: {document}"));
        let kid = hex(&device["kid"]);
        let found = |fragment: &str| {
            let (_, codec, key) = keys.iter().find(|(id, ..)| id == fragment).expect("the key is there");
            (*codec, HEXLOWER.encode(key))
        };
        assert_eq!(found(&kid), ([0xed, 1], hex(&device["sign"])));
        assert_eq!(found(&format!("{kid}-kex")), ([0xec, 1], hex(&device["kex"])));
        assert_eq!(found("user-key-1"), ([0xec, 1], hex(&proved["user_key"]["key"])));
        assert_eq!(found("identity").0, [0xed, 1]);
        assert_eq!(document["authentication"], json!([format!("{name}#{kid}")]));
        assert_eq!(document["capabilityInvocation"], json!([format!("{name}#identity"), format!("{name}#{kid}")]));
        assert_eq!(document["service"][0]["serviceEndpoint"], format!("https://id.dgns.test:8443/v1/dids/{did}"));
    }

    let own = get(&server, "/.well-known/did.json");
    let own_web = own["id"].as_str().unwrap();
    assert_eq!(web_path(own_web), "/.well-known/did.json");
    read(own_web, &own).unwrap();
    assert_eq!(own["alsoKnownAs"][0], server.get("/v1/info").json()["server_did"], "the host is the server's DID");
}

#[test]
fn a_suspended_device_leaves_the_document_and_an_ended_did_has_none() {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    let words = alice.up(&server, "alice");
    let second = Person::new();
    second.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &format!("{words}\n")).exits(0);
    let did = alice.dgns(&server, &["whoami"]).text("/subject");
    let path = format!("/v1/dids/{did}/did.json");
    let count = |member: &str| get(&server, &path)[member].as_array().map_or(0, Vec::len);
    assert_eq!((count("authentication"), count("keyAgreement"), count("capabilityInvocation")), (2, 3, 3));
    let kid = second.dgns(&server, &["whoami"]).text("/device/kid");
    alice.dgns(&server, &["devices", "suspend", &kid]).exits(0);
    assert_eq!((count("authentication"), count("keyAgreement"), count("capabilityInvocation")), (1, 2, 2));
    let left = read(&did, &get(&server, &path)).unwrap();
    assert!(left.iter().all(|(fragment, ..)| !fragment.contains(&kid)));

    let (site, bob) = (Site::new(), Person::new());
    let server = site.start();
    bob.dgns(&server, &["up", "bob", "--window-s", "1"]).exits(0);
    let did = bob.dgns(&server, &["whoami"]).text("/subject");
    bob.dgns(&server, &["tombstone", "--yes"]).exits(5);
    let path = format!("/v1/dids/{did}/did.json");
    wait::until("the DID ends", || (server.get(&path).status == 410).then_some(()));
    assert_eq!(server.get(&path).problem_code(), "ended");
    assert_eq!(server.get(&format!("/dids/{did}/did.json")).problem_code(), "ended");
}

#[test]
fn a_document_that_breaks_a_demand_is_noticed() {
    let key = bs58::encode([&[0xed, 1][..], &[7; 32]].concat()).into_string();
    let whole = json!({
        "@context": ["https://www.w3.org/ns/did/v1"], "id": "did:x:a", "alsoKnownAs": ["dns:a"], "service": [],
        "verificationMethod": [{ "id": "did:x:a#k", "type": "Multikey", "controller": "did:x:a", "publicKeyMultibase": format!("z{key}") }],
        "authentication": ["did:x:a#k"], "assertionMethod": [], "keyAgreement": [], "capabilityInvocation": [],
    });
    assert_eq!(read("did:x:a", &whole), Ok(vec![("k".into(), [0xed, 1], vec![7; 32])]));
    for (pointer, bad) in [
        ("/@context/0", json!("https://example.test")),
        ("/id", json!("did:x:b")),
        ("/alsoKnownAs/0", json!("a")),
        ("/authentication/0", json!("did:x:a#other")),
        ("/verificationMethod/0/id", json!("did:x:b#k")),
        ("/verificationMethod/0/controller", json!("did:x:b")),
        ("/verificationMethod/0/publicKeyMultibase", json!(format!("u{key}"))),
        ("/verificationMethod/0/publicKeyMultibase", json!("z0OIl")),
    ] {
        let mut document = whole.clone();
        *document.pointer_mut(pointer).unwrap() = bad;
        assert!(read("did:x:a", &document).is_err(), "{pointer}");
    }
}
