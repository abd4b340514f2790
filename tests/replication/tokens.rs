//! What only other regions send is taken with a fresh token of a region for just that request, and with no other.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};
use favonius_testing::Reply;
use favonius_testing::token::{SECRET, mint, now, write_token};
use serde_json::{Value, json};

use crate::common::{APP, Worker, show};
use crate::support::{Plan, Region};

/// The kinds of uploads that only regions send, each with a question that changes nothing.
const KINDS: [(&str, &str); 4] = [
    ("lacking", r#"{"snapshots":[],"assets":[]}"#),
    ("names", r#"{"names":[]}"#),
    ("digest", r#"{"all":""}"#),
    (
        "fetch",
        r#"{"application_uid":"shop.web.acme","hash":"0000000000000000000000000000000000000000000000000000000000000000","size":1}"#,
    ),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// What a token says of the one request that it is for.
fn request_digest(target: &str, body: &str) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(body.as_bytes());
    let body = hex(hash.finish().as_ref());
    let mut context = Context::new(&SHA256);
    for part in ["favonius request 1", "POST", target, &body] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex(context.finish().as_ref())
}

/// The claims of a good token for one request.
fn claims(kind: &str, body: &str, id: &str) -> Value {
    json!({
        "application_uid": "*",
        "can_write": true,
        "replica": "eu-1",
        "jti": id,
        "req": request_digest(&format!("/upload?type={kind}"), body),
        "iat": now(),
        "exp": now() + 60,
    })
}

fn signed(claims: &Value) -> String {
    mint(SECRET.as_bytes(), claims)
}

async fn ask(worker: &Worker, kind: &str, body: &str, token: &str) -> Reply {
    let client = worker.client();
    let request = client.post(&format!("/upload?type={kind}")).token(token);
    request
        .header("content-type", "application/json")
        .body(body.to_owned())
        .send()
        .await
}

/// A bad token, the reason under which it is counted, and what must come back.
type Case = (&'static str, String, &'static str, u16);

fn bad_tokens(kind: &str, body: &str) -> Vec<Case> {
    let good = |id: &str| claims(kind, body, id);
    let with = |id: &str, name: &str, value: Value| {
        let mut claims = good(id);
        claims[name] = value;
        signed(&claims)
    };
    let without = |id: &str, names: &[&str]| {
        let mut claims = good(id);
        for name in names {
            claims.as_object_mut().unwrap().remove(*name);
        }
        signed(&claims)
    };
    let other_kind = request_digest("/upload?type=file", body);
    let other_body = request_digest(&format!("/upload?type={kind}"), "{}");
    let operator = json!({"application_uid": "*", "can_write": true, "exp": now() + 60});
    let forged = mint(b"another secret that is long enough for HS256", &good("a"));
    let longest = json!(now() + 3600);
    vec![
        ("forged", forged, "signature", 401),
        (
            "expired",
            with("b", "exp", json!(now() - 60)),
            "expired",
            401,
        ),
        (
            "another kind",
            with("c", "req", json!(other_kind)),
            "foreign",
            401,
        ),
        (
            "another body",
            with("d", "req", json!(other_body)),
            "foreign",
            401,
        ),
        ("for any request", without("e", &["req"]), "foreign", 401),
        ("not bound", without("f", &["jti", "req"]), "not_bound", 401),
        ("no id", without("g", &["jti"]), "malformed", 403),
        ("for long", with("h", "exp", longest), "lifetime", 401),
        (
            "its own",
            with("i", "replica", json!("us-1")),
            "own_replica",
            401,
        ),
        ("a person", write_token(APP), "other", 403),
        ("an operator", signed(&operator), "other", 403),
    ]
}

async fn rejected(region: &Region, reason: &str) -> u64 {
    let labels = [("reason", reason)];
    region
        .metric("favonius_replication_rejected_total", &labels)
        .await
}

async fn refusals(region: &Region) -> u64 {
    region.metric("favonius_auth_refusals_total", &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn only_fresh_tokens_of_regions_are_taken() {
    let mesh = Plan::of(&["us"]).start().await;
    let us = &mesh["us"];
    let mut sent = 0;
    for (kind, body) in KINDS {
        for (name, token, reason, status) in bad_tokens(kind, body) {
            let what = format!("case `{name}`, {kind}");
            let before = rejected(us, reason).await;
            let reply = ask(&us.workers[0], kind, body, &token).await;
            assert_eq!(reply.status, status, "{what}: {}", reply.text());
            assert_eq!(rejected(us, reason).await, before + 1, "{what}");
            sent += 1;
            assert_eq!(refusals(us).await, sent, "{what}");
        }
    }
    let keys = us.redis.cli(&["KEYS", "*"]);
    assert!(!keys.contains(":once:"), "{keys}");
    show("tokens", format!("{sent} bad tokens refused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_token_is_good_once_in_the_whole_region() {
    let mesh = Plan::of(&["us"]).start().await;
    let us = &mesh["us"];
    let mut refused = 0;
    for (kind, body) in KINDS {
        for (number, (first, second)) in [(0, 0), (0, 1), (1, 0)].into_iter().enumerate() {
            let token = signed(&claims(kind, body, &format!("{kind}-{number}")));
            let reply = ask(&us.workers[first], kind, body, &token).await;
            let is_taken = !matches!(reply.status.as_u16(), 401 | 403);
            assert!(is_taken, "{kind}: {}", reply.text());
            for _ in 0..2 {
                let reply = ask(&us.workers[second], kind, body, &token).await;
                assert_eq!(reply.status, 401, "{kind}: {}", reply.text());
                refused += 1;
            }
        }
    }
    // Of many at once one is taken.
    let (kind, body) = KINDS[0];
    let token = signed(&claims(kind, body, "many"));
    let asked = (0..10).map(|number| ask(&us.workers[number % 2], kind, body, &token));
    let replies = futures::future::join_all(asked).await;
    let admitted = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(admitted, 1, "{replies:?}");
    refused += 9;
    assert_eq!(rejected(us, "replayed").await, refused);
    assert_eq!(refusals(us).await, refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_relay_takes_nothing_from_people() {
    let mesh = Plan::of(&["us"]).workers(1).relays(1).start().await;
    let us = &mesh["us"];
    let relay = &us.relays[0];
    let client = relay.client();
    let build = us.site(APP).build(1);
    let operator = json!({"application_uid": "*", "can_write": true, "exp": now() + 60});
    for token in [write_token(APP), signed(&operator)] {
        let removal = json!({"application_uid": APP, "names": ["www.test"]});
        let replies = [
            client.upload_file(&token, "a.txt", b"a").await,
            client.upload_snapshot(&token, &build.snapshot).await,
            client
                .publish(&token, APP, &build.snapshot_id, &["www.test"])
                .await,
            ask(relay, "removal", &removal.to_string(), &token).await,
        ];
        for reply in replies {
            assert_eq!(reply.status, 403, "{}", reply.text());
        }
    }
    let list = client.hash_list(APP).await;
    assert_eq!(list.status, 404, "{}", list.text());
    assert_eq!(us.s3.keys(), Vec::<String>::new());

    for (kind, body) in KINDS {
        let token = signed(&claims(kind, body, kind));
        let reply = ask(relay, kind, body, &token).await;
        let is_taken = !matches!(reply.status.as_u16(), 401 | 403);
        assert!(is_taken, "{kind}: {}", reply.text());
        // What was used at the relay is used at the worker, too.
        let reply = ask(&us.workers[0], kind, body, &token).await;
        assert_eq!(reply.status, 401, "{kind}: {}", reply.text());
    }
}
