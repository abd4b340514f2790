//! Small sites whose pages tell which build they are of.

use favonius_testing::{Client, Reply, SampleApp, WorkerProcess, asset_hash, token};
use serde_json::Value;

/// An application on a worker, as its owner sees it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) application: String,
    pub(crate) token: String,
    domain: String,
}

/// A build: a page, and a script and a style whose names hold a fingerprint.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) number: u32,
    pub(crate) app: SampleApp,
    pub(crate) snapshot_id: String,
    pub(crate) snapshot: Value,
    pub(crate) chunk: String,
}

impl Site {
    pub(crate) fn new(worker: &WorkerProcess, application: &str) -> Self {
        Self {
            client: worker.client(),
            application: application.to_owned(),
            token: token::write_token(application),
            domain: worker.base_url(),
        }
    }

    /// Makes a build, and sends nothing yet.
    pub(crate) fn build(&self, number: u32) -> Build {
        self.build_with(number, &[])
    }

    /// The same with further files.
    pub(crate) fn build_with(&self, number: u32, files: &[(&str, Vec<u8>)]) -> Build {
        let script = format!("export const build = {number}; // {}\n", self.application);
        let fingerprint = asset_hash(script.as_bytes(), "chunk");
        let chunk = format!("assets/chunk-{}.js", fingerprint.split_at(8).0);
        let page = format!(
            "<!doctype html><title>build {number}</title>\
             <script type=\"module\" src=\"/{chunk}\"></script><p>{}</p>\n",
            self.application
        );
        let mut app =
            SampleApp::of(&[("index.html", page.as_bytes()), (&chunk, script.as_bytes())]);
        for (path, content) in files {
            app = app.with_file(path, content.clone());
        }
        let snapshot_id = format!("ada-{number}.{}", self.application);
        let snapshot = app.snapshot(&self.application, &snapshot_id, &self.domain);
        Build {
            number,
            app,
            snapshot_id,
            snapshot,
            chunk,
        }
    }

    /// Uploads a build. Returns the host of its version.
    pub(crate) async fn deploy(&self, build: &Build) -> String {
        let deployed = self.client.deploy(&self.token, &build.app, &build.snapshot);
        host_of(&deployed.await)
    }

    pub(crate) async fn publish(&self, build: &Build, hosts: &[&str]) -> Reply {
        let (uid, id) = (&self.application, &build.snapshot_id);
        self.client.publish(&self.token, uid, id, hosts).await
    }

    /// Makes a build, uploads it and publishes it, if there are hosts to publish it to.
    pub(crate) async fn ship(&self, number: u32, hosts: &[&str]) -> Build {
        let build = self.build(number);
        self.deploy(&build).await;
        if !hosts.is_empty() {
            let _published = self.publish(&build, hosts).await.expect_status(200);
        }
        build
    }

    /// Asks a host for a path.
    pub(crate) async fn get(&self, host: &str, path: &str) -> Reply {
        self.client.get(path).host(host).send().await
    }

    /// The build that a host says it is of, if any: asked for without the page, so that it is the record's age and not the
    /// bucket's speed that is measured.
    pub(crate) async fn named(&self, host: &str) -> Option<u32> {
        let reply = self.client.head("/").host(host).send().await;
        let id = reply.header("x-favonius-deployment")?;
        Some(id.strip_prefix("ada-")?.split('.').next()?.parse().unwrap())
    }

    /// The build that a host shows, if it shows one.
    pub(crate) async fn shown(&self, host: &str) -> Option<u32> {
        let reply = self.get(host, "/").await;
        (reply.status == 200).then(|| build_number(&reply.text()))
    }
}

impl Build {
    /// The script that the page of this build loads, as a path to ask for.
    pub(crate) fn chunk_path(&self) -> String {
        format!("/{}", self.chunk)
    }
}

/// The host of a URL, without its port.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").unwrap().1;
    rest.split([':', '/']).next().unwrap().to_owned()
}

/// Which build a page is of.
pub(crate) fn build_number(page: &str) -> u32 {
    let number = page
        .split_once("<title>build ")
        .and_then(|(_, rest)| rest.split_once("</title>"));
    let (number, _) = number.unwrap_or_else(|| panic!("no build in {page}"));
    number.parse().unwrap()
}

/// So many bytes that do not repeat, so that a piece in the wrong place shows.
pub(crate) fn distinct_bytes(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_le_bytes).take(length).collect()
}
