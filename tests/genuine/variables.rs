//! `ZE_PUBLIC_*` variables: read when a page runs, different in each environment, changed without a build.

use serde_json::{Value, json};

use crate::support::{Control, Edge, Stage, Visit, host_of};

const SHOP: &str = "vite-shop";
const GREETING: &str = "ZE_PUBLIC_GREETING";

fn greeting(text: &str) -> Value {
    json!({GREETING: text})
}

#[tokio::test]
#[cfg_attr(
    not(all(has_client, has_chromium, has_redis)),
    ignore = "needs the published client, chromium and redis-server: run scripts/setup-tests"
)]
async fn each_environment_shows_its_own_and_a_reload_shows_the_next() {
    let control = Control {
        environments: "production,staging",
        variables: json!({"production": greeting("good evening"), "staging": greeting("testing")}),
        ..Control::default()
    };
    let stage = Stage::start(Edge::s3_redis().await, control).await;
    let build = stage.build(SHOP).env(GREETING, "hello").deploy().await;
    let host = |name: &str| stage.edge.host(name, &build.application_uid);
    let (production, staging) = (host("e-production"), host("e-staging"));

    // Stays open while the variable changes.
    let visit =
        Visit::new(&production, "/").texts(&["greeting: good evening", "odd files: 9 of 9"]);
    let visit = visit.pause().reload();
    let mut open = visit
        .texts(&["greeting: good night", "odd files: 9 of 9"])
        .start();
    open.paused().await;

    let variables = json!({"production": greeting("good night"), "staging": greeting("testing")});
    let change = json!({"env_vars": variables});
    stage
        .control
        .publish_again_ok(&build.snapshot_id, change)
        .await;
    open.go_on().await;
    let reloaded = open.end_well().await;
    let manifests = reloaded
        .responses()
        .filter(|response| response.url.ends_with("/zephyr-manifest.json"));
    let manifests = manifests
        .map(|response| response.status)
        .collect::<Vec<_>>();
    assert_eq!(manifests, [200, 200], "read again after the reload");

    let version = host_of(&build.version_url);
    for (host, text) in [
        (&*staging, "greeting: testing"),
        (version, "greeting: hello"),
    ] {
        Visit::new(host, "/")
            .texts(&[text, "odd files: 9 of 9"])
            .go()
            .await;
    }
    stage.end().await;
}

#[tokio::test]
#[cfg_attr(
    not(has_client),
    ignore = "needs the published client: run scripts/setup-tests"
)]
async fn every_form_of_publish_carries_them() {
    let control = Control {
        environments: "production,staging",
        ..Control::default()
    };
    let stage = Stage::start(Edge::embedded().await, control).await;
    let build = stage.build(SHOP).env(GREETING, "hello").deploy().await;
    let manifest_of = async |host: &str| {
        let reply = stage.edge.read(host, "/zephyr-manifest.json").await;
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        reply.json()
    };
    let host = |name: &str| stage.edge.host(name, &build.application_uid);
    let (production, staging) = (host("e-production"), host("e-staging"));
    let original = manifest_of(host_of(&build.version_url)).await;
    assert_eq!(original["zeVars"], greeting("hello"));

    for mode in ["new", "flat"] {
        for form in ["variables", "manifest"] {
            let case = format!("{mode} as {form}");
            let more = json!({
                "mode": mode,
                "vars_as": form,
                "env_vars": {"production": {GREETING: case, "ZE_PUBLIC_MORE": "new"}},
            });
            stage
                .control
                .publish_again_ok(&build.snapshot_id, more)
                .await;
            let mut live = manifest_of(&production).await;
            let vars = json!({GREETING: case, "ZE_PUBLIC_MORE": "new"});
            assert_eq!(live["zeVars"], vars, "case `{case}`");
            // All else is the build's; a manifest of the control plane's own has its own time.
            live["zeVars"] = original["zeVars"].clone();
            if form == "manifest" {
                live["timestamp"] = original["timestamp"].clone();
            }
            assert_eq!(live, original, "case `{case}`");
            assert_eq!(manifest_of(&staging).await, original, "case `{case}`");
            let version = manifest_of(host_of(&build.version_url)).await;
            assert_eq!(version, original, "case `{case}`");
        }
    }
    // Without variables the environment is back at the build's.
    stage
        .control
        .publish_again_ok(&build.snapshot_id, json!({}))
        .await;
    assert_eq!(manifest_of(&production).await, original);
    stage.end().await;
}
