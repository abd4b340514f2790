//! `favonius replication` and `favonius unpublish`, against a server that answers as an edge does.

use tokio::process::Command;

use crate::{
    stub::{Stub, reply},
    support::{program, run},
};

const US: &str = "https://us.test";

fn command(stub: &Stub, arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command.arg("--url").arg(stub.url());
    command.env("FAVONIUS_TOKEN", "an.operators.token");
    command
}

async fn answering(status: u16, body: &str) -> Stub {
    let body = body.to_owned();
    Stub::start(move |_, _| reply(status, "", &body)).await
}

/// The first line of the only request, which has to bring the token.
fn request(stub: &Stub) -> String {
    let heads = stub.heads();
    assert_eq!(heads.len(), 1, "{heads:?}");
    assert!(
        heads[0].contains("can_write_jwt: an.operators.token\r\n"),
        "{heads:?}"
    );
    heads[0].lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn status_shows_every_target() {
    let body = r#"{
        "targets": [{"target": "https://us.test", "waiting": 2, "lag_seconds": 41.5, "buried": 0, "delivered": 12,
            "retried": 3, "sent_bytes": 6000, "last_success_ms": null, "last_error": "connection refused"}],
        "received": {"applied": 5, "known": 0, "older": 1, "by_hand": 0, "incomplete": 0, "refused": 0, "failed": 0,
            "refused_by": {}, "rejected": {"replayed": 2}}
    }"#;
    let stub = answering(200, body).await;
    let shown = run(&mut command(&stub, &["replication", "status"])).await;
    let shown = shown.expect(0).stdout;
    assert!(shown.starts_with("TARGET "), "{shown}");
    for part in [
        US,
        " 42 s ",
        " 5.86 KiB ",
        "connection refused",
        "\nReceived: 5 applied, ",
        "\nRejected tokens: 2 replayed\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(request(&stub), "GET /__favonius/replication? HTTP/1.1");
    let json = run(&mut command(&stub, &["replication", "status", "--json"])).await;
    let json = json.expect(0).json();
    assert_eq!(
        json,
        serde_json::from_str::<serde_json::Value>(body).unwrap()
    );
    // Edges of before said less.
    let less = r#"{"targets":[{"target":"https://us.test","waiting":2,"lag_seconds":1,"buried":0,"last_success_ms":null,"last_error":null}]}"#;
    let stub = answering(200, less).await;
    let shown = run(&mut command(&stub, &["replication", "status"])).await;
    assert!(shown.expect(0).stdout.contains("\nReceived: 0 applied"));
}

#[tokio::test]
async fn dead_letters_are_listed() {
    let body = r#"{"letters":[{"id":"7-0","event":"{\"snapshots\":[\"ada-1.a.b.c\"]}","reason":"413 too_large","queued_at_ms":1000,"buried_at_ms":2000}]}"#;
    let stub = answering(200, body).await;
    let arguments = ["replication", "dead-letters", US, "--limit=5"];
    let shown = run(&mut command(&stub, &arguments)).await.expect(0).stdout;
    for part in ["7-0", "ada-1.a.b.c", "413 too_large"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let expected =
        "GET /__favonius/replication/dead-letters?target=https%3A%2F%2Fus.test&limit=5 HTTP/1.1";
    assert_eq!(request(&stub), expected);
    let none = answering(200, r#"{"letters":[]}"#).await;
    let json = run(command(&none, &arguments).arg("--json")).await;
    assert_eq!(
        json.expect(0).json(),
        serde_json::json!({"target": US, "letters": []})
    );
}

#[tokio::test]
async fn letters_are_sent_again() {
    let stub = answering(200, r#"{"retried":2}"#).await;
    let arguments = ["replication", "retry", US, "7-0", "8-0", "--json"];
    let json = run(&mut command(&stub, &arguments)).await.expect(0).json();
    assert_eq!(json, serde_json::json!({"target": US, "retried": 2}));
    let expected =
        "POST /__favonius/replication/retry?target=https%3A%2F%2Fus.test&id=7-0&id=8-0 HTTP/1.1";
    assert_eq!(request(&stub), expected);
}

#[tokio::test]
async fn regions_are_compared_on_demand() {
    for (arguments, expected) in [
        (&["replication", "repair"][..], "repair? "),
        (
            &["replication", "repair", US],
            "repair?target=https%3A%2F%2Fus.test ",
        ),
    ] {
        let stub = answering(202, r#"{"message":"it will be compared"}"#).await;
        let shown = run(&mut command(&stub, arguments)).await.expect(0);
        assert_eq!(shown.stdout, "it will be compared\n");
        let expected = format!("POST /__favonius/replication/{expected}HTTP/1.1");
        assert_eq!(request(&stub), expected);
    }
}

#[tokio::test]
async fn names_are_removed() {
    let stub = answering(200, r#"{"message":"removed","names":2}"#).await;
    let arguments = [
        "unpublish",
        "https://Old.test/",
        "t_main.shop.web.acme",
        "--application=shop.web.acme",
        "--json",
    ];
    let json = run(&mut command(&stub, &arguments)).await.expect(0).json();
    let expected = serde_json::json!({
        "application_uid": "shop.web.acme",
        "names": ["old.test", "t_main.shop.web.acme"],
        "removed": 2,
    });
    assert_eq!(json, expected);
    assert_eq!(request(&stub), "POST /upload?type=removal HTTP/1.1");
}

#[tokio::test]
async fn refusals_are_passed_on() {
    let body = r#"{"status":403,"error":"forbidden","message":"an operator's token is needed","request_id":"r1"}"#;
    for arguments in [
        &["replication", "status"][..],
        &["replication", "dead-letters", US],
        &["replication", "retry", US],
        &["replication", "repair"],
        &["unpublish", "a.test", "--application=a.b.c"],
    ] {
        let stub = answering(403, body).await;
        let json = run(command(&stub, arguments).arg("--json")).await.expect(1);
        let json = json.json();
        assert_eq!(json["error"], "forbidden", "{arguments:?}");
        assert_eq!(json["request_id"], "r1", "{arguments:?}");
    }
}

#[tokio::test]
async fn wrong_usage_is_told_before_anything_is_sent() {
    let stub = answering(500, "").await;
    for arguments in [
        &["replication"][..],
        &["replication", "dead-letters"],
        &["replication", "dead-letters", US, "--limit=0"],
        &["replication", "retry"],
        &["replication", "repair", "not a url"],
        &["unpublish", "--application=a.b.c"],
        &["unpublish", "a.test"],
        &["unpublish", "a.test", "--application=shop"],
    ] {
        run(&mut command(&stub, arguments)).await.expect(2);
    }
    assert_eq!(stub.heads(), Vec::<String>::new());
}
