//! The pages: documents, styles and modules of `dgns/web` as they were when the server was built (PROTOCOL 12.10).
//!
//! Nothing is made at run time: what a browser gets is what stands in the source, byte for byte, so one hash tells a reader which
//! pages a server gives out.

use std::io::Write as _;
use std::sync::OnceLock;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::write::GzEncoder;
use identity::hash::sha256;

/// One file of `dgns/web`.
struct File {
    /// Its path below that folder.
    path: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($path:literal)*) => {
        &[$(File { path: $path, bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/", $path)) }),*]
    };
}

/// Everything in `dgns/web`, ascending.
const FILES: &[File] = files! {
    "alias.js"
    "argon2.js"
    "attest.js"
    "blake3.js"
    "body.js"
    "bundle.js"
    "canonical.js"
    "cbor.js"
    "certificate.js"
    "chain.js"
    "client.js"
    "ed25519.js"
    "edge.js"
    "edwards.js"
    "entry.js"
    "evidence.js"
    "explain.js"
    "fault.js"
    "fields.js"
    "finding.js"
    "first.js"
    "gossip.js"
    "hash.js"
    "head.js"
    "kdf.js"
    "keys.js"
    "last.js"
    "lobby/attach.js"
    "lobby/candidate.js"
    "lobby/card.js"
    "lobby/connect.js"
    "lobby/connection.js"
    "lobby/credential.js"
    "lobby/delivery.js"
    "lobby/envelope.js"
    "lobby/follow.js"
    "lobby/frame.js"
    "lobby/hello.js"
    "lobby/ledger.js"
    "lobby/link.js"
    "lobby/sdp.js"
    "lobby/share.js"
    "lobby/store.js"
    "mail.js"
    "map.js"
    "memory.js"
    "name.js"
    "net.js"
    "note.js"
    "oprf.js"
    "oprf_threshold.js"
    "page/account.js"
    "page/addresses.js"
    "page/aliases.js"
    "page/approve.html"
    "page/approve.js"
    "page/at_server.js"
    "page/attempt.js"
    "page/attested.js"
    "page/claim.html"
    "page/claim.js"
    "page/code.js"
    "page/connect.html"
    "page/connect.js"
    "page/database_log.js"
    "page/database_rows.js"
    "page/databases.js"
    "page/desk.js"
    "page/devices.html"
    "page/devices.js"
    "page/dom.js"
    "page/enrol.js"
    "page/entries.js"
    "page/explore.html"
    "page/explore.js"
    "page/find.html"
    "page/find.js"
    "page/goals.js"
    "page/icon.svg"
    "page/issuers.js"
    "page/labels.js"
    "page/letters.js"
    "page/lookup.html"
    "page/lookup.js"
    "page/me.js"
    "page/pairing.js"
    "page/parts.js"
    "page/passkey.js"
    "page/passkeys.js"
    "page/peer_trouble.js"
    "page/program.js"
    "page/proof.js"
    "page/push_worker.js"
    "page/records.js"
    "page/recover.html"
    "page/recover.js"
    "page/recover_steps.js"
    "page/recovering.js"
    "page/recovery.html"
    "page/recovery.js"
    "page/recovery_log.js"
    "page/recovery_own.js"
    "page/recovery_servers.js"
    "page/recovery_view.js"
    "page/relay.js"
    "page/save.js"
    "page/sealing.js"
    "page/served.js"
    "page/shell.js"
    "page/signed.js"
    "page/signin.html"
    "page/signin.js"
    "page/signins.js"
    "page/start.html"
    "page/start.js"
    "page/style.css"
    "page/told.js"
    "page/trouble.js"
    "page/user_keys.js"
    "page/work.js"
    "page/worker.js"
    "page/workers.js"
    "pair.js"
    "pin.js"
    "policy.js"
    "push.js"
    "qr.js"
    "recovery.js"
    "recovery_message.js"
    "request.js"
    "resolution.js"
    "ristretto.js"
    "rotation.js"
    "rules.js"
    "rules/act.js"
    "rules/aliases.js"
    "rules/chain.js"
    "rules/claim.js"
    "rules/devices.js"
    "rules/draft.js"
    "rules/effect.js"
    "rules/pending.js"
    "rules/power.js"
    "rules/rdata.js"
    "rules/records.js"
    "rules/recovery.js"
    "rules/server.js"
    "rules/settle.js"
    "sealed.js"
    "shamir.js"
    "state.js"
    "storage.js"
    "store/acl.js"
    "store/anchor.js"
    "store/anchored.js"
    "store/answer.js"
    "store/body.js"
    "store/control.js"
    "store/database.js"
    "store/entry.js"
    "store/evidence.js"
    "store/fault.js"
    "store/follow.js"
    "store/fork.js"
    "store/head.js"
    "store/kept.js"
    "store/limits.js"
    "store/moves.js"
    "store/owners.js"
    "store/partition.js"
    "store/people.js"
    "store/snapshot.js"
    "tree.js"
    "user_key.js"
    "verify.js"
    "wordlist.js"
    "words.js"
    "work.js"
    "write.js"
    "xchacha.js"
};

/// What everything carries besides its bytes.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-cache"),
    (header::VARY, "accept-encoding"),
];

/// What a document and a worker may do. Scripts, styles and requests are our own; no page is framed, and no text becomes markup or
/// code but the address of our own worker.
const POLICY: &str = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types dgns-worker";

/// The same, for the pages that ask recovery servers too, which are other people's.
const POLICY_ABROAD: &str = "default-src 'self'; connect-src 'self' https: http://127.0.0.1:* http://localhost:*; \
                             base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; \
                             require-trusted-types-for 'script'; trusted-types dgns-worker";

/// The documents that ask other people's servers.
const ABROAD: [&str; 2] = ["page/recover.html", "page/recovery.html"];

/// What documents and workers carry besides their policy.
const FENCE: [(HeaderName, &str); 3] = [
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Returns the routes of all pages and of what they are made of.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |routes, file| {
        let served: &'static Served = Box::leak(Box::new(Served::of(file)));
        routes.route(&url(file.path), get(async move |headers: HeaderMap| served.answer(&headers)))
    })
}

/// Returns the hash of all pages: SHA-256 over a line `<SHA-256 in hexadecimal>  <path below dgns/web>` for each file,
/// ascending by path.
pub(super) fn bundle_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let line = |file: &File| format!("{}  {}\n", HEXLOWER.encode(&sha256(&[file.bytes])), file.path);
        HEXLOWER.encode(&sha256(&[FILES.iter().map(line).collect::<String>().as_bytes()]))
    })
}

/// Where a file is found: documents at their own name, the rest as it lies in the folder.
fn url(path: &str) -> String {
    match path.strip_prefix("page/").and_then(|name| name.strip_suffix(".html")) {
        Some("start") => "/".to_owned(),
        Some(name) => format!("/{name}"),
        None => format!("/{path}"),
    }
}

/// A file as it is given out.
struct Served {
    bytes: &'static [u8],
    /// Compressed when first asked for.
    gzip: OnceLock<Bytes>,
    kind: &'static str,
    /// The policy of what is run by itself, and not by a document.
    policy: Option<&'static str>,
    /// Weak: the same for both encodings.
    etag: String,
}

impl Served {
    fn of(file: &'static File) -> Self {
        let kind = match file.path.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        };
        let etag = format!("W/\"{}\"", HEXLOWER.encode(&sha256(&[file.bytes])[..16]));
        let fenced = file.path.ends_with(".html") || file.path.ends_with("worker.js");
        let policy = if ABROAD.contains(&file.path) { POLICY_ABROAD } else { POLICY };
        Self { bytes: file.bytes, gzip: OnceLock::new(), kind, policy: fenced.then_some(policy), etag }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let has = |name: HeaderName, value: &str| {
            let lists = asked.get_all(name).into_iter().filter_map(|list| list.to_str().ok());
            lists.flat_map(|list| list.split(',')).any(|item| item.trim() == value)
        };
        let mut response = match has(header::IF_NONE_MATCH, &self.etag) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false if has(header::ACCEPT_ENCODING, "gzip") => {
                let mut response = self.gzip.get_or_init(|| gzip(self.bytes)).clone().into_response();
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            false => Bytes::from_static(self.bytes).into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::ETAG, HeaderValue::from_str(&self.etag).expect("hexadecimal digits are plain text"));
        let plain = |(name, value): &(HeaderName, &'static str)| (name.clone(), HeaderValue::from_static(value));
        headers.extend(HEADERS.iter().map(plain));
        if let Some(policy) = self.policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            headers.extend(FENCE.iter().map(plain));
        }
        response
    }
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("memory takes every byte").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file below `folder`, as paths from `top`.
    fn walk(top: &std::path::Path, folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => walk(top, &entry.path(), found),
                false => found.push(entry.path().strip_prefix(top).unwrap().to_string_lossy().replace('\\', "/")),
            }
        }
    }

    #[test]
    fn every_file_of_the_pages_is_given_out() {
        let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let mut found = Vec::new();
        walk(&top, &top, &mut found);
        found.sort();
        assert_eq!(FILES.iter().map(|file| file.path).collect::<Vec<_>>(), found, "left: the table, right: dgns/web");
    }

    #[test]
    fn documents_stand_at_their_own_names() {
        let cases = [
            ("page/start.html", "/"),
            ("page/claim.html", "/claim"),
            ("page/claim.js", "/page/claim.js"),
            ("map.js", "/map.js"),
        ];
        for (path, expected) in cases {
            assert_eq!(url(path), expected);
        }
    }

    #[test]
    fn a_page_is_compressed_revalidated_and_fenced_in() {
        let document = FILES.iter().find(|file| file.path == "page/claim.html").unwrap();
        let served = Served::of(document);
        let ask = |name: HeaderName, value: &str| {
            served.answer(&HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]))
        };
        let plain = served.answer(&HeaderMap::new());
        assert_eq!((plain.status(), plain.headers().get(header::CONTENT_ENCODING)), (StatusCode::OK, None));
        assert!(plain.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'self';"));
        let gzipped = ask(header::ACCEPT_ENCODING, "br, gzip");
        assert_eq!(gzipped.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(plain.headers()[header::ETAG], gzipped.headers()[header::ETAG]);
        let etag = plain.headers()[header::ETAG].to_str().unwrap();
        assert_eq!(ask(header::IF_NONE_MATCH, &format!("\"x\", {etag}")).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(ask(header::IF_NONE_MATCH, "W/\"x\"").status(), StatusCode::OK);
        let fenced = FILES.iter().map(Served::of).filter(|served| served.policy.is_some()).count();
        assert_eq!(
            fenced,
            FILES.iter().filter(|file| file.path.ends_with(".html")).count() + 2,
            "documents, two workers"
        );
    }

    #[test]
    fn pages_ask_nobody_else_but_those_of_recovery() {
        let abroad = |path: &str| {
            let file = FILES.iter().find(|file| file.path == path).unwrap();
            Served::of(file).policy.unwrap().contains("connect-src")
        };
        let documents = FILES.iter().map(|file| file.path).filter(|path| path.ends_with(".html"));
        let asking: Vec<_> = documents.filter(|path| abroad(path)).collect();
        assert_eq!(asking, ABROAD);
        for policy in [POLICY, POLICY_ABROAD] {
            assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
        }
    }
}
