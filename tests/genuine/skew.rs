//! A page that was loaded before a publish, and loads a chunk after it.

use crate::support::{Control, Edge, Stage, Visit, host_of};

#[tokio::test]
#[cfg_attr(
    not(all(has_client, has_chromium, has_redis)),
    ignore = "needs the published client, chromium and redis-server: run scripts/setup-tests"
)]
async fn an_open_page_gets_its_lazy_chunk_after_a_publish() {
    let stage = Stage::start(Edge::s3_redis().await, Control::default()).await;
    let build = |revision| {
        stage
            .build("vite-shop")
            .revision(revision)
            .env("ZE_PUBLIC_GREETING", "hello")
    };
    let first = build(0).deploy().await;
    let production = stage.edge.host("e-production", &first.application_uid);
    let visit = Visit::new(&production, "/").texts(&["chart of 5 bars"]);
    let visit = visit
        .pause()
        .click("#open-cart")
        .texts(&["cart open, revision 0"])
        // And who comes anew gets what is there now.
        .reload()
        .click("#open-cart")
        .texts(&["cart open, revision 1"]);
    let mut open = visit.start();
    open.paused().await;

    let second = build(1).deploy().await;
    let page = stage.edge.read(&production, "/").await;
    let published = stage.edge.read(host_of(&second.version_url), "/").await;
    assert_eq!(page.body, published.body, "the new build is live");
    open.go_on().await;
    let seen = open.end_well().await;

    let carts: Vec<&str> = seen
        .responses()
        .map(|response| response.url)
        .filter(|url| url.contains("/assets/cart-"))
        .collect();
    let [old, new] = carts[..] else {
        panic!("not one chunk of each build: {carts:?}");
    };
    assert_ne!(old, new);
    for (url, build) in [(old, &first), (new, &second)] {
        let (_, path) = url.split_once("/assets/").expect("it was found by that");
        let path = format!("/assets/{path}");
        let answer = stage.edge.get(&production, &path).send().await;
        assert_eq!(
            answer.header("x-favonius-deployment"),
            Some(build.snapshot_id.as_str()),
            "{path}"
        );
    }
    stage.end().await;
}
