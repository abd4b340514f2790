//! The log level, changed while the worker runs.

use std::time::Duration;

use favonius_testing::{Reply, WorkerProcess, eventually, token};
use http::Method;
use serde_json::json;

use crate::support::APP;

const ROUTE: &str = "/__favonius/log-level";

fn operator() -> String {
    let mut claims = token::write_claims(APP);
    claims["application_uid"] = json!("*");
    token::mint(token::SECRET.as_bytes(), &claims)
}

/// Waits until the worker has told that it changed to this level.
async fn worker_told(worker: &WorkerProcess, level: &str) {
    let told = || {
        let lines = worker.log_records().into_iter();
        lines.filter(|line| line["level.now"] == level).count()
    };
    eventually("the change is told", Duration::from_secs(5), async || {
        if told() == 1 { Ok(()) } else { Err(told()) }
    })
    .await;
}

#[tokio::test]
async fn an_operator_changes_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let worker = WorkerProcess::builder().embedded(dir.path()).start().await;
    let client = worker.client();
    let ask = async |method: Method, query: &str, token: &str| -> Reply {
        let target = format!("{ROUTE}{query}");
        client.request(method, &target).token(token).send().await
    };
    let refusals = || {
        let lines = worker.log_records().into_iter();
        lines
            .filter(|line| line["message"] == "Request refused")
            .count()
    };
    let operator = operator();
    assert_eq!(
        ask(Method::GET, "", &operator).await.json()["level"],
        "info"
    );
    let _unknown = client
        .get("/")
        .host("www.test")
        .send()
        .await
        .expect_status(404);
    assert_eq!(refusals(), 0, "at level info");

    let changed = ask(Method::PUT, "?level=debug", &operator)
        .await
        .expect_status(200);
    assert_eq!(changed.json(), json!({"level": "debug", "before": "info"}));
    let line = worker
        .wait_for_log("The log level was changed", Duration::from_secs(5))
        .await;
    assert_eq!(
        (&line["level.before"], &line["level.now"]),
        (&json!("info"), &json!("debug"))
    );
    let _unknown = client
        .get("/")
        .host("www.test")
        .send()
        .await
        .expect_status(404);
    worker
        .wait_for_log("Request refused", Duration::from_secs(5))
        .await;

    // To a level at which the change itself would not be told.
    let _changed = ask(Method::PUT, "?level=fatal", &operator)
        .await
        .expect_status(200);
    worker_told(&worker, "fatal").await;

    let _changed = ask(Method::PUT, "?level=error", &operator)
        .await
        .expect_status(200);
    worker_told(&worker, "error").await;
    let _changed = ask(Method::PUT, "?level=fatal", &operator)
        .await
        .expect_status(200);

    let cases = [
        (Method::PUT, "?level=loud", operator.as_str(), 400),
        (Method::PUT, "", operator.as_str(), 400),
        (Method::POST, "?level=info", operator.as_str(), 405),
        (Method::PUT, "?level=info", "no token at all", 401),
        (Method::PUT, "?level=info", &token::write_token(APP), 403),
    ];
    for (method, query, token, status) in cases {
        let reply = ask(method.clone(), query, token).await;
        assert_eq!(reply.status, status, "{method} {query}: {}", reply.text());
    }
    let _missing = client.get(ROUTE).send().await.expect_status(401);
    assert_eq!(
        ask(Method::GET, "", &operator).await.json()["level"],
        "fatal"
    );
}
