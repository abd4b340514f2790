//! Fetching every file of a snapshot, and looking at all of the answers.

use favonius_testing::{Reply, asset_hash};
use futures::{StreamExt as _, stream};
use http::HeaderMap;

use super::build::{Asset, Build};
use super::edge::{Edge, host_of, url_path};

/// Requests at a time.
const PARALLEL: usize = 6;
const MANIFEST: &str = "zephyr-manifest.json";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const REVALIDATED: &str = "public, max-age=0, must-revalidate";

/// What kind of host files are fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    /// It stands for one build for ever.
    Version,
    /// A tag or an environment: another build tomorrow.
    Name,
}

/// What a file must be served as.
pub(crate) fn media_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("wasm") => "application/wasm",
        Some("bin") => "application/octet-stream",
        None if name == "apple-app-site-association" => "application/json",
        other => panic!("`{path}`: what is {other:?} served as?"),
    }
}

/// GETs and HEADs every file of a build at its version URL, and checks status, type, length, validators, rules for caches and
/// the bytes. Returns how many files there were.
pub(crate) async fn check_version(edge: &Edge, build: &Build) -> usize {
    check_all(edge, host_of(&build.version_url), build, Host::Version).await
}

/// The same at a tag or an environment; there the manifest may hold other variables than the build's.
pub(crate) async fn check_name(edge: &Edge, host: &str, build: &Build) -> usize {
    check_all(edge, host, build, Host::Name).await
}

async fn check_all(edge: &Edge, host: &str, build: &Build, kind: Host) -> usize {
    assert!(!build.assets.is_empty(), "{build:#?}");
    let checks = build
        .assets
        .iter()
        .map(|asset| check(edge, host, kind, build, asset));
    let checked: Vec<bool> = stream::iter(checks)
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let kept = checked.iter().filter(|kept| **kept).count();
    let could_be = build
        .assets
        .iter()
        .filter(|asset| has_fingerprint(&asset.path))
        .count();
    // Which names hold a fingerprint is guessed; of that many not all are missed.
    assert!(
        kept > 0 || could_be < 5,
        "{host}: browsers keep none of {could_be} files"
    );
    checked.len()
}

/// Returns whether browsers may keep the file for ever.
async fn check(edge: &Edge, host: &str, kind: Host, build: &Build, asset: &Asset) -> bool {
    let target = url_path(&asset.path);
    let get = edge.read(host, &target).await;
    let context = format!("{host}{target}: {:?}", get.headers);
    check_head(&get, kind, build, asset, &context);
    let is_manifest = asset.path.ends_with(MANIFEST);
    if kind == Host::Version || !is_manifest {
        check_body(&get, build, asset, &context);
    }

    let head = edge
        .client()
        .head(&target)
        .host(host)
        .send()
        .await
        .expect_status(200);
    assert_eq!(
        lasting(&head.headers),
        lasting(&get.headers),
        "HEAD of {context}"
    );
    assert!(head.body.is_empty(), "HEAD of {context}");

    let etag = get.header("etag").unwrap_or_default();
    let again = edge.get(host, &target).header("if-none-match", etag);
    let again = again.send().await.expect_status(304);
    assert!(again.body.is_empty(), "304 of {context}");
    get.header("cache-control") == Some(IMMUTABLE)
}

fn check_head(get: &Reply, kind: Host, build: &Build, asset: &Asset, context: &str) {
    let length = get.body.len().to_string();
    let expected = [
        ("content-type", media_type(&asset.path)),
        ("content-length", &length),
        ("x-content-type-options", "nosniff"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-favonius-deployment", &build.snapshot_id),
    ];
    for (name, value) in expected {
        assert_eq!(get.header(name), Some(value), "{name} of {context}");
    }
    check_cache_control(get, kind, &asset.path, context);
    let etag = get.header("etag").unwrap_or_default();
    assert!(
        etag.starts_with('"') && etag.len() > 2,
        "no strong ETag: {context}"
    );
}

fn check_body(get: &Reply, build: &Build, asset: &Asset, context: &str) {
    let mut bytes = get.body.to_vec();
    if media_type(&asset.path).starts_with("text/html") {
        let original = without_import_map(&get.text(), asset.size, &build.application_uid);
        bytes = original.into_bytes();
    }
    assert_eq!(bytes.len() as u64, asset.size, "size of {context}");
    let path = asset.path.strip_prefix(base(build)).unwrap_or(&asset.path);
    assert_eq!(asset_hash(&bytes, path), asset.hash, "bytes of {context}");
}

/// A page as it was uploaded, after a look at where the edge put the import map that the page lacks.
fn without_import_map(page: &str, uploaded_size: u64, application_uid: &str) -> String {
    if page.len() as u64 == uploaded_size {
        let lacks_nothing = page.contains(r#"type="importmap""#);
        let no_place = ["<script", "</head>", "<body"]
            .iter()
            .all(|tag| !page.contains(tag));
        assert!(lacks_nothing || no_place, "no import map in:\n{page}");
        return page.to_owned();
    }
    let map = format!(
        r#"<script type="importmap">{{"imports":{{"env:vars:{application_uid}":"/{MANIFEST}"}}}}</script>"#
    );
    let Some((before, after)) = page.split_once(&map) else {
        panic!("not as uploaded, and no import map was added:\n{page}");
    };
    let too_late = ["<script", "modulepreload"]
        .iter()
        .any(|tag| before.contains(tag));
    let twice = after.contains(r#"type="importmap""#);
    assert!(
        !too_late && !twice,
        "the import map is not where it belongs:\n{page}"
    );
    format!("{before}{after}")
}

/// The directory of the manifest: what the client put before the paths of files, after it had hashed them.
fn base(build: &Build) -> &str {
    let manifest = build
        .assets
        .iter()
        .find_map(|asset| asset.path.strip_suffix(MANIFEST));
    manifest.unwrap_or_default()
}

/// How long a browser may keep a file.
fn check_cache_control(get: &Reply, kind: Host, path: &str, context: &str) {
    let tells_of_builds = [
        ".html",
        MANIFEST,
        "mf-manifest.json",
        "mf-stats.json",
        "remoteEntry.js",
    ];
    let kept = get.header("cache-control");
    if tells_of_builds.iter().any(|end| path.ends_with(end)) {
        assert_eq!(kept, Some(REVALIDATED), "{context}");
    } else if kind == Host::Version {
        assert_eq!(kept, Some(IMMUTABLE), "{context}");
    } else if !has_fingerprint(path) {
        assert_eq!(kept, Some(REVALIDATED), "{context}");
    } else {
        assert!(
            kept == Some(IMMUTABLE) || kept == Some(REVALIDATED),
            "{context}"
        );
    }
}

/// Whether a file is where the bundlers of the sample applications put what has a fingerprint in its name.
fn has_fingerprint(path: &str) -> bool {
    ["assets/", "js/", "img/"]
        .iter()
        .any(|dir| path.contains(dir))
}

/// What GET and HEAD must agree about.
fn lasting(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove("date");
    headers.remove("x-request-id");
    headers
}
