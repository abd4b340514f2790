//! `favonius publish`

use serde_json::Value;

use crate::support::{Dev, run, site, write};

#[tokio::test]
async fn an_older_version_is_published_again() {
    let dir = site(&[("index.html", "one")]);
    let dev = Dev::start(dir.path(), &[]).await;
    let host = "--host=shop.localhost";
    let first = dev.deploy(dir.path(), &[host]).await.expect(0).json();
    write(dir.path(), "index.html", "two");
    let second = dev.deploy(dir.path(), &[host]).await.expect(0).json();
    let url = second["urls"][0].as_str().unwrap();
    assert_eq!(dev.page(url).await, "two");

    let snapshot = first["snapshot_id"].as_str().unwrap();
    let arguments = [
        "publish",
        "--snapshot",
        snapshot,
        host,
        "--route-key=t_main.shop.web.acme",
    ];
    let published = run(&mut dev.command(&arguments)).await.expect(0).json();
    assert_eq!(published["urls"], serde_json::json!(["shop.localhost"]));
    assert_eq!(published["application_uid"], "shop.web.acme");
    assert_eq!(dev.page(url).await, "one");
    let by_key = format!(
        "{}/__zephyr/v1/t/t_main.shop.web.acme/",
        dev.text("edge_url")
    );
    assert_eq!(dev.page(&by_key).await, "one");
}

#[tokio::test]
async fn variables_hold_for_one_name_only() {
    let manifest = r#"{"version":"1.0.0","zeVars":{"ZE_PUBLIC_API":"https://api.test"}}"#;
    let dir = site(&[("index.html", "hi"), ("zephyr-manifest.json", manifest)]);
    let dev = Dev::start(dir.path(), &[]).await;
    let deployed = dev.deploy(dir.path(), &[]).await.expect(0).json();
    let arguments = [
        "publish",
        "--snapshot",
        deployed["snapshot_id"].as_str().unwrap(),
        "--host=a.localhost",
        "--host=b.localhost",
        "--var=a.localhost:ZE_PUBLIC_API=https://a.test/?x=1:2",
    ];
    run(&mut dev.command(&arguments)).await.expect(0);
    for (host, expected) in [("a", "https://a.test/?x=1:2"), ("b", "https://api.test")] {
        let url = format!("http://{host}.localhost/zephyr-manifest.json");
        let manifest: Value = serde_json::from_str(&dev.page(&url).await).unwrap();
        assert_eq!(manifest["zeVars"]["ZE_PUBLIC_API"], expected, "{host}");
    }
}

#[tokio::test]
async fn what_the_edge_refuses_is_passed_on() {
    let dir = site(&[("index.html", "hi")]);
    let dev = Dev::start(dir.path(), &[]).await;
    let arguments = [
        "publish",
        "--snapshot=ada-1.shop.web.acme",
        "--host=a.localhost",
    ];
    let unknown = run(&mut dev.command(&arguments)).await.expect(1).json();
    assert_eq!(unknown["error"], "snapshot_not_found");
    assert_eq!(unknown["status"], 404);
    assert!(unknown["request_id"].is_string(), "{unknown}");
    let nothing = run(&mut dev.command(&arguments[..2]))
        .await
        .expect(2)
        .json();
    assert_eq!(nothing["error"], "usage");
}
