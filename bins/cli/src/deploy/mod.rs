//! A deployment: upload what the edge lacks, then the snapshot, then publish.
//!
//! The snapshot comes after the files, so that the URL of the version is never short of one. What the edge is said to
//! have it may have lost: it finds that out at the publish, or without one when it is asked to look, and then those
//! files are uploaded again, once.

mod names;
mod progress;
mod snapshot;

use std::collections::HashSet;

use anyhow::{Context as _, bail};
use favonius_contract::{ApplicationUid, Delimiter, EdgeHost, SnapshotId};
use favonius_storage::Clock;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use self::snapshot::{Facts, document};
pub(crate) use self::{
    names::{Names, parse_host},
    progress::Progress,
};
use crate::{
    edge::{Edge, EdgeError, Stored},
    failure::usage,
    files::{Build, BuildFile},
    names::{delimiter_of, new_build, snapshot_id},
};

/// How many files are uploaded at once, as many as the published clients do.
const UPLOADS_AT_ONCE: usize = 6;
/// How many build ids are tried when they are ours to choose.
const BUILDS_TRIED: u32 = 3;

/// What is to be deployed, besides the files.
pub(crate) struct Deployment {
    pub(crate) application: ApplicationUid,
    /// Who deploys.
    pub(crate) user: String,
    /// The build id; `None` makes one.
    pub(crate) build: Option<String>,
    /// The edge as its visitors know it.
    pub(crate) domain: EdgeHost,
    pub(crate) commit: Option<String>,
    pub(crate) branch: Option<String>,
    /// Where to publish.
    pub(crate) names: Names,
}

/// What has been deployed.
#[derive(Debug)]
pub(crate) struct Deployed {
    pub(crate) snapshot_id: SnapshotId,
    /// Where this version is served for ever.
    pub(crate) version_url: String,
    /// Where it was published.
    pub(crate) urls: Vec<String>,
    pub(crate) uploaded_files: usize,
    pub(crate) uploaded_bytes: u64,
}

/// Deploys a build.
pub(crate) async fn deploy(
    edge: &Edge,
    progress: &Progress,
    build: &Build,
    deployment: &Deployment,
) -> anyhow::Result<Deployed> {
    // What cannot be a name cannot with any build or delimiter: better known before anything is uploaded.
    version_id(deployment, deployment.build.as_deref().unwrap_or("0"))?;
    deployment.names.hosts(
        &deployment.application,
        &deployment.domain,
        Delimiter::default(),
    )?;
    let known = edge.known_hashes(&deployment.application).await?;
    let missing: Vec<_> = build
        .files()
        .iter()
        .filter(|file| !known.contains(&file.asset.hash))
        .collect();
    let mut run = Run {
        edge,
        progress,
        build,
        deployment,
        uploaded_files: 0,
        uploaded_bytes: 0,
    };
    run.upload(&missing).await?;
    let version = run.store_snapshot().await?;
    let urls = run.publish(&version).await?;
    Ok(Deployed {
        snapshot_id: version.id,
        version_url: version.url,
        urls,
        uploaded_files: run.uploaded_files,
        uploaded_bytes: run.uploaded_bytes,
    })
}

fn version_id(deployment: &Deployment, build: &str) -> anyhow::Result<SnapshotId> {
    snapshot_id(&deployment.user, build, &deployment.application)
        .map_err(|problem| usage(format!("--user, --build: {problem}")))
}

struct Run<'a> {
    edge: &'a Edge,
    progress: &'a Progress,
    build: &'a Build,
    deployment: &'a Deployment,
    uploaded_files: usize,
    uploaded_bytes: u64,
}

/// A snapshot that the edge has.
struct Version {
    id: SnapshotId,
    json: Vec<u8>,
    url: String,
}

impl Run<'_> {
    async fn upload(&mut self, files: &[&BuildFile]) -> Result<(), EdgeError> {
        if files.is_empty() {
            return Ok(());
        }
        let bytes = files.iter().map(|file| file.asset.size).sum();
        self.progress.begin(bytes);
        let application = &self.deployment.application;
        let done = stream::iter(files)
            .map(|file| self.edge.upload(application, file))
            .buffer_unordered(UPLOADS_AT_ONCE)
            .try_collect::<()>()
            .await;
        self.progress.end();
        self.uploaded_files += files.len();
        self.uploaded_bytes += bytes;
        done
    }

    /// Stores the snapshot under an id that no other one has.
    async fn store_snapshot(&mut self) -> anyhow::Result<Version> {
        let clock = Clock::system();
        // A publish looks for the files as well.
        let look = self.deployment.names.is_empty();
        let mut tried = 0;
        loop {
            tried += 1;
            let now_ms = clock.now_ms();
            let build = match &self.deployment.build {
                Some(build) => build.clone(),
                None => new_build(now_ms / 1000).context("there are no random numbers")?,
            };
            let id = version_id(self.deployment, &build)?;
            let facts = Facts {
                application: &self.deployment.application,
                id: &id,
                user: &self.deployment.user,
                build: &build,
                domain: &self.deployment.domain,
                commit: self.deployment.commit.as_deref(),
                branch: self.deployment.branch.as_deref(),
                created_at_ms: now_ms,
            };
            let json = document(&facts, self.build);
            match self.edge.store_snapshot(&json, look).await {
                Ok(Stored {
                    version_url,
                    lacking,
                }) => {
                    self.upload_again(&json, &lacking).await?;
                    return Ok(Version {
                        id,
                        json,
                        url: version_url,
                    });
                }
                Err(error) => {
                    let ours = self.deployment.build.is_none();
                    if !ours || tried == BUILDS_TRIED || error.name() != Some("snapshot_exists") {
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// Uploads what the edge was thought to have, and makes sure that it then has it.
    async fn upload_again(&mut self, json: &[u8], lacking: &HashSet<String>) -> anyhow::Result<()> {
        if lacking.is_empty() {
            return Ok(());
        }
        let files: Vec<_> = self
            .build
            .files()
            .iter()
            .filter(|file| lacking.contains(&file.path))
            .collect();
        self.progress.note(&format!(
            "{} files that the edge listed as known are not there any more: uploading them again",
            files.len()
        ));
        self.upload(&files).await?;
        let still = self.edge.store_snapshot(json, true).await?.lacking;
        if let Some(path) = still.iter().min() {
            bail!(
                "the edge took {} files and does not have them, {path} first: its operator should look at its storage",
                still.len()
            );
        }
        Ok(())
    }

    async fn publish(&mut self, version: &Version) -> anyhow::Result<Vec<String>> {
        let Deployment {
            names,
            application,
            domain,
            ..
        } = self.deployment;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let delimiter = delimiter_of(&version.url, &version.id, domain).unwrap_or_default();
        let hosts = names.hosts(application, domain, delimiter)?;
        let request = json!({
            "app_version": {"application_uid": application, "snapshot_id": version.id},
            "urls": hosts,
            "url_ids": [],
        });
        match self.edge.publish(&request).await {
            Err(error) if error.name() == Some("assets_missing") => {
                // The refusal names some of them; the snapshot tells all.
                let lacking = self.edge.store_snapshot(&version.json, true).await?.lacking;
                self.upload_again(&version.json, &lacking).await?;
                self.edge.publish(&request).await?;
            }
            done => drop(done?),
        }
        Ok(hosts.iter().map(|host| domain.url(host)).collect())
    }
}
