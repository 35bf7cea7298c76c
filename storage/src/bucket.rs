//! Immutable objects of databases: in a directory, or in an S3-compatible store that several servers share.
//!
//! An object is named by its hash and never changes, so that a write may be tried again whatever became of the one before, and two
//! nodes that write the same one do not disturb each other. What returns from a write is durable as the store promises it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, Error, ObjectStore as _, ObjectStoreExt as _, PutMode, RetryConfig};

use reqwest as _; // what object_store asks with: named here so that it comes with TLS

use crate::fault::{Place, StorageError};
use crate::limits;
use crate::objects::Objects;

/// Where a bucket is, and what is shown to it. Nothing shows the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketAt {
    /// Its name.
    pub name: String,
    /// The URL of the store.
    pub url: String,
    /// Its region; stores of one's own ignore it.
    pub region: String,
    /// The id of the key.
    pub key_id: String,
    /// The key.
    pub secret: String,
}

impl std::fmt::Debug for BucketAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.name, self.url)
    }
}

/// Where objects of databases lie.
pub(crate) enum Blobs {
    Directory(Objects),
    Bucket(Bucket),
}

/// An open bucket.
pub(crate) struct Bucket {
    store: Arc<AmazonS3>,
    name: String,
}

impl Blobs {
    /// Writes a new object. Equal bytes already there succeed, others are [`StorageError::ObjectDiffers`].
    pub(crate) async fn put_new(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        match self {
            Self::Directory(objects) => objects.put_new(path, bytes).await,
            Self::Bucket(bucket) => bucket.put_new(path, bytes).await,
        }
    }

    /// Returns an object; `None` if there is none.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Bytes>, StorageError> {
        match self {
            Self::Directory(objects) => objects.get(path).await,
            Self::Bucket(bucket) => bucket.get(path).await,
        }
    }

    /// Deletes an object; one that is not there is deleted.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), StorageError> {
        match self {
            Self::Directory(objects) => objects.delete(path).await,
            Self::Bucket(bucket) => bucket.delete(path).await,
        }
    }

    /// Returns how the operator finds an object.
    pub(crate) fn place(&self, path: &str) -> Place {
        match self {
            Self::Directory(objects) => Place::File(objects.dir().join(path)),
            Self::Bucket(bucket) => bucket.place(path),
        }
    }
}

impl Bucket {
    /// Opens a bucket that is there; nothing is asked of it yet.
    pub(crate) fn open(at: &BucketAt) -> Result<Self, StorageError> {
        // Whoever came first has set it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig {
            max_retries: limits::S3_TRIES_MAX,
            retry_timeout: Duration::from_secs(limits::S3_S_MAX),
            ..RetryConfig::default()
        };
        let client = ClientOptions::new()
            .with_allow_http(true)
            .with_connect_timeout(Duration::from_secs(limits::CONNECT_S_MAX))
            .with_timeout(Duration::from_secs(limits::S3_S_MAX));
        let built = AmazonS3Builder::new()
            .with_endpoint(&at.url)
            .with_bucket_name(&at.name)
            .with_region(&at.region)
            .with_access_key_id(&at.key_id)
            .with_secret_access_key(&at.secret)
            .with_retry(retry)
            .with_client_options(client)
            .build();
        let name = at.name.clone();
        let wrong = |error: Error| StorageError::Io { place: bucket_place(&name, ""), detail: error.to_string() };
        Ok(Self { store: Arc::new(built.map_err(wrong)?), name: at.name.clone() })
    }

    /// Creates the object if there is none. Tried again after a fault: whether that did the work or not, the bytes are the same.
    async fn put_new(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        let mut tries = 0;
        loop {
            let put = self.store.put_opts(&Path::from(path), bytes.clone().into(), PutMode::Create.into()).await;
            tries += 1;
            match put {
                Ok(_) => return Ok(()),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                    return match self.get(path).await? {
                        Some(there) if there == bytes => Ok(()),
                        Some(_) => Err(StorageError::ObjectDiffers { place: self.place(path) }),
                        None => Err(self.fault(path, "it is there and cannot be read")),
                    };
                }
                Err(error) if tries > limits::S3_TRIES_MAX || is_refusal(&error) => {
                    return Err(self.fault(path, error));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50 << tries.min(5))).await,
            }
        }
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>, StorageError> {
        let mut tries = 0;
        loop {
            let got = match self.store.get(&Path::from(path)).await {
                Ok(found) if found.meta.size > limits::OBJECT_BYTES_MAX => {
                    let detail = format!("{} bytes are too many", found.meta.size);
                    return Err(StorageError::Corrupt { place: self.place(path), detail });
                }
                Ok(found) => found.bytes().await,
                Err(error) => Err(error),
            };
            tries += 1;
            match got {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(Error::NotFound { .. }) => return Ok(None),
                Err(error) if tries > limits::S3_TRIES_MAX || is_refusal(&error) => {
                    return Err(self.fault(path, error));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50 << tries.min(5))).await,
            }
        }
    }

    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.store.delete(&Path::from(path)).await {
                Ok(()) | Err(Error::NotFound { .. }) => return Ok(()),
                Err(error) if tries > limits::S3_TRIES_MAX || is_refusal(&error) => {
                    return Err(self.fault(path, error));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50 << tries.min(5))).await,
            }
        }
    }

    fn place(&self, path: &str) -> Place {
        bucket_place(&self.name, path)
    }

    fn fault(&self, path: &str, what: impl std::fmt::Display) -> StorageError {
        StorageError::Unreachable { place: self.place(path), detail: what.to_string() }
    }
}

fn bucket_place(name: &str, path: &str) -> Place {
    Place::File(PathBuf::from(format!("s3://{name}/{path}")))
}

/// Returns whether asking again would change nothing.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. } | Error::InvalidPath { .. })
}
