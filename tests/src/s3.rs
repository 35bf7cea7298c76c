//! An S3 server for tests: `s3s-fs` over a directory, which checks signatures and conditional writes. Every n-th request can fail,
//! before or after it did its work.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part, and not each as a library")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use storage::store::BucketAt;
use tokio::net::TcpListener;

/// The only bucket.
const NAME: &str = "chunks";

const KEY_ID: &str = "AKIDGNSTEST";
const SECRET: &str = "not a secret";

/// A running server; its objects go with it.
pub struct S3 {
    dir: tempfile::TempDir,
    port: u16,
    faults: Arc<Faults>,
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
        Self { dir, port, faults }
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
            name: NAME.into(),
            url: format!("http://127.0.0.1:{}", self.port),
            region: "us-east-1".into(),
            key_id: KEY_ID.into(),
            secret: SECRET.into(),
        }
    }

    /// Returns the directory in which objects lie by their paths.
    pub fn objects(&self) -> std::path::PathBuf {
        self.dir.path().join(NAME)
    }
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
