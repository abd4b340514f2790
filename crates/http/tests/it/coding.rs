//! Compressed forms: made in the background, negotiated, and gone without harm.

use std::time::Duration;

use favonius_contract::{AssetHash, AssetRef};
use favonius_http::EdgeOptions;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};
use serde_json::json;

use crate::support::{Answer, TestEdge};

const HOST: &str = "www.test";

fn script() -> Vec<u8> {
    "export const greet = (name) => `Hello, ${name}!`;\n"
        .repeat(100)
        .into_bytes()
}

fn asset(path: &str, content: &[u8]) -> AssetRef {
    AssetRef {
        hash: AssetHash::of(content, path),
        size: content.len() as u64,
    }
}

fn form_path(coding: &str, asset: AssetRef) -> Path {
    Path::from(format!(".favonius/coded/{coding}/{asset}"))
}

impl TestEdge {
    /// Waits until all forms of an asset are stored, those of no use too.
    pub(crate) async fn pressed(&self, path: &str, content: &[u8]) {
        let asset = asset(path, content);
        let wait = async {
            for coding in ["gzip", "zstd", "br"] {
                while self.objects.head(&form_path(coding, asset)).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        waited.unwrap_or_else(|_| panic!("no forms of {path}"));
    }

    /// Waits until all forms of an asset that are of use come when they are asked for.
    pub(crate) async fn served_coded(&self, path: &str, content: &[u8]) {
        self.pressed(path, content).await;
        for coding in ["gzip", "zstd", "br"] {
            let form = form_path(coding, asset(path, content));
            if self.objects.head(&form).await.unwrap().size > 0 {
                self.until_coded(&format!("/{path}"), coding).await;
            }
        }
    }

    async fn ask_for(&self, path: &str, accepted: &str) -> Answer {
        self.ask("GET", HOST, path, &[("accept-encoding", accepted)])
            .await
    }

    /// Asks until the answer has this coding.
    async fn until_coded(&self, path: &str, coding: &str) -> Answer {
        for _ in 0..2000 {
            let answer = self.ask_for(path, coding).await;
            if answer.header("content-encoding") == coding {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{path} does not come as {coding}");
    }
}

pub(crate) fn decoded(answer: &Answer) -> Vec<u8> {
    let mut bytes = Vec::new();
    match answer.header("content-encoding") {
        "" => bytes.extend_from_slice(&answer.body),
        "gzip" => {
            let mut decoder = flate2::read::GzDecoder::new(&*answer.body);
            std::io::Read::read_to_end(&mut decoder, &mut bytes).unwrap();
        }
        "br" => brotli::BrotliDecompress(&mut &*answer.body, &mut bytes).unwrap(),
        "zstd" => zstd::stream::copy_decode(&*answer.body, &mut bytes).unwrap(),
        other => panic!("{other}"),
    }
    bytes
}

#[tokio::test]
async fn forms_are_made_after_an_upload_and_negotiated() {
    let edge = TestEdge::new();
    let content = script();
    edge.deploy("u-1", &[("a.js", &content)], &[HOST], |_| {})
        .await;
    edge.pressed("a.js", &content).await;
    let cases = [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("gzip", "gzip"),
        ("br;q=0.1, gzip", "gzip"),
        ("br;q=0, *", "zstd"),
        ("identity, gzip;q=0.5", ""),
        ("deflate", ""),
        ("*;q=0", ""),
        ("identity;q=0, br;q=0, gzip;q=0, zstd;q=0", ""),
        ("", ""),
    ];
    let mut tags = std::collections::HashMap::new();
    for (accepted, coding) in cases {
        let answer = edge.ask_for("/a.js", accepted).await;
        assert_eq!(answer.status, 200, "{accepted}");
        assert_eq!(answer.header("content-encoding"), coding, "{accepted}");
        assert_eq!(answer.header("vary"), "Accept-Encoding", "{accepted}");
        assert_eq!(
            answer.header("content-length"),
            answer.body.len().to_string()
        );
        assert_eq!(decoded(&answer), content, "{accepted}");
        let tag = answer.header("etag").to_owned();
        assert_eq!(*tags.entry(coding).or_insert_with(|| tag.clone()), tag);
    }
    let distinct: std::collections::HashSet<_> = tags.values().collect();
    assert_eq!(distinct.len(), 4, "{tags:?}");

    let gzip = tags["gzip"].as_str();
    for (name, tag, accepted, status) in [
        ("its own", gzip, "gzip", 304),
        ("of a form that is not the best", gzip, "gzip, br", 304),
        ("of the plain one", tags[""].as_str(), "gzip, br", 304),
        ("of a form that is not taken", gzip, "br", 200),
    ] {
        let headers = [("accept-encoding", accepted), ("if-none-match", tag)];
        let answer = edge.ask("GET", HOST, "/a.js", &headers).await;
        assert_eq!(answer.status, status, "case `{name}`");
        assert_eq!(answer.header("vary"), "Accept-Encoding", "case `{name}`");
        if status == 304 {
            assert_eq!(answer.header("etag"), tag, "case `{name}`");
        }
    }
}

#[tokio::test]
async fn ranges_are_of_the_plain_bytes() {
    let edge = TestEdge::new();
    let content = script();
    edge.deploy("u-1", &[("a.js", &content)], &[HOST], |_| {})
        .await;
    edge.pressed("a.js", &content).await;
    let coded = edge.ask_for("/a.js", "br").await;
    let plain = edge.get(HOST, "/a.js").await;
    let ask = async |more: &[(&str, &str)]| {
        let mut headers = vec![("accept-encoding", "br"), ("range", "bytes=10-19")];
        headers.extend_from_slice(more);
        edge.ask("GET", HOST, "/a.js", &headers).await
    };
    let part = ask(&[]).await;
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-encoding"), "");
    assert_eq!(part.header("etag"), plain.header("etag"));
    assert_eq!(part.header("vary"), "Accept-Encoding");
    assert_eq!(part.body, content[10..20]);
    let same = ask(&[("if-range", plain.header("etag"))]).await;
    assert_eq!(same.status, 206);
    // Who has a part of a coded form, or does not know of which form, gets the whole.
    for value in [coded.header("etag"), plain.header("last-modified")] {
        let whole = ask(&[("if-range", value)]).await;
        assert_eq!(whole.status, 200, "{value}");
        assert_eq!(decoded(&whole), content);
    }
}

#[tokio::test]
async fn what_gains_nothing_stays_as_it_is() {
    let edge = TestEdge::new();
    let noise: Vec<u8> = (0..125_u8)
        .flat_map(|number| *AssetHash::of(&[number], "noise").as_bytes())
        .collect();
    let small = &script()[..1000];
    let files: &[(&str, &[u8])] = &[
        ("noise.js", &noise),
        ("small.js", small),
        ("photo.png", &script()),
        ("main.js.gz", &script()),
    ];
    edge.deploy("u-1", files, &[HOST], |_| {}).await;
    edge.pressed("noise.js", &noise).await;
    for (path, content) in files {
        let answer = edge.ask_for(&format!("/{path}"), "br, gzip").await;
        assert_eq!(answer.header("content-encoding"), "", "{path}");
        assert_eq!(answer.body, *content, "{path}");
        let varies = matches!(*path, "noise.js" | "small.js");
        assert_eq!(answer.header("vary") == "Accept-Encoding", varies, "{path}");
    }
    let marker = form_path("br", asset("noise.js", &noise));
    assert_eq!(
        edge.objects.head(&marker).await.unwrap().size,
        0,
        "so that nobody tries again"
    );
    for path in ["small.js", "photo.png", "main.js.gz"] {
        let content = files.iter().find(|(name, _)| *name == path).unwrap().1;
        let form = form_path("br", asset(path, content));
        assert!(edge.objects.head(&form).await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn lost_forms_are_made_again() {
    let content = script();
    let edge = TestEdge::new();
    edge.deploy("u-1", &[("a.js", &content)], &[HOST], |_| {})
        .await;
    edge.pressed("a.js", &content).await;
    let prefix = Path::from(".favonius");
    let forms: Vec<_> = edge
        .objects
        .list(Some(&prefix))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(forms.len(), 3);
    for form in forms {
        edge.objects.delete(&form.location).await.unwrap();
    }
    // A worker that knows nothing of them yet.
    let edge = edge.another(EdgeOptions::default());
    let first = edge.ask_for("/a.js", "br").await;
    assert_eq!(
        (first.status.as_u16(), first.header("content-encoding")),
        (200, "")
    );
    let coded = edge.until_coded("/a.js", "br").await;
    assert_eq!(decoded(&coded), content);
}

#[tokio::test]
async fn without_threads_for_it_everything_is_plain() {
    let options = EdgeOptions {
        compression_threads: 0,
        ..EdgeOptions::default()
    };
    let edge = TestEdge::with(options);
    let content = script();
    edge.deploy("u-1", &[("a.js", &content)], &[HOST], |_| {})
        .await;
    for _ in 0..3 {
        let answer = edge.ask_for("/a.js", "br").await;
        assert_eq!(answer.body, content);
    }
}

#[tokio::test]
async fn pages_with_an_import_map_have_forms_of_their_own() {
    let edge = TestEdge::new();
    let page = format!(
        "<html><head><script src=a.js></script></head><body>{}</body></html>",
        "<p>some text of the page</p>".repeat(100)
    );
    let files: &[(&str, &[u8])] = &[
        ("index.html", page.as_bytes()),
        ("zephyr-manifest.json", b"{}"),
    ];
    edge.deploy("u-1", files, &[HOST], |_| {}).await;
    let plain = edge.get(HOST, "/").await;
    assert!(plain.text().contains("importmap"));
    let coded = edge.until_coded("/", "gzip").await;
    assert_eq!(decoded(&coded), plain.body);
    assert_ne!(coded.header("etag"), plain.header("etag"));
    let sealed = |snapshot: &mut serde_json::Value| snapshot["target"] = json!("tap-app");
    edge.deploy("u-2", files, &["sealed.test"], sealed).await;
    let as_it_is = edge.get("sealed.test", "/").await;
    assert_eq!(as_it_is.body, page.as_bytes());
    assert_ne!(as_it_is.header("etag"), plain.header("etag"));
}

#[tokio::test]
async fn another_application_does_not_get_at_a_file_by_its_form() {
    let edge = TestEdge::new();
    let content = script();
    edge.deploy("u-1", &[("a.js", &content)], &[HOST], |_| {})
        .await;
    edge.pressed("a.js", &content).await;
    let other = crate::support::OTHER;
    let snapshot = crate::support::snapshot(other, "u-1", &[("a.js", &content)]);
    let answer = edge.upload_snapshot(&snapshot).await;
    let version = answer.json()["urls"]["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let host = version.trim_start_matches("https://");
    let headers = [("accept-encoding", "br")];
    let answer = edge.ask("GET", host, "/a.js", &headers).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error().as_str()),
        (503, "asset_pending")
    );
}
