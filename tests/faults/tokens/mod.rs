//! Who may write, over HTTP: every way to be refused that we know of, and that nothing comes of it.

mod forged;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use favonius_testing::token::{SECRET, forge, mint, now, write_claims, write_token};
use favonius_testing::{Client, Reply, SampleApp, asset_hash, raw_http};
use serde_json::json;

use self::forged::{Case, headed, signed, with};
use crate::support::{APP, OTHER, Region, Site, Worker, show};

/// The three ways to write, each with this header.
async fn try_everything(client: &Client, header: &str, value: &[u8]) -> [(&'static str, Reply); 3] {
    let content = b"console.log(1)";
    let hash = asset_hash(content, "a.js");
    let file = format!("/upload?type=file&hash={hash}&filename=a.js&application_uid={APP}");
    let id = format!("mallory-1.{APP}");
    let app = SampleApp::of(&[("a.js", content)]);
    let snapshot = app.snapshot(APP, &id, "http://localhost");
    let publish = json!({
        "app_version": {"application_uid": APP, "snapshot_id": id},
        "urls": ["victim.test"], "url_ids": [], "jwt": "",
    });
    let post = |target: &str| client.post(target).header(header, value);
    [
        ("file", post(&file).body(&content[..]).send().await),
        (
            "snapshot",
            post("/upload?type=snapshot&skip_assets=true")
                .json(&snapshot)
                .send()
                .await,
        ),
        (
            "publish",
            post("/upload?type=envs").json(&publish).send().await,
        ),
    ]
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn every_bad_token_is_refused_and_nothing_is_stored() {
    let region = Region::start();
    let worker = region.worker().await;
    let client = worker.client();
    let cases = forged::cases();
    for Case {
        name,
        header,
        value,
        status,
    } in &cases
    {
        for (what, reply) in try_everything(&client, header, value).await {
            assert_eq!(
                reply.status,
                *status,
                "case `{name}`, {what}: {}",
                reply.text()
            );
            let expected = if *status == 401 {
                "unauthenticated"
            } else {
                "forbidden"
            };
            let body = reply.json();
            assert_eq!(body["status"], *status, "case `{name}`, {what}: {body}");
            assert_eq!(body["error"], expected, "case `{name}`, {what}: {body}");
            let message = body["message"].as_str().unwrap();
            assert!(
                !message.is_empty() && !message.contains("eyJ"),
                "case `{name}`: {message}"
            );
            assert!(
                body["request_id"].is_string(),
                "case `{name}`, {what}: {body}"
            );
        }
    }
    for (what, reply) in try_everything(&client, "x-nothing", b"x").await {
        let body = reply.expect_status(401).json();
        let message = body["message"].as_str().unwrap();
        assert!(
            message.contains("underscore"),
            "{what} without a token: {message}"
        );
    }
    // Beyond what any header may have the connection does not even get as far as a token.
    let huge = format!(
        "POST /upload?type=envs HTTP/1.1\r\nHost: a.test\r\ncan_write_jwt: {}\r\nContent-Length: 0\r\n\r\n",
        "e".repeat(100 * 1024)
    );
    let answer = raw_http(worker.address(), huge).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&answer)
    );

    assert_eq!(region.s3.keys(), Vec::<String>::new());
    assert_eq!(region.s3.count("PUT") + region.s3.count("POST"), 0);
    let keys = region.redis.cli(&["KEYS", "*"]);
    assert!(!keys.contains("victim") && !keys.contains(APP), "{keys}");
    let listed = client.hash_list(APP).await.expect_status(200).json();
    assert_eq!(listed["hashes"], json!([]));
    assert_eq!(client.get("/").host("victim.test").send().await.status, 404);
    show(
        "tokens",
        format!("{} bad tokens refused, each in 3 requests", cases.len()),
    );
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn good_tokens_in_every_header_that_may_carry_one() {
    let region = Region::start();
    let worker = region.worker().await;
    let good = write_token(APP);
    let spent = signed(&with("exp", json!(now() - 1)));
    let cases = [
        ("as clients send it", "can_write_jwt", good.clone()),
        ("with hyphens", "can-write-jwt", good.clone()),
        ("in capitals", "CAN_WRITE_JWT", good.clone()),
        ("Bearer", "authorization", format!("Bearer {good}")),
        (
            "bearer in lower case",
            "authorization",
            format!("bearer {good}"),
        ),
        ("within the leeway of clocks", "can_write_jwt", spent),
        (
            "a header that says more",
            "can_write_jwt",
            headed(&json!({"alg": "HS256", "kid": "x", "typ": "JOSE"})),
        ),
    ];
    for (name, header, value) in cases {
        for (what, reply) in try_everything(&worker.client(), header, value.as_bytes()).await {
            assert_eq!(reply.status, 200, "case `{name}`, {what}: {}", reply.text());
        }
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn the_previous_secret_holds_until_it_is_removed() {
    const NEXT: &str = "the next secret for tests that is long enough";
    let region = Region::start();
    let old = write_token(APP);
    let new = mint(NEXT.as_bytes(), &write_claims(APP));
    let rotating = || region.builder().env("ZE_WORKER_JWT_SECRET", NEXT);
    let stages = [
        ("before", region.builder(), 200, 401),
        (
            "both",
            rotating().env("ZE_WORKER_JWT_SECRET_PREVIOUS", SECRET),
            200,
            200,
        ),
        ("after", rotating(), 401, 200),
    ];
    for (stage, builder, with_old, with_new) in stages {
        let worker = Worker::start(builder).await;
        for (token, expected) in [(&old, with_old), (&new, with_new)] {
            let reply = worker
                .client()
                .upload_file(token, "a.txt", stage.as_bytes())
                .await;
            assert_eq!(reply.status, expected, "stage `{stage}`: {}", reply.text());
        }
        let none = forge(&json!({"alg": "none"}), &write_claims(APP), |_| Vec::new());
        let reply = worker.client().upload_file(&none, "a.txt", b"none").await;
        assert_eq!(reply.status, 401, "stage `{stage}`");
        worker.sigterm();
        worker.wait_exit(std::time::Duration::from_secs(20)).await;
    }
}

/// A worker that holds a public key must not take it for a shared secret: everybody has it.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_public_key_is_no_shared_secret() {
    let region = Region::start();
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = pair.public_key().as_der().unwrap();
    let body = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    );
    let builder = region.builder().env("ZE_WORKER_JWT_SECRET", &pem);
    let worker = Worker::start(builder).await;
    let claims = write_claims(APP);
    let hs = |secret: &[u8]| mint(secret, &claims);
    let rs = |alg: &str| {
        forge(&json!({"alg": alg, "typ": "JWT"}), &claims, |input| {
            let mut signature = vec![0; pair.public_modulus_len()];
            let random = SystemRandom::new();
            pair.sign(&signature::RSA_PKCS1_SHA256, &random, input, &mut signature)
                .unwrap();
            signature
        })
    };
    let cases = [
        ("RS256 by the key", rs("RS256"), 200),
        ("HS256 with the PEM text", hs(pem.as_bytes()), 401),
        (
            "HS256 with the PEM text, trimmed",
            hs(pem.trim().as_bytes()),
            401,
        ),
        ("HS256 with the key's bytes", hs(der.as_ref()), 401),
        ("HS256 with its base64", hs(body.as_bytes()), 401),
        ("HS256 with our old secret", hs(SECRET.as_bytes()), 401),
        ("signed by the key, said to be HS256", rs("HS256"), 401),
        ("signed by the key, said to be PS256", rs("PS256"), 401),
        ("signed by the key, said to be none", rs("none"), 401),
    ];
    for (name, token, expected) in cases {
        let reply = worker
            .client()
            .upload_file(&token, "a.txt", name.as_bytes())
            .await;
        assert_eq!(reply.status, expected, "case `{name}`: {}", reply.text());
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_hostname_belongs_to_the_application_that_took_it() {
    let region = Region::start();
    let worker = region.worker().await;
    let (owner, stranger) = (Site::new(&worker, APP), Site::new(&worker, OTHER));
    let shipped = owner.ship(1, &["www.shop.test"]).await;
    let theirs = stranger.build(2);
    stranger.deploy(&theirs).await;
    let record = region
        .redis
        .cli(&["GET", &crate::support::env_key("www.shop.test")]);

    let taken = stranger
        .publish(&theirs, &["www.shop.test"])
        .await
        .expect_status(403)
        .json();
    assert_eq!(taken["error"], "forbidden", "{taken}");
    assert!(
        taken["message"].as_str().unwrap().contains("www.shop.test"),
        "{taken}"
    );
    // All names of a request or none.
    let mixed = stranger
        .publish(&theirs, &["free.test", "www.shop.test", "blog.test"])
        .await;
    assert_eq!(mixed.status, 403, "{}", mixed.text());
    // Nor by saying that one is the owner, nor with the owner's snapshot.
    let as_owner =
        stranger
            .client
            .publish(&stranger.token, APP, &shipped.snapshot_id, &["blog.test"]);
    let as_owner = as_owner.await;
    assert_eq!(as_owner.status, 403, "{}", as_owner.text());
    let foreign =
        stranger
            .client
            .publish(&stranger.token, OTHER, &shipped.snapshot_id, &["blog.test"]);
    let foreign = foreign.await;
    assert_eq!(foreign.status, 403, "{}", foreign.text());
    // Nor in another spelling.
    for spelling in [
        "WWW.SHOP.TEST",
        "www.shop.test.",
        "https://www.shop.test/",
        "www.shop.test:8080",
    ] {
        let reply = stranger.publish(&theirs, &[spelling]).await;
        assert_eq!(reply.status, 403, "as {spelling}: {}", reply.text());
    }

    assert_eq!(
        region
            .redis
            .cli(&["GET", &crate::support::env_key("www.shop.test")]),
        record
    );
    assert_eq!(owner.shown("www.shop.test").await, Some(1));
    for host in ["free.test", "blog.test"] {
        assert_eq!(owner.shown(host).await, None, "{host}");
    }
    let _published = owner
        .publish(&owner.ship(3, &[]).await, &["www.shop.test"])
        .await
        .expect_status(200);
    assert_eq!(owner.shown("www.shop.test").await, Some(3));
}
