//! The ways in which a control plane publishes what the client uploaded.

use serde_json::json;

use crate::support::{Control, Edge, Stage, host_of};

const SHOP: &str = "vite-shop";

#[tokio::test]
#[cfg_attr(
    not(all(has_client, has_redis)),
    ignore = "needs the published client and redis-server: run scripts/setup-tests"
)]
async fn nothing_is_live_before_a_publish_and_every_form_of_it_works() {
    for path in ["/upload?type=envs", "/publish"] {
        every_form(path).await;
    }
}

async fn every_form(path: &'static str) {
    let control = Control {
        publish: "none",
        path,
        ..Control::default()
    };
    let stage = Stage::start(Edge::s3_redis().await, control).await;
    let build = stage
        .build(SHOP)
        .env("ZE_PUBLIC_GREETING", "hello")
        .deploy()
        .await;
    let edge = &stage.edge;
    let names = ["t-main", "e-production"].map(|name| edge.host(name, &build.application_uid));
    let page = edge.read(host_of(&build.version_url), "/").await;
    let unpublished = async || {
        for host in &names {
            let reply = edge.get(host, "/").send().await.expect_status(404);
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{host}");
            assert_eq!(reply.json()["error"], "unknown_host", "{host}");
        }
    };
    unpublished().await;
    // `none` is what the build did: the edge is not even asked.
    let none = stage
        .control
        .publish_again(&build.snapshot_id, json!({"mode": "none"}))
        .await;
    assert_eq!(none.status, 0, "{none:?}");
    unpublished().await;

    for (mode, vars) in [
        ("old", None),
        ("new", Some("evening")),
        ("flat", Some("night")),
        ("old", None),
    ] {
        let mut more = json!({"mode": mode});
        if let Some(vars) = vars {
            more["env_vars"] = json!({"production": {"ZE_PUBLIC_GREETING": vars}});
        }
        stage
            .control
            .publish_again_ok(&build.snapshot_id, more)
            .await;
        let [tag, production] = &names;
        for (host, greeting) in [(tag, "hello"), (production, vars.unwrap_or("hello"))] {
            let shown = edge.read(host, "/").await;
            assert_eq!(shown.body, page.body, "{mode} {host}");
            assert_eq!(
                shown.header("x-favonius-deployment"),
                Some(&*build.snapshot_id),
                "{mode}"
            );
            let manifest = edge.read(host, "/zephyr-manifest.json").await.json();
            assert_eq!(
                manifest["zeVars"]["ZE_PUBLIC_GREETING"], greeting,
                "{mode} {host}"
            );
        }
    }

    // The older body names route keys as well, for addresses without a hostname of their own.
    let own = edge.client().address().to_string();
    for key in ["t/main", "e/production"] {
        let target = format!("/__zephyr/v1/{key}.{}/", build.application_uid);
        let shown = edge.read(&own, &target).await;
        assert!(
            shown.text().contains("<h1>Shop</h1>"),
            "{target}: {}",
            shown.text()
        );
    }
    stage.end().await;
}
