//! `favonius deploy` to an edge that is well.

use std::{fs, path::Path};

use rustix::process::Signal;

use crate::support::{Dev, site, write};

#[tokio::test]
async fn the_second_time_only_what_changed_is_uploaded() {
    let empty = site(&[("index.html", "dev")]);
    let dev = Dev::start(empty.path(), &[]).await;
    let dir = site(&[
        ("index.html", "one"),
        ("data/menu del día (50%) & más.txt", "sí"),
        ("empty.txt", ""),
        ("node_modules/x/index.js", "left out"),
    ]);
    let large = "0123456789abcdef".repeat(40_000);
    write(dir.path(), "assets/large.bin", &large);
    let names = ["--env=production", "--tag=main", "--host=www.shop.test"];
    let first = dev.deploy(dir.path(), &names).await.expect(0).json();
    assert_eq!(
        (&first["files"], &first["uploaded_files"]),
        (&4.into(), &4.into())
    );
    assert_eq!(first["bytes"], first["uploaded_bytes"]);
    let port = dev.address.port();
    let urls = [
        // With the dot that this edge uses, which the command was not told.
        format!("http://e-production-shop-web-acme.localhost:{port}"),
        format!("http://t-main-shop-web-acme.localhost:{port}"),
        format!("http://www.shop.test:{port}"),
    ];
    assert_eq!(first["urls"], serde_json::json!(urls));
    let version = first["version_url"].as_str().unwrap();
    for url in urls.iter().map(String::as_str).chain([version]) {
        assert_eq!(dev.page(url).await, "one", "{url}");
        assert_eq!(dev.page(&format!("{url}/empty.txt")).await, "");
        assert_eq!(dev.page(&format!("{url}/assets/large.bin")).await, large);
        let name = "data/menu%20del%20d%C3%ADa%20(50%25)%20&%20m%C3%A1s.txt";
        assert_eq!(dev.page(&format!("{url}/{name}")).await, "sí");
    }

    write(dir.path(), "index.html", "two");
    let second = dev.deploy(dir.path(), &names).await.expect(0).json();
    assert_eq!(
        (&second["files"], &second["uploaded_files"]),
        (&4.into(), &1.into())
    );
    assert_eq!(second["uploaded_bytes"], 3);
    assert_ne!(first["snapshot_id"], second["snapshot_id"]);
    assert_eq!(dev.page(&urls[0]).await, "two");
    assert_eq!(dev.page(version).await, "one");
    assert_eq!(dev.page(dev.text("url")).await, "dev");
}

#[tokio::test]
async fn what_the_edge_has_lost_is_uploaded_again() {
    let own = site(&[("index.html", "dev")]);
    let dir = site(&[("index.html", "hi"), ("a.txt", "a")]);
    let data = tempfile::tempdir().unwrap();
    let arguments = ["--data", &data.path().display().to_string()];
    let mut dev = Dev::start(own.path(), &arguments).await;
    dev.deploy(dir.path(), &[]).await.expect(0);
    // Without a publish the edge has to be asked; with one it says so.
    for (name, names) in [("version", &[][..]), ("publish", &["--env=production"])] {
        let known = dev.deploy(dir.path(), names).await.expect(0).json();
        assert_eq!(known["uploaded_files"], 0, "case `{name}`: {known}");
        // An edge that runs remembers what it has seen.
        dev.stop(Signal::INT).await;
        empty(&data.path().join("assets"));
        dev = Dev::start(own.path(), &arguments).await;
        let again = dev.deploy(dir.path(), names).await.expect(0).json();
        assert_eq!(again["uploaded_files"], 2, "case `{name}`: {again}");
        let url = again["urls"]
            .get(0)
            .unwrap_or(&again["version_url"])
            .as_str()
            .unwrap();
        assert_eq!(
            dev.page(&format!("{url}/a.txt")).await,
            "a",
            "case `{name}`"
        );
        assert_eq!(dev.page(dev.text("url")).await, "dev", "case `{name}`");
    }
}

/// Removes all files below a directory.
fn empty(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            empty(&path);
        } else {
            fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn a_version_is_named_after_user_and_build() {
    let dir = site(&[("index.html", "hi")]);
    let dev = Dev::start(dir.path(), &[]).await;
    let named = [
        "--user=Ada_L",
        "--build=7",
        "--commit=4a6e9c58",
        "--branch=main",
    ];
    let first = dev.deploy(dir.path(), &named).await.expect(0).json();
    assert_eq!(first["snapshot_id"], "Ada-L-7.shop.web.acme");
    let version = format!(
        "http://ada-l-7-shop-web-acme.localhost:{}",
        dev.address.port()
    );
    assert_eq!(first["version_url"], version);

    // The id is taken, and it was not ours to choose.
    write(dir.path(), "index.html", "other");
    let taken = dev.deploy(dir.path(), &named).await.expect(1).json();
    assert_eq!(
        (&taken["error"], &taken["status"]),
        (&"snapshot_exists".into(), &409.into())
    );
    assert!(
        taken["message"].as_str().unwrap().contains("--build"),
        "{taken}"
    );
    assert_eq!(dev.page(&version).await, "hi");

    // Visitors know the edge by another name.
    let elsewhere = ["--domain=https://edge.example.com", "--env=production"];
    let other = dev.deploy(dir.path(), &elsewhere).await.expect(0).json();
    assert_eq!(
        other["urls"][0],
        "https://e-production-shop-web-acme.edge.example.com"
    );
}
