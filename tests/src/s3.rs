//! S3 servers for tests, of two makes: `s3s-fs` over a directory, which checks signatures and conditional writes, and `moto_server`, written
//! by others in another language. Of either every n-th request can fail, before or after it did its work.
//!
//! `DGNS_TEST_MOTO` names the address of a `moto_server` that runs already (`tests/run` starts it), or is `none` where it could not be
//! installed; else each process of tests starts its own.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part, and not each as a library")]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use storage::store::BucketAt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The only bucket of a server of one's own.
const NAME: &str = "chunks";

const KEY_ID: &str = "AKIDGNSTEST";
const SECRET: &str = "not a secret";

/// A bucket of a running server.
pub struct S3 {
    kept: Kept,
    name: String,
    port: u16,
    faults: Arc<Faults>,
}

/// Where the objects are.
enum Kept {
    /// In a directory, which goes with the server.
    Directory(tempfile::TempDir),
    /// With moto, which stands behind a port that passes requests on.
    Moto(SocketAddr),
}

/// Which requests fail.
#[derive(Default)]
struct Faults {
    seen: AtomicU64,
    failed: AtomicU64,
    /// Every so many; 0 is none.
    every: AtomicU64,
}

impl S3 {
    /// Starts a server on the runtime of the test.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join(NAME)).expect("a bucket");
        let mut builder = S3ServiceBuilder::new(FileSystem::new(dir.path()).expect("a store of files"));
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let (service, faults) = (builder.build(), Arc::new(Faults::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        tokio::spawn(serve(listener, service, faults.clone()));
        Self { kept: Kept::Directory(dir), name: NAME.into(), port, faults }
    }

    /// Makes a bucket of its own at a `moto_server`; `None`, and it is said why, where there is none.
    pub async fn moto() -> Option<Self> {
        let moto = moto_address()?;
        let hasher = std::hash::RandomState::new();
        let number = std::hash::BuildHasher::hash_one(&hasher, std::process::id());
        let name = format!("chunks-{number:016x}");
        let (status, body) = ask(moto, "PUT", &format!("/{name}"), b"").await;
        assert_eq!(status, 200, "moto makes no bucket: {}", String::from_utf8_lossy(&body));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (port, faults) = (listener.local_addr().expect("it is bound").port(), Arc::new(Faults::default()));
        tokio::spawn(pass_on(listener, moto, faults.clone()));
        Some(Self { kept: Kept::Moto(moto), name, port, faults })
    }

    /// Makes every `n`-th request from now on fail: by turns before and after it did its work.
    pub fn fail_every(&self, n: u64) {
        self.faults.every.store(n, Ordering::Relaxed);
    }

    /// Returns how many requests failed.
    pub fn failed(&self) -> u64 {
        self.faults.failed.load(Ordering::Relaxed)
    }

    /// Returns where its bucket is.
    pub fn bucket(&self) -> BucketAt {
        BucketAt {
            name: self.name.clone(),
            url: format!("http://127.0.0.1:{}", self.port),
            region: "us-east-1".into(),
            key_id: KEY_ID.into(),
            secret: SECRET.into(),
        }
    }

    /// Returns the paths of all objects, sorted.
    pub async fn paths(&self) -> Vec<String> {
        let moto = match &self.kept {
            Kept::Directory(dir) => return paths_below(&dir.path().join(NAME)),
            Kept::Moto(moto) => *moto,
        };
        let (status, body) = ask(moto, "GET", &format!("/{}?list-type=2&max-keys=1000000", self.name), b"").await;
        let text = String::from_utf8_lossy(&body);
        assert!(status == 200 && !text.contains("<IsTruncated>true"), "{text}");
        let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        let mut keys: Vec<String> = keys.map(|(key, _)| key.to_owned()).collect();
        keys.sort_unstable();
        keys
    }

    /// Returns the bytes of an object.
    pub async fn object(&self, path: &str) -> Vec<u8> {
        match &self.kept {
            Kept::Directory(dir) => std::fs::read(dir.path().join(NAME).join(path)).expect("it is read"),
            Kept::Moto(moto) => {
                let (status, body) = ask(*moto, "GET", &format!("/{}/{path}", self.name), b"").await;
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
                body
            }
        }
    }

    /// Writes other bytes where an object is, as no server of ours does.
    pub async fn damage(&self, path: &str, bytes: &[u8]) {
        match &self.kept {
            Kept::Directory(dir) => std::fs::write(dir.path().join(NAME).join(path), bytes).expect("it is written"),
            Kept::Moto(moto) => {
                let path = format!("/{}/{path}", self.name);
                ask(*moto, "DELETE", &path, b"").await;
                let (status, body) = ask(*moto, "PUT", &path, bytes).await;
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            }
        }
    }
}

/// Returns the paths of all files below a directory, sorted; those of one that is not there are none.
pub fn paths_below(dir: &std::path::Path) -> Vec<String> {
    let (mut found, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = dirs.pop() {
        for item in std::fs::read_dir(at).into_iter().flatten().flatten() {
            match item.file_type().expect("a kind of file").is_dir() {
                true if item.file_name().as_encoded_bytes().starts_with(b".") => {}
                true => dirs.push(item.path()),
                false => found.push(item.path().strip_prefix(dir).expect("below").to_str().expect("text").to_owned()),
            }
        }
    }
    found.sort_unstable();
    found
}

async fn serve(listener: TcpListener, service: S3Service, faults: Arc<Faults>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (service, faults) = (service.clone(), faults.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let (service, faults) = (service.clone(), faults.clone());
                async move {
                    let fails = faults.next();
                    if fails == Some(When::Before) {
                        return Ok(broken());
                    }
                    let answer = hyper::service::Service::call(&service, request).await;
                    if fails == Some(When::After) { Ok(broken()) } else { answer }
                }
            });
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}

/// Returns where a `moto_server` is; `None`, and it is said why, where there is none.
fn moto_address() -> Option<SocketAddr> {
    match std::env::var("DGNS_TEST_MOTO") {
        Ok(none) if none == "none" => {
            // The command that runs all tests has said so already, and goes on without it.
            eprintln!("skipped: moto_server could not be installed");
            None
        }
        Ok(address) => Some(address.parse().expect("DGNS_TEST_MOTO is an address, or none")),
        Err(_) => {
            static OWN: OnceLock<Option<Moto>> = OnceLock::new();
            let own = OWN.get_or_init(Moto::start).as_ref().map(|own| own.address);
            if own.is_none() {
                crate::skip::skip(
                    "moto_server is not installed: tests/run brings it, or pip install 'moto[s3]' flask flask-cors",
                );
            }
            own
        }
    }
}

/// A `moto_server` of this process alone.
struct Moto {
    address: SocketAddr,
    /// Ends the server when its input does, however this process ends.
    _keeper: Child,
}

impl Moto {
    /// Starts one; `None` if there is no such program.
    fn start() -> Option<Self> {
        let brought = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/moto/bin/moto_server");
        let program = if brought.is_file() { brought } else { "moto_server".into() };
        Command::new(&program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        let log = tempfile::NamedTempFile::new().expect("a file");
        let script = "\"$@\" >\"$0\" 2>&1 & server=$!; read -r _; kill $server";
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(script).arg(log.path()).arg(program).args(["-H", "127.0.0.1", "-p", "0"]);
        let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut started = Self { address: ([127, 0, 0, 1], 0).into(), _keeper: keeper.spawn().expect("a shell") };
        for _ in 0..1_200 {
            let said = std::fs::read_to_string(log.path()).unwrap_or_default();
            let address = said.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            if let Some(address) = address {
                started.address = address;
                return Some(started);
            }
            let _ = Command::new("sleep").arg("0.05").status();
        }
        panic!("moto_server does not start: {}", std::fs::read_to_string(log.path()).unwrap_or_default());
    }
}

/// Passes requests on to moto, one a connection; some fail instead, or once they are answered.
async fn pass_on(listener: TcpListener, moto: SocketAddr, faults: Arc<Faults>) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let faults = faults.clone();
        tokio::spawn(async move {
            let Some(request) = read_request(&mut socket).await else { return };
            let fails = faults.next();
            let answer = match fails {
                Some(When::Before) => BROKEN.to_vec(),
                None | Some(When::After) => answer_of(moto, &request).await,
            };
            let _ = socket.write_all(if fails.is_some() { BROKEN } else { &answer }).await;
            let _ = socket.shutdown().await;
        });
    }
}

/// What a failed request is answered.
const BROKEN: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Reads one request, with the length that it says.
async fn read_request(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if socket.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
        let Some(head) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
        let length = text.split("\r\ncontent-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
        if request.len() >= head + 4 + length.unwrap_or(0_usize) {
            return Some(request);
        }
    }
}

/// Sends a request to moto, which closes the connection behind its answer.
async fn answer_of(moto: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut socket = TcpStream::connect(moto).await.expect("moto answers");
    socket.write_all(request).await.expect("moto reads");
    let _ = socket.read_to_end(&mut answer).await;
    answer
}

/// Asks moto, which checks no signatures; returns status and body.
async fn ask(moto: SocketAddr, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {moto}\r\nAuthorization: AWS4-HMAC-SHA256 Credential={KEY_ID}/20260101/us-east-1/s3/aws4_request, \
         SignedHeaders=host, Signature=00\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let answer = answer_of(moto, &[head.as_bytes(), body].concat()).await;
    let text = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    (status, answer[body..].to_vec())
}

#[derive(PartialEq, Eq)]
enum When {
    Before,
    After,
}

impl Faults {
    fn next(&self) -> Option<When> {
        let (every, seen) = (self.every.load(Ordering::Relaxed), self.seen.fetch_add(1, Ordering::Relaxed));
        if every == 0 || !seen.is_multiple_of(every) {
            return None;
        }
        match self.failed.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => Some(When::Before),
            _ => Some(When::After),
        }
    }
}

fn broken() -> hyper::Response<s3s::Body> {
    let mut response = hyper::Response::new(s3s::Body::empty());
    *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
    response
}
