//! The requests of a deployment, as the published clients and a control plane send them.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use favonius_contract::{ApplicationUid, AssetHash};
use futures::TryStreamExt as _;
use reqwest::{
    Body, Method,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{fs::File, io::AsyncReadExt as _};
use tokio_util::io::ReaderStream;

use super::{Edge, EdgeError, TIMEOUT, timeout_for};
use crate::files::BuildFile;

/// How long a publish may take: the edge looks for every file of the snapshot.
const PUBLISH_TIMEOUT: Duration = Duration::from_mins(1);
/// Size of the pieces in which a file is read.
const PIECE: usize = 64 * 1024;

/// What the edge says of a snapshot that it has taken.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Where this version is served.
    pub(crate) version_url: String,
    /// Paths whose files the edge lacks, when it was asked to look.
    pub(crate) lacking: HashSet<String>,
}

#[derive(Deserialize)]
struct HashList {
    hashes: Vec<String>,
}

#[derive(Deserialize)]
struct SnapshotAnswer {
    urls: VersionUrl,
    #[serde(default)]
    assets: Vec<Lacking>,
}

#[derive(Deserialize)]
struct VersionUrl {
    version: String,
}

#[derive(Deserialize)]
struct Lacking {
    path: String,
}

#[derive(Deserialize)]
struct RemovalAnswer {
    names: u64,
}

#[derive(Deserialize)]
struct PublishAnswer {
    #[serde(default)]
    urls: Vec<String>,
}

impl Edge {
    /// The hashes of the files that need not be uploaded again.
    pub(crate) async fn known_hashes(
        &self,
        application: &ApplicationUid,
    ) -> Result<HashSet<AssetHash>, EdgeError> {
        let what = "ask which files the edge has";
        let query = [("application_uid", application.as_str())];
        let body = self
            .send(what, TIMEOUT, async || {
                Ok(self.request(Method::GET, "/__get_application_hash_list__", &query))
            })
            .await?;
        let list: HashList = self.read(what, &body)?;
        // What is not a hash of ours stands for no file of ours.
        Ok(list
            .hashes
            .iter()
            .filter_map(|hash| hash.parse().ok())
            .collect())
    }

    /// Uploads a file, from the disk.
    pub(crate) async fn upload(
        &self,
        application: &ApplicationUid,
        file: &BuildFile,
    ) -> Result<(), EdgeError> {
        let what = format!("upload {}", file.path);
        let hash = file.asset.hash.to_string();
        let query = [
            ("type", "file"),
            ("hash", &hash),
            ("filename", &file.path),
            // Whose file it is, for tokens that are for every application.
            ("application_uid", application.as_str()),
        ];
        let size = file.asset.size;
        let sent = Arc::new(AtomicU64::new(0));
        self.send(&what, timeout_for(size), async || {
            // What an attempt before this one has sent does not count any more.
            self.progress.take_back(sent.swap(0, Relaxed));
            let body = self.body_of(file, Arc::clone(&sent)).await?;
            Ok(self
                .write("/upload", &query)
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, size)
                .header("x-file-size", size)
                .body(body))
        })
        .await?;
        Ok(())
    }

    async fn body_of(&self, file: &BuildFile, sent: Arc<AtomicU64>) -> Result<Body, EdgeError> {
        let size = file.asset.size;
        if size == 0 {
            return Ok(Body::from(""));
        }
        let shown = || file.file.display().to_string();
        let unreadable = |cause| EdgeError::File {
            file: shown(),
            cause,
        };
        let opened = File::open(&file.file).await.map_err(unreadable)?;
        if opened.metadata().await.map_err(unreadable)?.len() != size {
            return Err(EdgeError::Changed { file: shown() });
        }
        let progress = self.progress.clone();
        let pieces = ReaderStream::with_capacity(opened.take(size), PIECE);
        Ok(Body::wrap_stream(pieces.inspect_ok(move |piece| {
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            sent.fetch_add(length, Relaxed);
            progress.sent(length);
        })))
    }

    /// Stores a snapshot. With `look` the edge says which of its files it lacks.
    pub(crate) async fn store_snapshot(
        &self,
        json: &[u8],
        look: bool,
    ) -> Result<Stored, EdgeError> {
        let what = "store the snapshot";
        let query: &[_] = if look {
            &[("type", "snapshot")]
        } else {
            &[("type", "snapshot"), ("skip_assets", "true")]
        };
        let timeout = timeout_for(u64::try_from(json.len()).unwrap_or(u64::MAX));
        let body = self.send_json(what, query, json, timeout).await?;
        let answer: SnapshotAnswer = self.read(what, &body)?;
        Ok(Stored {
            version_url: answer.urls.version,
            lacking: answer.assets.into_iter().map(|asset| asset.path).collect(),
        })
    }

    /// Publishes, and gives the hostnames as the edge repeats them.
    pub(crate) async fn publish(&self, request: &Value) -> Result<Vec<String>, EdgeError> {
        let what = "publish";
        let json = request.to_string();
        let query = [("type", "envs")];
        let body = self
            .send_json(what, &query, json.as_bytes(), PUBLISH_TIMEOUT)
            .await?;
        let answer: PublishAnswer = self.read(what, &body)?;
        Ok(answer.urls)
    }

    /// Removes names, and tells how many there were.
    pub(crate) async fn unpublish(&self, request: &Value) -> Result<u64, EdgeError> {
        let what = "remove the names";
        let json = request.to_string();
        let body = self
            .send_json(what, &[("type", "removal")], json.as_bytes(), TIMEOUT)
            .await?;
        let answer: RemovalAnswer = self.read(what, &body)?;
        Ok(answer.names)
    }

    async fn send_json(
        &self,
        what: &str,
        query: &[(&str, &str)],
        json: &[u8],
        timeout: Duration,
    ) -> Result<Vec<u8>, EdgeError> {
        self.send(what, timeout, async || {
            Ok(self
                .write("/upload", query)
                .header(CONTENT_TYPE, "application/json; charset=utf-8")
                .body(json.to_vec()))
        })
        .await
    }
}
