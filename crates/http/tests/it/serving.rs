//! From a request to an answer: every row of the serving rules.

use bytes::Bytes;
use favonius_contract::AssetHash;
use favonius_http::EdgeOptions;
use http::Request;
use http_body_util::Full;
use object_store::{ObjectStoreExt, path::Path};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::support::{APP, TestEdge, snapshot};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const SITE: &[(&str, &[u8])] = &[
    ("index.html", b"<title>home</title>"),
    ("about/index.html", b"about"),
    ("docs.html", b"docs"),
    ("assets/index-BfR3x9aZ.js", b"console.log(1)"),
    ("data/menu del día (50%) & más+#?.txt", b"menu"),
    ("upload", b"a page of the application"),
    ("empty.txt", b""),
    ("app.wasm", b"\0asm"),
    ("sw.js", b"self"),
];

async fn site() -> (TestEdge, String) {
    let edge = TestEdge::new();
    let version = edge.deploy("u-1", SITE, &["www.test"], |_| {}).await;
    (edge, version)
}

#[tokio::test]
async fn paths() {
    let (edge, _) = site().await;
    let cases = [
        ("root", "/", 200, "<title>home</title>"),
        ("exact", "/about/index.html", 200, "about"),
        ("directory", "/about/", 200, "about"),
        ("without .html", "/docs", 200, "docs"),
        ("query takes no part", "/docs?x=/../..", 200, "docs"),
        (
            "encoded",
            "/data/menu%20del%20d%C3%ADa%20(50%25)%20&%20m%C3%A1s+%23%3F.txt",
            200,
            "menu",
        ),
        (
            "its own upload page",
            "/upload",
            200,
            "a page of the application",
        ),
        ("empty file", "/empty.txt", 200, ""),
        ("missing script", "/assets/index-ZZZZ9999.js", 404, ""),
        ("parent", "/a/%2e%2e/b", 400, ""),
        ("NUL", "/a%00", 400, ""),
        ("backslash", "/a%5Cb", 400, ""),
        ("not UTF-8", "/%ff", 400, ""),
        ("encoded twice is encoded once", "/%2564ocs", 404, ""),
    ];
    for (name, path, status, text) in cases {
        let answer = edge.get("www.test", path).await;
        assert_eq!(answer.status, status, "case `{name}`: {answer:?}");
        if status == 200 {
            assert_eq!(answer.text(), text, "case `{name}`");
        } else {
            assert_eq!(answer.header("cache-control"), "no-store", "case `{name}`");
        }
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "*",
            "case `{name}`"
        );
    }
    let answer = edge.get("www.test", "/about?a=1&b=2").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (308, "/about/?a=1&b=2")
    );
}

#[tokio::test]
async fn navigations_get_the_application_and_nothing_else_does() {
    let (edge, _) = site().await;
    let cases = [
        ("navigation", "/cart/1", HTML, 200),
        ("a script's fetch", "/cart/1", ("accept", "*/*"), 404),
        ("a missing image", "/logo.png", HTML, 404),
        ("a missing chunk", "/assets/x-BfR3x9aY.js", HTML, 404),
    ];
    for (name, path, accept, status) in cases {
        let answer = edge.ask("GET", "www.test", path, &[accept]).await;
        assert_eq!(answer.status, status, "case `{name}`");
        if status == 200 {
            assert_eq!(answer.text(), "<title>home</title>", "case `{name}`");
        }
    }
}

#[tokio::test]
async fn an_application_s_own_404_page() {
    let edge = TestEdge::new();
    let files: &[(&str, &[u8])] = &[
        ("index.html", b"home"),
        ("404.html", b"lost"),
        ("docs/404.html", b"lost in docs"),
    ];
    edge.deploy("u-1", files, &["www.test"], |_| {}).await;
    for (path, text) in [
        ("/x", "lost"),
        ("/docs/x/y", "lost in docs"),
        ("/a.png", "lost"),
    ] {
        let answer = edge.ask("GET", "www.test", path, &[HTML]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (404, text),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn headers_of_an_asset() {
    let (edge, version) = site().await;
    let immutable = "public, max-age=31536000, immutable";
    let revalidate = "public, max-age=0, must-revalidate";
    let cases = [
        ("www.test", "/", "text/html; charset=utf-8", revalidate),
        (
            "www.test",
            "/assets/index-BfR3x9aZ.js",
            "text/javascript; charset=utf-8",
            immutable,
        ),
        ("www.test", "/app.wasm", "application/wasm", revalidate),
        (
            "www.test",
            "/empty.txt",
            "text/plain; charset=utf-8",
            revalidate,
        ),
        (&version, "/", "text/html; charset=utf-8", revalidate),
        (&version, "/app.wasm", "application/wasm", immutable),
        (
            &version,
            "/sw.js",
            "text/javascript; charset=utf-8",
            revalidate,
        ),
        (&version, "/docs", "text/html; charset=utf-8", revalidate),
    ];
    for (host, path, media_type, cache) in cases {
        let answer = edge.get(host, path).await;
        assert_eq!(answer.header("content-type"), media_type, "{host}{path}");
        assert_eq!(answer.header("cache-control"), cache, "{host}{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            "cross-origin"
        );
        assert_eq!(answer.header("x-favonius-deployment"), format!("u-1.{APP}"));
        assert_eq!(
            answer.header("last-modified"),
            "Sat, 21 Nov 2026 07:35:52 GMT"
        );
        assert_eq!(
            answer.header("content-length"),
            answer.body.len().to_string()
        );
        assert!(!answer.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    let (edge, version) = site().await;
    for host in ["www.test", version.as_str(), "nobody.test"] {
        for (path, _) in SITE {
            let path = format!("/{}", utf8_percent_encode(path, NON_ALPHANUMERIC));
            let path = path.replace("%2F", "/");
            let mut get = edge.get(host, &path).await;
            let mut head = edge.ask("HEAD", host, &path, &[]).await;
            assert_eq!(head.status, get.status, "{host}{path}");
            assert!(head.body.is_empty());
            get.headers.insert("content-length", get.body.len().into());
            for headers in [&mut get.headers, &mut head.headers] {
                headers.remove("x-request-id");
                // The id of the request is in the body of an error, and ids may differ in length.
                if head.status != 200 {
                    headers.remove("content-length");
                }
            }
            assert_eq!(head.headers, get.headers, "{host}{path}");
        }
    }
}

#[tokio::test]
async fn conditions() {
    let (edge, _) = site().await;
    let fresh = edge.get("www.test", "/docs").await;
    let etag = fresh.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let weak = format!("W/{etag}");
    let list = format!("\"x\", {etag}");
    let modified = fresh.header("last-modified").to_owned();
    let cases = [
        ("same", "if-none-match", etag.as_str(), 304),
        ("weak", "if-none-match", &weak, 304),
        ("list", "if-none-match", &list, 304),
        ("any", "if-none-match", "*", 304),
        ("other", "if-none-match", "\"x\"", 200),
        ("not modified", "if-modified-since", &modified, 304),
        (
            "modified",
            "if-modified-since",
            "Fri, 20 Nov 2026 07:35:52 GMT",
            200,
        ),
        ("nonsense", "if-modified-since", "yesterday", 200),
    ];
    for (name, header, value, status) in cases {
        let answer = edge
            .ask("GET", "www.test", "/docs", &[(header, value)])
            .await;
        assert_eq!(answer.status, status, "case `{name}`");
        if status == 304 {
            assert!(answer.body.is_empty());
            for kept in [
                "etag",
                "cache-control",
                "vary",
                "access-control-allow-origin",
            ] {
                assert_eq!(
                    answer.header(kept),
                    fresh.header(kept),
                    "case `{name}`: {kept}"
                );
            }
        }
    }
    let both = [
        ("if-none-match", "\"x\""),
        ("if-modified-since", modified.as_str()),
    ];
    assert_eq!(
        edge.ask("GET", "www.test", "/docs", &both).await.status,
        200
    );
}

#[tokio::test]
async fn ranges() {
    let edge = TestEdge::new();
    edge.deploy(
        "u-1",
        &[("v.mp4", b"0123456789"), ("empty.bin", b"")],
        &["www.test"],
        |_| {},
    )
    .await;
    let etag = edge
        .get("www.test", "/v.mp4")
        .await
        .header("etag")
        .to_owned();
    let cases: [(&str, &[(&str, &str)], u16, &str, &str); 9] = [
        (
            "first",
            &[("range", "bytes=0-3")],
            206,
            "0123",
            "bytes 0-3/10",
        ),
        ("open", &[("range", "bytes=7-")], 206, "789", "bytes 7-9/10"),
        ("last", &[("range", "bytes=-2")], 206, "89", "bytes 8-9/10"),
        (
            "beyond the end",
            &[("range", "bytes=8-99")],
            206,
            "89",
            "bytes 8-9/10",
        ),
        (
            "several",
            &[("range", "bytes=0-1,3-4")],
            200,
            "0123456789",
            "",
        ),
        (
            "other unit",
            &[("range", "lines=0-1")],
            200,
            "0123456789",
            "",
        ),
        (
            "if the same",
            &[("range", "bytes=0-0"), ("if-range", &etag)],
            206,
            "0",
            "bytes 0-0/10",
        ),
        (
            "if another",
            &[("range", "bytes=0-0"), ("if-range", "\"x\"")],
            200,
            "0123456789",
            "",
        ),
        (
            "unsatisfiable",
            &[("range", "bytes=10-")],
            416,
            "",
            "bytes */10",
        ),
    ];
    for (name, headers, status, text, content_range) in cases {
        let answer = edge.ask("GET", "www.test", "/v.mp4", headers).await;
        assert_eq!(answer.status, status, "case `{name}`: {answer:?}");
        assert_eq!(
            answer.header("content-range"),
            content_range,
            "case `{name}`"
        );
        if status != 416 {
            assert_eq!(answer.text(), text, "case `{name}`");
        }
    }
    let empty = edge
        .ask("GET", "www.test", "/empty.bin", &[("range", "bytes=0-")])
        .await;
    assert!(matches!(empty.status.as_u16(), 200 | 416), "{empty:?}");
}

#[tokio::test]
async fn methods() {
    let (edge, _) = site().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let answer = edge.ask(method, "www.test", "/docs", &[]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, "GET, HEAD, OPTIONS"),
            "{method}"
        );
    }
    let asked = [
        ("origin", "https://host.test"),
        ("access-control-request-method", "HEAD"),
        ("access-control-request-headers", "x-a, x-b"),
    ];
    let preflight = edge
        .ask("OPTIONS", "www.test", "/remoteEntry.js", &asked)
        .await;
    assert_eq!(preflight.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
        ("access-control-allow-headers", "x-a, x-b"),
        ("access-control-max-age", "3600"),
        ("access-control-allow-credentials", ""),
    ] {
        assert_eq!(preflight.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn hosts() {
    let (edge, _) = site().await;
    let ask = async |request: http::request::Builder| {
        edge.send(request.body(Full::<Bytes>::default()).unwrap())
            .await
            .status
            .as_u16()
    };
    assert_eq!(ask(Request::get("/")).await, 400, "no host");
    assert_eq!(
        ask(Request::get("/").header("host", "a b")).await,
        400,
        "no hostname"
    );
    assert_eq!(
        ask(Request::get("/")
            .header("host", "www.test")
            .header("host", "www.test"))
        .await,
        400,
        "two"
    );
    assert_eq!(
        ask(Request::get("http://www.test/").header("host", "other.test")).await,
        200,
        "absolute form"
    );
    assert_eq!(
        ask(Request::get("/").header("host", "other.test")).await,
        404,
        "unknown"
    );
    assert_eq!(ask(Request::get("/healthz")).await, 200, "probes need none");
    let unknown = edge.get("other.test", "/").await;
    assert_eq!(unknown.header("cache-control"), "no-store");
    assert_eq!(unknown.error(), "unknown_host");
    let page = edge.ask("GET", "other.test", "/", &[HTML]).await;
    assert!(
        page.text().starts_with("<!doctype html>"),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn labels_of_the_edge_s_own_host() {
    let options = EdgeOptions {
        public_url: Some("https://ze.test".parse().unwrap()),
        ..EdgeOptions::default()
    };
    let edge = TestEdge::with(options);
    edge.deploy("u-1", SITE, &["shop"], |_| {}).await;
    assert_eq!(edge.get("shop-ze.test", "/docs").await.text(), "docs");
    assert_eq!(edge.get("shop-other.test", "/docs").await.status, 404);
}

#[tokio::test]
async fn pending_assets_are_not_hidden() {
    let edge = TestEdge::new();
    edge.upload_file("index.html", b"home").await;
    let files: &[(&str, &[u8])] = &[("index.html", b"home"), ("late.js", b"late")];
    edge.upload_snapshot(&snapshot(APP, "u-1", files)).await;
    let version = "u-1-shop-web-acme-edge.test";
    for method in ["GET", "HEAD"] {
        let pending = edge.ask(method, version, "/late.js", &[]).await;
        assert_eq!(pending.status, 503, "{method}");
        assert_eq!(pending.header("retry-after"), "1");
        assert_eq!(pending.header("cache-control"), "no-store");
    }
    assert_eq!(edge.get(version, "/late.js").await.error(), "asset_pending");
    edge.upload_file("late.js", b"late").await;
    assert_eq!(edge.get(version, "/late.js").await.text(), "late");
}

#[tokio::test]
async fn a_bucket_that_another_worker_filled() {
    let edge = TestEdge::new();
    let hash = AssetHash::of(b"old", "old.js");
    edge.objects
        .put(&Path::from(hash.to_string()), "old".into())
        .await
        .unwrap();
    edge.deploy("u-1", &[], &[], |snapshot| {
        snapshot["assets"]["old.js"] = json!({"hash": hash, "size": 3});
        snapshot["assets"]["other.js"] = json!({"hash": hash, "size": 4});
    })
    .await;
    let version = "u-1-shop-web-acme-edge.test";
    assert_eq!(edge.get(version, "/old.js").await.text(), "old");
    assert_eq!(
        edge.get(version, "/other.js").await.status,
        503,
        "another length is another asset"
    );
}

/// What is in memory is answered in another way than what has to be fetched, and nobody must notice.
#[tokio::test]
async fn the_first_answer_and_the_second_are_the_same() {
    let page = b"<html><head><script type=module src=/a.js></script></head></html>".as_slice();
    let files: &[(&str, &[u8])] = &[
        ("index.html", page),
        ("404.html", b"<title>gone</title>"),
        ("a.js", b"import 'env:vars:x'"),
        ("a.png", b"pixels"),
        ("zephyr-manifest.json", b"{}"),
        (
            "_headers",
            b"/*\n  X-Team: web\n/a.js\n  Cache-Control: no-cache\n",
        ),
    ];
    let tag = |path| {
        let (_, content) = files.iter().find(|(name, _)| *name == path).unwrap();
        let hash = AssetHash::of(content, path).to_string();
        format!("\"{}.{}\"", hash.get(..32).unwrap(), content.len())
    };
    let (script, image) = (tag("a.js"), tag("a.png"));
    let weak = format!("\"x\", W/{script}");
    let coded = format!("{}-br\"", script.trim_end_matches('"'));
    let made = {
        let edge = TestEdge::new();
        edge.deploy("u-1", files, &["www.test"], |_| {}).await;
        edge.get("www.test", "/").await.header("etag").to_owned()
    };
    let asked: &[&[(&str, &str)]] = &[
        &[],
        &[("if-none-match", &made)],
        &[("accept-encoding", "br, gzip")],
        &[HTML],
        &[("if-none-match", &script)],
        &[("if-none-match", &image)],
        &[("if-none-match", &weak)],
        &[("if-none-match", &coded), ("accept-encoding", "br")],
        &[("if-none-match", &coded)],
        &[("if-none-match", "*")],
        &[("if-match", &image)],
        &[("if-modified-since", "Thu, 01 Jan 1970 00:00:01 GMT")],
        &[("range", "bytes=1-2")],
        &[("range", "bytes=1-2"), ("if-range", &image)],
        &[("range", "bytes=900-")],
    ];
    let mut statuses = std::collections::BTreeSet::new();
    for path in ["/", "/a.js", "/a.png", "/gone.js", "/gone"] {
        for method in ["GET", "HEAD"] {
            for headers in asked {
                let edge = TestEdge::new();
                edge.deploy("u-1", files, &["www.test"], |_| {}).await;
                let mut answers = Vec::new();
                for _ in 0..2 {
                    let mut answer = edge.ask(method, "www.test", path, headers).await;
                    answer.headers.remove("x-request-id").unwrap();
                    answers.push(answer);
                }
                let [cold, warm] = &answers[..] else {
                    unreachable!()
                };
                let case = format!("{method} {path} {headers:?}");
                assert_eq!(cold.status, warm.status, "{case}");
                assert_eq!(cold.headers, warm.headers, "{case}");
                assert!(
                    warm.headers.values().all(|value| !value.is_empty()),
                    "{case}"
                );
                if !cold.body.starts_with(b"{") {
                    assert_eq!(cold.body, warm.body, "{case}");
                }
                statuses.insert(warm.status.as_u16());
            }
        }
    }
    assert_eq!(
        statuses.into_iter().collect::<Vec<_>>(),
        [200, 206, 304, 404, 412, 416]
    );
}

#[tokio::test]
async fn pages_get_an_import_map_once() {
    let edge = TestEdge::new();
    let page = b"<html><head><script type=module src=/a.js></script></head></html>".as_slice();
    let files: &[(&str, &[u8])] = &[("index.html", page), ("zephyr-manifest.json", b"{}")];
    edge.deploy("u-1", files, &["www.test"], |_| {}).await;
    let answer = edge.get("www.test", "/").await;
    let map = format!(
        r#"<script type="importmap">{{"imports":{{"env:vars:{APP}":"/zephyr-manifest.json"}}}}</script>"#
    );
    let expected =
        format!("<html><head>{map}<script type=module src=/a.js></script></head></html>");
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-length"), expected.len().to_string());
    let head = edge.ask("HEAD", "www.test", "/", &[]).await;
    assert_eq!(head.header("content-length"), expected.len().to_string());
    assert_eq!(head.header("etag"), answer.header("etag"));
    let none = [("if-none-match", answer.header("etag"))];
    assert_eq!(edge.ask("GET", "www.test", "/", &none).await.status, 304);
    let part = edge
        .ask("GET", "www.test", "/", &[("range", "bytes=0-11")])
        .await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "<html><head>"));

    // Below a path the manifest is there as well, and the page is another.
    let below = edge
        .get("www.test", &format!("/__zephyr/v1/v/u-1.{APP}/"))
        .await;
    assert!(
        below
            .text()
            .contains(&format!("/__zephyr/v1/v/u-1.{APP}/zephyr-manifest.json")),
        "{}",
        below.text()
    );
    assert_ne!(below.header("etag"), answer.header("etag"));

    edge.deploy("u-2", files, &["tap.test"], |snapshot| {
        snapshot["target"] = json!("tap-app");
    })
    .await;
    assert_eq!(
        edge.get("tap.test", "/").await.body,
        page,
        "sealed bytes stay"
    );
    edge.deploy("u-3", &[("index.html", page)], &["plain.test"], |_| {})
        .await;
    assert_eq!(
        edge.get("plain.test", "/").await.body,
        page,
        "no manifest, no map"
    );
}

#[tokio::test]
async fn a_build_with_a_base() {
    let edge = TestEdge::new();
    let files: &[(&str, &[u8])] = &[
        ("index.html", b"root"),
        ("docs/guide/index.html", b"guide"),
        ("shop/assets/x.js", b"x"),
        ("shop/zephyr-manifest.json", b"{}"),
    ];
    edge.deploy("u-1", files, &["www.test"], |_| {}).await;
    for (path, text) in [
        ("/shop/assets/x.js", "x"),
        ("/zephyr-manifest.json", "{}"),
        ("/shop/zephyr-manifest.json", "{}"),
        ("/shop/docs/guide/", "guide"),
        ("/shop/", "root"),
        ("/shop/index.html", "root"),
    ] {
        let answer = edge.get("www.test", path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (200, text),
            "{path}"
        );
    }
}

#[tokio::test]
async fn server_rendered_builds_show_their_client_part() {
    let edge = TestEdge::new();
    let files: &[(&str, &[u8])] = &[
        ("client/index.html", b"client"),
        ("client/a.js", b"a"),
        ("server/index.js", b"the server's own"),
    ];
    for (path, content) in files {
        edge.upload_file(path, content).await;
    }
    let mut value = snapshot(APP, "u-1", files);
    value["type"] = json!("ssr");
    let answer = edge.upload_snapshot(&value).await;
    assert!(
        answer.json()["message"]
            .as_str()
            .unwrap()
            .contains("client/")
    );
    let version = "u-1-shop-web-acme-edge.test";
    assert_eq!(edge.get(version, "/a.js").await.text(), "a");
    assert_eq!(edge.get(version, "/").await.text(), "client");
    assert_eq!(edge.get(version, "/server/index.js").await.status, 404);
}

#[tokio::test]
async fn to_know_the_hash_of_another_s_file_is_no_right_to_it() {
    let edge = TestEdge::new();
    edge.deploy("u-1", &[("server/keys.js", b"private")], &[], |_| {})
        .await;
    let hash = AssetHash::of(b"private", "server/keys.js");
    let mut value = snapshot(crate::support::OTHER, "evil-1", &[]);
    for size in 0..20 {
        value["assets"][format!("{size}.js")] = json!({"hash": hash, "size": size});
    }
    assert_eq!(edge.upload_snapshot(&value).await.status, 200);
    let version = "evil-1-blog-web-acme-edge.test";
    for method in ["GET", "HEAD"] {
        let answer = edge.ask(method, version, "/7.js", &[]).await;
        assert_eq!(answer.status, 503, "{method}: {answer:?}");
    }
    // Nor to what the edge makes of it, nor to whether it has changed.
    let page = b"<html><head><script type=module src=/a.js></script></head></html>".as_slice();
    edge.deploy("u-2", &[("index.html", page)], &[], |_| {})
        .await;
    let mut value = snapshot(crate::support::OTHER, "evil-2", &[]);
    let hash = AssetHash::of(page, "index.html");
    for path in ["index.html", "zephyr-manifest.json"] {
        value["assets"][path] = json!({"hash": hash, "size": page.len()});
    }
    assert_eq!(edge.upload_snapshot(&value).await.status, 200);
    let conditions: [&[(&str, &str)]; 3] = [
        &[],
        &[("if-none-match", "*")],
        &[("if-match", "\"of another\"")],
    ];
    for headers in [conditions, conditions].concat() {
        let answer = edge
            .ask("GET", "evil-2-blog-web-acme-edge.test", "/", headers)
            .await;
        assert_eq!(answer.status, 503, "{headers:?}: {answer:?}");
    }
    let id = format!("evil-1.{}", crate::support::OTHER);
    let refused = edge.publish(crate::support::OTHER, &id, &["e.test"]);
    assert_eq!(
        refused.await.json()["missing"].as_array().unwrap().len(),
        20
    );
}

#[tokio::test]
async fn pages_of_one_application_do_not_run_on_another_s_origin() {
    let (edge, version) = site().await;
    edge.upload_snapshot(&snapshot(crate::support::OTHER, "evil-1", &[]))
        .await;
    let path = format!("/__zephyr/v1/v/evil-1.{}/", crate::support::OTHER);
    assert_eq!(edge.get("www.test", &path).await.error(), "unknown_host");
    let own = format!("/__zephyr/v1/v/u-1.{APP}/docs");
    for host in ["www.test", version.as_str(), "nobody.test"] {
        assert_eq!(edge.get(host, &own).await.text(), "docs", "{host}");
    }
    let twice = Request::get(&own)
        .header("host", "a.test")
        .header("host", "b.test");
    assert_eq!(
        edge.send(twice.body(Full::<Bytes>::default()).unwrap())
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn no_answer_to_head_has_a_body() {
    let (edge, _) = site().await;
    for path in [
        "/healthz",
        "/readyz",
        "/startupz",
        "/__favonius/x",
        "/__get_application_hash_list__",
        "/docs",
        "/x",
    ] {
        assert!(
            edge.ask("HEAD", "www.test", path, &[])
                .await
                .body
                .is_empty(),
            "{path}"
        );
    }
}
