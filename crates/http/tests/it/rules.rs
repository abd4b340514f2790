//! `_headers` and `_redirects` of a deployment.

use crate::support::{Answer, TestEdge, snapshot};

const HOST: &str = "www.test";
const HEADERS: &str = "\
/*
  X-Frame-Options: DENY
  Content-Security-Policy: default-src 'self'
  Set-Cookie: a=b
  Location: https://elsewhere.test/
  Content-Length: 5
/assets/*
  Cache-Control: public, max-age=60
  ! Access-Control-Allow-Origin
/data/*
  Access-Control-Allow-Origin: https://own.test
";
const REDIRECTS: &str = "\
/old            /new                 301
/temporary      /new                 302
/blog/:slug     /posts/:slug
/away/*         https://other.test/:splat  308
/open/*         /:splat              302
/moved.js       /assets/app.js       301!
/legal          /terms.html          200
/secret         /lost.html           404
/proxy/*        https://other.test/:splat  200
/search q=:q    /find/:q             302
/*              /index.html          200
";

async fn site() -> (TestEdge, String) {
    let edge = TestEdge::new();
    let files: &[(&str, &[u8])] = &[
        ("_headers", HEADERS.as_bytes()),
        ("_redirects", REDIRECTS.as_bytes()),
        ("index.html", b"home"),
        ("terms.html", b"terms"),
        ("lost.html", b"lost"),
        ("moved.js", b"still here"),
        ("assets/app.js", b"app"),
        ("data/a.json", b"{}"),
    ];
    let version = edge.deploy("u-1", files, &[HOST], |_| {}).await;
    (edge, version)
}

fn told(answer: &Answer) -> (u16, String) {
    let location = answer.header("location");
    let text = if location.is_empty() {
        answer.text()
    } else {
        location
    };
    (answer.status.as_u16(), text.to_owned())
}

#[tokio::test]
async fn redirects() {
    let (edge, version) = site().await;
    let cases = [
        ("/old", 301, "/new"),
        ("/old/", 301, "/new"),
        ("/old?a=1", 301, "/new?a=1"),
        ("/temporary", 302, "/new"),
        ("/blog/hello", 301, "/posts/hello"),
        ("/away/a/b", 308, "https://other.test/a/b"),
        ("/moved.js", 301, "/assets/app.js"),
        ("/legal", 200, "terms"),
        ("/secret", 404, "lost"),
        ("/search?q=x", 302, "/find/x?q=x"),
        ("/assets/app.js", 200, "app"),
        ("/some/route", 200, "home"),
    ];
    for (path, status, text) in cases {
        for host in [HOST, version.as_str()] {
            let answer = edge.get(host, path).await;
            assert_eq!(told(&answer), (status, text.to_owned()), "{host}{path}");
        }
    }
    // Where the rule for everything leads to a page, a script that is missing is missing.
    assert_eq!(edge.get(HOST, "/assets/gone.js").await.status, 404);
    for path in ["/_headers", "/_redirects"] {
        let answer = edge.get(HOST, path).await;
        assert_ne!(answer.text(), HEADERS, "{path}");
        assert_ne!(answer.text(), REDIRECTS, "{path}");
    }
    for path in [
        "/open//evil.test",
        "/open/%2Fevil.test",
        "/open//evil.test/%2e",
    ] {
        let answer = edge.get(HOST, path).await;
        let location = answer.header("location");
        assert!(
            !location.starts_with("//") && !location.contains("://"),
            "{path}: {location}"
        );
    }
    let kept = edge.get(HOST, "/old").await;
    assert_eq!(
        kept.header("cache-control"),
        "public, max-age=0, must-revalidate"
    );
    assert_eq!(kept.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn headers() {
    let (edge, _) = site().await;
    let page = edge.get(HOST, "/").await;
    assert_eq!(page.header("x-frame-options"), "DENY");
    assert_eq!(page.header("content-security-policy"), "default-src 'self'");
    for refused in ["set-cookie", "location"] {
        assert_eq!(page.header(refused), "", "{refused}");
    }
    assert_eq!(page.header("content-length"), "4");
    let script = edge.get(HOST, "/assets/app.js").await;
    assert_eq!(script.header("cache-control"), "public, max-age=60");
    assert_eq!(script.header("access-control-allow-origin"), "");
    let data = edge.get(HOST, "/data/a.json").await;
    assert_eq!(
        data.header("access-control-allow-origin"),
        "https://own.test"
    );
    let again = [("if-none-match", script.header("etag"))];
    let unchanged = edge.ask("GET", HOST, "/assets/app.js", &again).await;
    assert_eq!(unchanged.status, 304);
    assert_eq!(unchanged.header("x-frame-options"), "DENY");
    assert_eq!(unchanged.header("cache-control"), "public, max-age=60");
    let head = edge.ask("HEAD", HOST, "/assets/app.js", &[]).await;
    assert_eq!(head.header("x-frame-options"), "DENY");
}

#[tokio::test]
async fn pages_and_errors_are_never_kept_whatever_a_rule_says() {
    let edge = TestEdge::new();
    let files: &[(&str, &[u8])] = &[
        (
            "_headers",
            b"/*\n  Cache-Control: public, max-age=31536000, immutable\n",
        ),
        ("index.html", b"home"),
        ("404.html", b"lost"),
        ("mf-manifest.json", b"{}"),
        ("a.css", b"a"),
    ];
    edge.deploy("u-1", files, &[HOST], |_| {}).await;
    for (path, kept) in [
        ("/", "public, max-age=0, must-revalidate"),
        ("/mf-manifest.json", "public, max-age=0, must-revalidate"),
        ("/gone", "no-store"),
        ("/a.css", "public, max-age=31536000, immutable"),
    ] {
        assert_eq!(
            edge.get(HOST, path).await.header("cache-control"),
            kept,
            "{path}"
        );
    }
}

#[tokio::test]
async fn in_a_path_addressed_deployment_redirects_stay_below_its_key() {
    let (edge, _) = site().await;
    let id = format!("u-1.{}", crate::support::APP);
    let answer = edge.get(HOST, &format!("/__zephyr/v1/v/{id}/old")).await;
    assert_eq!(told(&answer), (301, format!("/__zephyr/v1/v/{id}/new")));
}

#[tokio::test]
async fn a_deployment_answers_nothing_before_its_rules_are_here() {
    let edge = TestEdge::new();
    let rules: &[u8] = b"/*\n  X-Frame-Options: DENY\n";
    let files: &[(&str, &[u8])] = &[("_headers", rules), ("index.html", b"home")];
    let answer = edge.upload_file("index.html", b"home").await;
    assert_eq!(answer.status, 200);
    let answer = edge
        .upload_snapshot(&snapshot(crate::support::APP, "u-1", files))
        .await;
    let version = answer.json()["urls"]["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let host = version.trim_start_matches("https://");
    let early = edge.get(host, "/").await;
    assert_eq!(
        (early.status.as_u16(), early.error().as_str()),
        (503, "asset_pending")
    );
    assert_eq!(early.header("retry-after"), "1");
    assert_eq!(edge.upload_file("_headers", rules).await.status, 200);
    let page = edge.get(host, "/").await;
    assert_eq!(
        (page.status.as_u16(), page.header("x-frame-options")),
        (200, "DENY")
    );
}

#[tokio::test]
async fn broken_rules_are_left_out_and_the_others_count() {
    let edge = TestEdge::new();
    let redirects = b"garbage\n/a /b\n/c //evil.test\n\xff\xfe\n/d /e 999\n/f /g 302\n";
    let files: &[(&str, &[u8])] = &[("_redirects", redirects), ("index.html", b"home")];
    edge.deploy("u-1", files, &[HOST], |_| {}).await;
    assert_eq!(told(&edge.get(HOST, "/a").await), (301, "/b".to_owned()));
    assert_eq!(told(&edge.get(HOST, "/f").await), (302, "/g".to_owned()));
    for path in ["/c", "/d"] {
        assert_eq!(edge.get(HOST, path).await.status, 404, "{path}");
    }
    assert_eq!(edge.get(HOST, "/").await.text(), "home");
}

#[tokio::test]
async fn nobody_gets_the_files_of_rules() {
    let edge = TestEdge::new();
    let secret: &[u8] = b"/*\n  Basic-Auth: ada:password\n";
    let rewrite: &[u8] = b"/get /shop/_headers 200\n/* /_headers 200\n";
    // In the build before, at the root, under the base, and on the side of clients.
    let builds: [(&str, &[(&str, &[u8])], &str); 3] = [
        ("u-1", &[("index.html", b"1"), ("_headers", secret)], "csr"),
        (
            "u-2",
            &[
                ("index.html", b"2"),
                ("shop/zephyr-manifest.json", b"{}"),
                ("shop/_headers", secret),
                ("_redirects", rewrite),
            ],
            "csr",
        ),
        (
            "u-3",
            &[("client/index.html", b"3"), ("client/_headers", secret)],
            "ssr",
        ),
    ];
    for (user, files, kind) in builds {
        let set = |snapshot: &mut serde_json::Value| snapshot["type"] = kind.into();
        edge.deploy(user, files, &[HOST], set).await;
        for path in [
            "/_headers",
            "/shop/_headers",
            "/client/_headers",
            "/_redirects",
            "/get",
            "/x",
        ] {
            let answer = edge.get(HOST, path).await;
            assert!(!answer.text().contains("password"), "{user}: {path}");
            assert!(!answer.text().contains("/shop/"), "{user}: {path}");
        }
    }
}

#[tokio::test]
async fn another_application_s_file_is_no_rule() {
    let edge = TestEdge::new();
    let rules: &[u8] = b"/*\n  X-Frame-Options: DENY\n";
    edge.deploy(
        "u-1",
        &[("_headers", rules), ("index.html", b"1")],
        &[HOST],
        |_| {},
    )
    .await;
    let other = crate::support::OTHER;
    let stolen = snapshot(other, "u-1", &[("_headers", rules)]);
    let answer = edge.upload_snapshot(&stolen).await;
    let version = answer.json()["urls"]["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let page = edge.get(version.trim_start_matches("https://"), "/").await;
    assert_eq!(
        (page.status.as_u16(), page.header("x-frame-options")),
        (503, "")
    );
}
