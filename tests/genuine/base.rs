//! An application below a path of its own (`base: "/shop/"`), on hostnames joined by a dot.

use serde_json::json;

use crate::support::{Control, Edge, Stage, Visit, assets, host_of};

const BASE: &str = "vite-base";
const MANIFESTS: [&str; 2] = ["/shop/zephyr-manifest.json", "/zephyr-manifest.json"];

#[tokio::test]
#[cfg_attr(
    not(all(has_client, has_chromium)),
    ignore = "needs the published client and chromium: run scripts/setup-tests"
)]
async fn a_base_path_on_dotted_hostnames() {
    let control = Control {
        variables: json!({"production": {"ZE_PUBLIC_GREETING": "good evening"}}),
        ..Control::default()
    };
    let edge = Edge::embedded_with(".", |worker| worker).await;
    let stage = Stage::start(edge, control).await;
    let job = stage
        .build(BASE)
        .revision(3)
        .env("ZE_PUBLIC_GREETING", "hello");
    let build = job.deploy().await;
    let version = host_of(&build.version_url);
    let production = stage.edge.host("e-production", &build.application_uid);
    for (host, label) in [(version, "ada-"), (&production, "e-production-")] {
        let (name, edge) = host.split_once('.').expect("the delimiter is a dot");
        assert!(
            name.starts_with(label) && name.ends_with("-vite-base-shop-acme"),
            "{host}"
        );
        assert!(edge.starts_with("localhost:"), "{host}");
    }
    assets::check_version(&stage.edge, &build).await;
    assets::check_name(&stage.edge, &production, &build).await;

    // The client puts the base before the manifest, and no reader of it does.
    for (host, greeting) in [(version, "hello"), (&production, "good evening")] {
        for target in MANIFESTS {
            let manifest = stage.edge.read(host, target).await.json();
            let vars = json!({"ZE_PUBLIC_GREETING": greeting});
            assert_eq!(manifest["zeVars"], vars, "{host}{target}");
        }
        let visit = Visit::new(host, "/shop/").texts(&[
            &format!("greeting: {greeting}"),
            "lazy chunk below /shop/, revision 3",
            "note below the base",
        ]);
        let page = visit.click("#guide").texts(&["guide page"]).go().await;
        assert_eq!(page.url(), format!("http://{host}/shop/docs/guide/"));
    }

    // Pages are listed without the base, and found with and without it.
    let guide = stage.edge.read(version, "/docs/guide/").await;
    for target in ["/shop/docs/guide/", "/shop/docs/guide/index.html"] {
        assert_eq!(
            stage.edge.read(version, target).await.body,
            guide.body,
            "{target}"
        );
    }
    let moved = stage
        .edge
        .get(version, "/shop/docs/guide?x=1")
        .send()
        .await
        .expect_status(308);
    assert_eq!(moved.header("location"), Some("/shop/docs/guide/?x=1"));
    stage.end().await;
}
