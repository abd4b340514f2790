//! `POST /upload` of files and snapshots, and the hash list.

use bytes::Bytes;
use favonius_auth::Scope;
use favonius_contract::AssetHash;
use favonius_http::EdgeOptions;
use favonius_storage::HashCheck;
use http::Request;
use http_body_util::Full;
use object_store::{ObjectStoreExt, path::Path};
use serde_json::{Value, json};

use crate::support::{APP, OTHER, TestEdge, file_uri, mint, snapshot, token};

#[tokio::test]
async fn files_are_stored_once_and_listed() {
    let edge = TestEdge::new();
    let names = [
        "index.html",
        "data/menu del día (50%) & más+más.txt",
        "data/風.txt",
        "a\\b.js",
        "",
    ];
    for (n, path) in names.into_iter().enumerate() {
        let content = format!("content {n}");
        for message in ["stored", "already stored"] {
            let answer = edge.upload_file(path, content.as_bytes()).await;
            if path.is_empty() {
                assert_eq!(answer.status, 400, "a file has a name");
                continue;
            }
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            assert_eq!(answer.json()["message"], message, "{path}");
            assert_eq!(answer.json()["size"], content.len());
        }
    }
    let list = edge
        .get(
            "any.test",
            &format!("/__get_application_hash_list__?application_uid={APP}"),
        )
        .await;
    assert_eq!(list.json()["hashes"].as_array().unwrap().len(), 4);
    let other = edge
        .get(
            "any.test",
            &format!("/__get_application_hash_list__?application_uid={OTHER}"),
        )
        .await;
    assert_eq!(other.json(), json!({"hashes": []}));
}

#[tokio::test]
async fn hash_lists_need_a_uid() {
    let edge = TestEdge::new();
    for query in [
        "",
        "?application_uid=",
        "?application_uid=a.b",
        "?application_uid=*.*.*",
    ] {
        let answer = edge
            .get(
                "any.test",
                &format!("/__get_application_hash_list__{query}"),
            )
            .await;
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let edge = TestEdge::new();
    assert_eq!(edge.upload_file("data/empty.txt", b"").await.status, 200);
    let hash = "39d5239182af04942e303372ca2f093f275b8bb70c746153bf65043aefd75f49";
    let key = Path::from(format!("{hash}.0"));
    assert_eq!(edge.objects.head(&key).await.unwrap().size, 0);
}

/// What an attacker sends, and what must come of it.
#[tokio::test]
async fn hash_attacks_are_refused() {
    let edge = TestEdge::new();
    let (path, content) = ("app.js", b"good content".as_slice());
    let hash = AssetHash::of(content, path).to_string();
    let empty = AssetHash::of(b"", "twin").to_string();
    assert_eq!(edge.upload_file(path, content).await.status, 200);

    let cases: [(&str, &str, &str, &[u8], u16); 6] = [
        (
            "other bytes of the same length",
            &hash,
            path,
            b"evil content",
            422,
        ),
        ("other bytes of another length", &hash, path, b"evil", 422),
        ("another path", &hash, "b.js", content, 422),
        (
            "hash in upper case",
            &hash.to_uppercase(),
            path,
            content,
            400,
        ),
        ("no hash", "", path, content, 400),
        (
            "the empty twin's hash for other bytes",
            &empty,
            "twin",
            b"x",
            422,
        ),
    ];
    for (name, hash, path, body, status) in cases {
        let answer = edge
            .post(&file_uri(hash, path), &token(APP), body.to_vec())
            .await;
        assert_eq!(answer.status, status, "case `{name}`: {answer:?}");
        if status == 422 {
            assert_eq!(answer.json()["filename"], path, "case `{name}`");
        }
    }
    // Bytes shifted between content and path have the same hash, truly: they are another asset, of another size.
    let shifted = edge
        .post(
            &file_uri(&hash, "entapp.js"),
            &token(APP),
            b"good cont".to_vec(),
        )
        .await;
    assert_eq!(shifted.status, 200);
    // A file whose content is its path has the hash of the empty file of that path.
    let twin = edge
        .post(&file_uri(&empty, "twin"), &token(APP), b"twin".to_vec())
        .await;
    assert_eq!(twin.status, 200);

    let get = async |key: String| {
        edge.objects
            .get(&Path::from(key))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
    };
    assert_eq!(
        get(format!("{hash}.12")).await,
        content,
        "what was stored first stays"
    );
    assert_eq!(get(format!("{hash}.9")).await, b"good cont".as_slice());
    assert_eq!(get(format!("{empty}.4")).await, b"twin".as_slice());
    assert!(
        edge.objects
            .head(&Path::from(format!("{hash}.4")))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn without_strict_hashes_the_first_bytes_stay_too() {
    for check in [HashCheck::Off, HashCheck::Warn] {
        let edge = TestEdge::with(EdgeOptions {
            hash_check: check,
            ..EdgeOptions::default()
        });
        let hash = AssetHash::of(b"good", "a.js").to_string();
        assert_eq!(
            edge.post(&file_uri(&hash, "a.js"), &token(APP), "good")
                .await
                .status,
            200
        );
        assert_eq!(
            edge.post(&file_uri(&hash, "a.js"), &token(APP), "evil")
                .await
                .status,
            200
        );
        let stored = edge
            .objects
            .get(&Path::from(format!("{hash}.4")))
            .await
            .unwrap();
        assert_eq!(stored.bytes().await.unwrap(), b"good".as_slice());
    }
}

#[tokio::test]
async fn sizes_are_checked_before_the_body() {
    let edge = TestEdge::with(EdgeOptions {
        upload_max_bytes: 10,
        ..EdgeOptions::default()
    });
    let hash = AssetHash::of(b"0123456789", "a").to_string();
    let upload = |headers: &[(&str, &str)], body: &'static str| {
        let mut request = Request::post(file_uri(&hash, "a"))
            .header("host", "edge.test")
            .header("can_write_jwt", token(APP));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        edge.send(request.body(Full::new(Bytes::from(body))).unwrap())
    };
    let cases: [(&str, &[(&str, &str)], &'static str, u16); 6] = [
        (
            "right",
            &[("content-length", "10"), ("x-file-size", "10")],
            "0123456789",
            200,
        ),
        (
            "without the extra header",
            &[("content-length", "10")],
            "0123456789",
            200,
        ),
        (
            "wrong size header",
            &[("content-length", "10"), ("x-file-size", "9")],
            "0123456789",
            400,
        ),
        (
            "odd size header",
            &[("content-length", "10"), ("x-file-size", "ten")],
            "0123456789",
            400,
        ),
        ("too large", &[("content-length", "11")], "0123456789x", 413),
        (
            "mangled path header",
            &[("content-length", "10"), ("x-file-path", "other")],
            "0123456789",
            200,
        ),
    ];
    for (name, headers, body, status) in cases {
        let answer = upload(headers, body).await;
        assert_eq!(answer.status, status, "case `{name}`: {answer:?}");
    }
    let too_large = upload(&[("content-length", "11")], "0123456789x").await;
    assert_eq!(too_large.json()["limit"], 10);
    assert_eq!(too_large.json()["filename"], "a");
}

#[tokio::test]
async fn who_may_upload() {
    let edge = TestEdge::new();
    let hash = AssetHash::of(b"x", "a").to_string();
    let uri = file_uri(&hash, "a");
    let none = edge.send(
        Request::post(&uri)
            .header("content-length", 1)
            .body(Full::new(Bytes::from("x")))
            .unwrap(),
    );
    let none = none.await;
    assert_eq!(none.status, 401);
    assert!(
        none.json()["message"]
            .as_str()
            .unwrap()
            .contains("underscore"),
        "names the usual cause"
    );

    for (header, value) in [
        ("can_write_jwt", token(APP)),
        ("can-write-jwt", token(APP)),
        ("authorization", format!("Bearer {}", token(APP))),
        ("authorization", format!("bearer {}", token(APP))),
    ] {
        let request = Request::post(&uri)
            .header(header, value)
            .header("content-length", 1);
        let answer = edge
            .send(request.body(Full::new(Bytes::from("x"))).unwrap())
            .await;
        assert_eq!(answer.status, 200, "{header}");
    }

    let wrong = edge.post(&uri, &format!("{}x", token(APP)), "x").await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.error()),
        (401, "unauthenticated".into())
    );
    let expired = token(APP);
    edge.clock.set_ms(edge.clock.now_ms() + 2 * 3_600_000);
    assert_eq!(edge.post(&uri, &expired, "x").await.status, 401);
}

#[tokio::test]
async fn whoever_may_write_for_all_names_the_application() {
    let edge = TestEdge::new();
    let uri = file_uri(&AssetHash::of(b"x", "a").to_string(), "a");
    let operator = mint(Scope::Operator);
    assert_eq!(edge.post(&uri, &operator, "x").await.status, 400);
    let named = edge
        .post(&format!("{uri}&application_uid={OTHER}"), &operator, "x")
        .await;
    assert_eq!(named.status, 200);
    let other = edge
        .post(&format!("{uri}&application_uid={OTHER}"), &token(APP), "x")
        .await;
    assert_eq!(other.status, 403);
}

#[tokio::test]
async fn snapshots_get_a_version_url() {
    let edge = TestEdge::new();
    let value = snapshot(APP, "alice-42", &[("index.html", b"<h1>hi</h1>")]);
    for round in ["first", "again"] {
        let answer = edge.upload_snapshot(&value).await;
        assert_eq!(answer.status, 200, "{round}: {answer:?}");
        let json = answer.json();
        assert_eq!(
            json["urls"]["version"],
            "https://alice-42-shop-web-acme-edge.test"
        );
        assert!(
            json["worker_version"]
                .as_str()
                .unwrap()
                .starts_with("favonius/")
        );
        assert_eq!(json["assets"], json!([]));
    }
    let mut other = value.clone();
    other["extra"] = json!("changed");
    let answer = edge.upload_snapshot(&other).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (409, "snapshot_exists".into())
    );

    // The same build sent to the same fleet by another of its names is not another build.
    let mut edge_two = value.clone();
    edge_two["domain"] = json!("http://two.test:8080");
    let answer = edge.upload_snapshot(&edge_two).await;
    assert_eq!(
        answer.json()["urls"]["version"],
        "http://alice-42-shop-web-acme-two.test:8080"
    );
}

#[tokio::test]
async fn ids_that_are_cleaned_alike_do_not_share_a_url() {
    let edge = TestEdge::new();
    let one = edge
        .upload_snapshot(&snapshot("a-b.c.d", "u-1", &[]))
        .await
        .json();
    let two = edge
        .upload_snapshot(&snapshot("a.b-c.d", "u-1", &[]))
        .await
        .json();
    let upper = edge
        .upload_snapshot(&snapshot("a-b.c.d", "U-1", &[]))
        .await
        .json();
    let urls =
        [&one, &two, &upper].map(|json| json["urls"]["version"].as_str().unwrap().to_owned());
    assert_eq!(urls[0], "https://u-1-a-b-c-d-edge.test");
    assert!(
        urls[1].starts_with("https://u-1-a-b-c-d-") && urls[1] != urls[0] && urls[1] != urls[2],
        "{urls:?}"
    );
    assert!(urls[2] != urls[0], "{urls:?}");
}

#[tokio::test]
async fn a_domain_that_is_an_address_gets_a_path() {
    let edge = TestEdge::new();
    let files: &[(&str, &[u8])] = &[("index.html", b"<h1>hi</h1>")];
    edge.upload_file("index.html", b"<h1>hi</h1>").await;
    let mut value = snapshot(APP, "Ada L-1", files);
    value["domain"] = json!("http://127.0.0.1:8080");
    let url = edge.upload_snapshot(&value).await.json()["urls"]["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = url.strip_prefix("http://127.0.0.1:8080").unwrap();
    assert_eq!(path, "/__zephyr/v1/v/Ada%20L-1.shop.web.acme");
    let answer = edge.get("127.0.0.1:8080", path).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (308, format!("{path}/").as_str())
    );
    assert_eq!(
        edge.get("127.0.0.1:8080", &format!("{path}/")).await.text(),
        "<h1>hi</h1>"
    );
}

#[tokio::test]
async fn clients_may_ask_what_is_lacking() {
    let edge = TestEdge::new();
    edge.upload_file("a", b"here").await;
    let value = snapshot(APP, "u-1", &[("a", b"here"), ("b", b"not here")]);
    let answer = edge
        .post("/upload?type=snapshot", &token(APP), value.to_string())
        .await;
    let assets = answer.json()["assets"].clone();
    assert_eq!(assets.as_array().unwrap().len(), 1);
    assert_eq!(assets[0]["path"], "b");
}

#[tokio::test]
async fn refused_snapshots() {
    let edge = TestEdge::with(EdgeOptions {
        snapshot_max_bytes: 2000,
        ..EdgeOptions::default()
    });
    let good = snapshot(APP, "u-1", &[("a", b"x")]);
    let large = format!("{}{}", good, " ".repeat(2000));
    let cases = [
        ("no JSON", token(APP), "{".to_owned(), 400, "invalid_body"),
        (
            "not an object",
            token(APP),
            "[]".to_owned(),
            400,
            "invalid_body",
        ),
        ("empty", token(APP), String::new(), 400, "invalid_body"),
        (
            "another application's",
            token(OTHER),
            good.to_string(),
            403,
            "forbidden",
        ),
        ("too large", token(APP), large, 413, "too_large"),
    ];
    for (name, token, body, status, error) in cases {
        let answer = edge.post("/upload?type=snapshot", &token, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (status, error),
            "case `{name}`"
        );
    }
}

#[tokio::test]
async fn other_uploads_are_not_implemented_and_say_so() {
    let edge = TestEdge::new();
    let answer = edge.post("/upload?type=bucket", &token(APP), "").await;
    assert_eq!(answer.status, 501);
    assert_ne!(answer.text(), "Not Implemented");
    assert_eq!(edge.post("/upload", &token(APP), "").await.status, 400);
}

/// The client cuts the word after each of these from what it shows to people.
#[tokio::test]
async fn messages_survive_the_client_s_redaction() {
    let edge = TestEdge::new();
    let good = snapshot(APP, "u-1", &[("a", b"x")]).to_string();
    let file = file_uri(&AssetHash::of(b"x", "a").to_string(), "a");
    let answers = [
        edge.post("/upload?type=snapshot", "", good.clone()).await,
        edge.post("/upload?type=snapshot", "a.b.c", good.clone())
            .await,
        edge.post("/upload?type=snapshot", &token(OTHER), good)
            .await,
        edge.post("/upload?type=x", &token(APP), "").await,
        edge.post(&file, &token(APP), "y").await,
        edge.post(&file, &mint(Scope::Operator), "x").await,
        edge.publish(APP, &format!("no-1.{APP}"), &["x.test"]).await,
        edge.get("nobody.test", "/").await,
    ];
    for answer in answers {
        let json = answer.json();
        assert_eq!(json["status"], answer.status.as_u16());
        for field in ["error", "message", "request_id"] {
            assert!(
                json[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field}: {json}"
            );
        }
        let message = json["message"].as_str().unwrap().to_lowercase();
        for word in [
            "token ",
            "secret ",
            "session ",
            "signature ",
            "code ",
            " jwt ",
        ] {
            assert!(!message.contains(word), "`{word}` in `{message}`");
        }
        assert!(matches!(json.get("code"), None | Some(Value::Null)));
    }
}
