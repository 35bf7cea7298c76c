//! The log as files over HTTP: what stock readers and caches rely on (PROTOCOL 12.1, C2SP tlog-tiles).

use dgns_tests::harness::http::Answer;
use dgns_tests::harness::load::{Poster, Somebody};
use dgns_tests::harness::{Server, Site, wait};
use translog::bundle;
use translog::hash::leaf_hash;
use translog::note::{Checkpoint, Note, VerifierKey};
use translog::tile::{BundleId, Tile, TileId};
use translog::tree::Edge;

const NEVER_CHANGES: &str = "public, max-age=31536000, immutable";

#[test]
fn tiles_and_bundles_give_the_root_of_the_checkpoint() {
    // Goal: the stock read path is enough. Method: from 1 to 300 leaves the tree is built from bundles alone, the tiles are held
    // against it, and its root against the signed note.
    let site = Site::new();
    let server = site.start();
    check_log(&server);
    grow(&server, 300);
    check_log(&server);
    server.stop().exits(0);
    let server = site.start();
    check_log(&server);
    // Full tiles are files now; partial ones of an earlier size are still answered.
    for width in [1, 5, 255] {
        found(&server.get(&format!("/log/tile/0/000.p/{width}")), width * 32);
    }
    found(&server.get("/log/tile/0/000"), 256 * 32);
    assert_eq!(server.get("/log/tile/entries/000").body, server.get("/log/tile/entries/000").body);
}

#[test]
fn what_is_not_there_yet_is_404() {
    let site = Site::new();
    let server = site.start();
    let size = checkpoint(&server).size;
    for path in [
        "/log/tile/0/000".to_owned(),
        format!("/log/tile/0/000.p/{}", size + 1),
        "/log/tile/0/000.p/0".into(),
        "/log/tile/0/000.p/256".into(),
        "/log/tile/0/000.p/01".into(),
        "/log/tile/0/00".into(),
        "/log/tile/0/0000".into(),
        "/log/tile/0/001".into(),
        "/log/tile/0/x000/000".into(),
        "/log/tile/0/x999/x999/x999/x999/x999/999".into(),
        "/log/tile/1/000".into(),
        "/log/tile/1/000.p/1".into(),
        "/log/tile/64/000.p/1".into(),
        "/log/tile/-1/000.p/1".into(),
        "/log/tile/entries/000".into(),
        format!("/log/tile/entries/000.p/{}", size + 1),
        "/log/tile/entries/001.p/1".into(),
        "/log/tile/entries/".into(),
        "/log/tile/names/000.p/1".into(),
        "/log/history/tile/0/000".into(),
        "/log/history/tile/0/000.p/9".into(),
        "/log/history/tile/entries/000.p/1".into(),
        format!("/v1/log/entries/{size}"),
    ] {
        let answer = server.get(&path);
        assert_eq!((answer.status, answer.problem_code().as_str()), (404, "not_found"), "{path}");
    }
}

#[test]
fn each_answer_says_what_it_is_and_how_long_it_holds() {
    let site = Site::new();
    let server = site.start();
    let size = checkpoint(&server).size;
    let server_did = server.get("/v1/info").json()["server_did"].as_str().unwrap().to_owned();
    for (path, content_type, cache) in [
        ("/log/checkpoint".to_owned(), "text/plain; charset=utf-8", "no-store"),
        (format!("/log/tile/0/000.p/{size}"), "application/octet-stream", NEVER_CHANGES),
        (format!("/log/tile/entries/000.p/{size}"), "application/octet-stream", NEVER_CHANGES),
        ("/log/history/tile/0/000.p/2".into(), "application/octet-stream", NEVER_CHANGES),
        ("/v1/log/entries/0".into(), "application/octet-stream", NEVER_CHANGES),
        ("/v1/log/entries/0.tlog-proof".into(), "text/plain; charset=utf-8", "no-store"),
        ("/v1/log/conf".into(), "application/octet-stream", ""),
        (format!("/v1/log/proof?index=0&size={size}"), "application/octet-stream", NEVER_CHANGES),
        (format!("/v1/log/proof?from=3&to={size}"), "application/octet-stream", NEVER_CHANGES),
        ("/v1/names/alice".into(), "application/cbor", "no-store"),
        (format!("/v1/dids/{server_did}"), "application/cbor", "no-store"),
        (format!("/v1/dids/{server_did}/chain"), "application/cbor", "no-store"),
        (format!("/v1/dids/{server_did}/did.json"), "application/did+json", "no-store"),
        ("/v1/info".into(), "application/json", "no-store"),
    ] {
        let answer = server.get(&path);
        assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{path}: {}", answer.text());
        if !cache.is_empty() {
            assert_eq!(answer.header("cache-control"), cache, "{path}");
        }
    }
    for (path, said) in [("/health", "ok\n"), ("/ready", "ready\n")] {
        assert_eq!(server.get(path).text(), said);
    }
}

#[test]
fn proof_whose_size_is_not_named_is_not_kept_by_caches() {
    // Goal: an answer that depends on the newest head must not be called immutable. Method: the same question before and after
    // the log has grown.
    let site = Site::new();
    let server = site.start();
    for path in ["/v1/log/proof?index=0", "/v1/log/proof?from=3"] {
        let before = server.get(path);
        assert_eq!((before.status, before.header("cache-control")), (200, "no-store"), "{path}");
    }
}

/// Reads the whole log by its bundles and holds tiles and checkpoint against it.
fn check_log(server: &Server) {
    let checkpoint = checkpoint(server);
    let mut edge = Edge::new();
    let mut leaves = Vec::new();
    while edge.size() < checkpoint.size {
        let width = (checkpoint.size - edge.size()).min(256);
        let id = BundleId::new(edge.size() / 256, width as u16).unwrap();
        let answer = server.get(&format!("/log/{id}"));
        assert_eq!(answer.status, 200, "{id}");
        for entry in bundle::decode(id, &answer.body).unwrap() {
            leaves.push(leaf_hash(entry));
            edge.append(leaf_hash(entry));
        }
    }
    assert_eq!(edge.root(), checkpoint.root);
    for (index, chunk) in leaves.chunks(256).enumerate() {
        let id = TileId::new(0, index as u64, chunk.len() as u16).unwrap();
        assert_eq!(Tile::decode(id, &server.get(&format!("/log/{id}")).body).unwrap().hashes(), chunk, "{id}");
    }
}

/// Returns the newest checkpoint, its signature verified with the key of the ready line.
fn checkpoint(server: &Server) -> Checkpoint {
    let note = Note::parse(&server.get("/log/checkpoint").body).unwrap();
    note.verify(&[VerifierKey::parse(server.vkey()).unwrap()]).unwrap();
    Checkpoint::parse(note.text()).unwrap()
}

/// Posts changes of one name's records until the log has `size` leaves.
fn grow(server: &Server, size: u64) {
    let (mut bob, birth) = Somebody::new("bob", 1);
    let mut poster = Poster::new(server.vkey());
    let (_, mut resolved) = poster.post(server.http, &birth, &bob.subject()).unwrap();
    for n in 0.. {
        if resolved.head().size >= size {
            break;
        }
        let change = bob.points_to([192, 0, 2, n]);
        resolved = poster.post(server.http, &[change], &bob.subject()).unwrap().1;
    }
    wait::until("the checkpoint shows it", || (checkpoint(server).size >= size).then_some(()));
}

fn found(answer: &Answer, bytes: usize) {
    assert_eq!((answer.status, answer.body.len()), (200, bytes));
}
