//! An application of `vite-plugin-zephyr` from its first deployment to the next, on every kind of storage.

use std::collections::BTreeSet;

use futures::join;

use crate::support::{Build, Control, Edge, Stage, Visit, assets, host_of, show};

const SHOP: &str = "vite-shop";
const GREETING: &str = "ZE_PUBLIC_GREETING";

#[tokio::test]
#[cfg_attr(
    not(all(has_client, has_chromium, has_redis)),
    ignore = "needs the published client, chromium and redis-server: run scripts/setup-tests"
)]
async fn a_shop_on_s3_and_redis() {
    life_of_a_shop("s3 + redis", Edge::s3_redis().await).await;
}

#[tokio::test]
#[cfg_attr(
    not(all(has_client, has_chromium, has_redis, has_moto)),
    ignore = "needs the published client, chromium, redis-server and moto_server: run scripts/setup-tests"
)]
async fn a_shop_on_another_s3_and_redis() {
    life_of_a_shop("moto + redis", Edge::moto_redis().await).await;
}

#[tokio::test]
#[cfg_attr(
    not(all(has_client, has_chromium)),
    ignore = "needs the published client and chromium: run scripts/setup-tests"
)]
async fn a_shop_on_embedded_storage() {
    life_of_a_shop("embedded", Edge::embedded().await).await;
}

/// Two builds: all files at their URLs, only what changed uploaded, old and new served side by side, pages alive in a browser.
async fn life_of_a_shop(storage: &str, edge: Edge) {
    let stage = Stage::start(edge, Control::default()).await;
    let build = |revision| stage.build(SHOP).revision(revision).env(GREETING, "hello");
    let edge = &stage.edge;

    let first = build(0).deploy().await;
    assert_eq!(
        first.uploaded,
        sorted_paths(&first),
        "the first build uploads everything"
    );
    let files = assets::check_version(edge, &first).await;

    let second = build(1).deploy().await;
    only_what_changed(&first, &second);
    let (tag, environment) = (
        edge.host("t-main", &second.application_uid),
        edge.host("e-production", &second.application_uid),
    );
    assets::check_version(edge, &second).await;
    assets::check_version(edge, &first).await;
    assets::check_name(edge, &tag, &second).await;
    assets::check_name(edge, &environment, &second).await;

    let (old, new, about) = join!(
        shop(host_of(&first.version_url), 0),
        shop(&environment, 1),
        Visit::new(&tag, "/about/")
            .texts(&["about page is alive"])
            .go(),
    );
    show(format_args!(
        "{storage}: {files} files, builds of {:.1?} and {:.1?} with {} and {} uploads, visits of {old:.1?}, {new:.1?} and {:.1?}",
        first.took,
        second.took,
        first.uploaded.len(),
        second.uploaded.len(),
        about.took,
    ));
    stage.end().await;
}

/// Opens the shop, looks at everything in it and clicks on what loads a chunk. Returns how long that took.
async fn shop(host: &str, revision: u32) -> std::time::Duration {
    let cart = format!("cart open, revision {revision}");
    let shown = [
        "greeting: hello",
        "heading is rgb(20, 40, 60)",
        "products: lamp, chair",
        "odd files: 9 of 9",
        "logo is 48 wide",
        "chart of 5 bars",
    ];
    let visit = Visit::new(host, "/").texts(&shown);
    let page = visit.click("#open-cart").texts(&[&cart]).go().await;
    for text in shown.iter().chain([&cart.as_str()]) {
        assert!(page.text().contains(text), "{text} in {}", page.text());
    }
    let urls: Vec<&str> = page.responses().map(|response| response.url).collect();
    let loaded = |part: &str| urls.iter().any(|url| url.contains(part));
    for part in [
        "/assets/index-",
        "/assets/cart-",
        "/assets/bars-",
        "/zephyr-manifest.json",
    ] {
        assert!(loaded(part), "{part} in {urls:#?}");
    }
    page.took
}

/// The second build uploads the chunk that changed, the script that names it, the page that names that, and the manifest, in which
/// there is the time.
fn only_what_changed(first: &Build, second: &Build) {
    let known: BTreeSet<(&str, &str)> = files(first).collect();
    let new = files(second).filter(|file| !known.contains(file));
    let mut new: Vec<&str> = new.map(|(path, _)| path).collect();
    new.sort_unstable();
    assert_eq!(second.uploaded, new);
    let [cart, script, page, manifest] = &new[..] else {
        panic!("not four files: {new:?}");
    };
    for (path, name) in [(cart, "assets/cart-"), (script, "assets/index-")] {
        let fingerprint = path
            .strip_prefix(name)
            .and_then(|rest| rest.strip_suffix(".js"));
        assert!(fingerprint.is_some(), "{name}*.js: {path}");
    }
    assert_eq!((*page, *manifest), ("index.html", "zephyr-manifest.json"));
}

fn files(build: &Build) -> impl Iterator<Item = (&str, &str)> {
    build
        .assets
        .iter()
        .map(|asset| (asset.path.as_str(), asset.hash.as_str()))
}

fn sorted_paths(build: &Build) -> Vec<String> {
    let mut paths: Vec<String> = files(build).map(|(path, _)| path.to_owned()).collect();
    paths.sort_unstable();
    paths
}
