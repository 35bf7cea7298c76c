//! Our notes, cosignatures, tiles and proofs, judged by other people's crates: `signed_note`, `tlog_tiles`, `ct-merkle`
//! (PROTOCOL 8, 9). Go's packages do the same in `interop_go`.

mod notes;
mod proofs;
mod tiles;

use dgns_tests::harness::{Server, load};

/// Lets people claim names, three entries each, until the log has a full tile.
fn fill(server: &Server) {
    for number in 0..90 {
        let (_, certificates) = load::Somebody::new(&format!("filler{number}"), 1);
        let answer = server.post("/v1/certificates", &load::body(&certificates));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}
