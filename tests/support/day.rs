//! A day of a worker.

use favonius_testing::token::{self, forge, write_claims};
use favonius_testing::{Client, raw_http};
use serde_json::json;

use super::{APP, QUERY_VALUE, Site, Worker};

/// Everything that a day brings: good and bad uploads, pages, errors, strange requests.
pub(crate) async fn live_a_day(worker: &Worker) {
    let site = Site::new(worker, APP);
    let build = site.ship(1, &["www.test"]).await;
    let query = format!("/?q={QUERY_VALUE}");
    let _page = site.get("www.test", &query).await.expect_status(200);
    let _page = site.get("unknown.test", &query).await.expect_status(404);
    let cookie = format!("session={}", site.token);
    let page = site.client.get("/x.png").host("www.test");
    let _page = page
        .header("cookie", cookie)
        .send()
        .await
        .expect_status(404);

    let bad = forge(&json!({"alg": "none"}), &write_claims(APP), |_| Vec::new());
    for (token, status) in [(&bad, 401), (&token::write_token("a.b.c"), 200)] {
        let reply = site.client.upload_file(token, "a.txt", b"a").await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    let hash = "0".repeat(64);
    let incomplete = json!({"app_version": {"application_uid": APP}, "jwt": site.token});
    let posts = [
        (format!("type=file&hash={hash}&filename={QUERY_VALUE}"), 422),
        (format!("type={QUERY_VALUE}"), 501),
        (format!("type=envs&q={QUERY_VALUE}"), 400),
    ];
    for (query, status) in posts {
        let request = site
            .client
            .post(&format!("/upload?{query}"))
            .token(&site.token);
        let reply = request.json(&incomplete).send().await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    let list = format!("/__get_application_hash_list__?application_uid={QUERY_VALUE}");
    let _refused = site.client.get(&list).send().await.expect_status(400);
    let never_uploaded = "ada-9.shop.web.acme";
    let reply = site
        .client
        .publish(&site.token, APP, never_uploaded, &["www.test"]);
    let _refused = reply.await.expect_status(404);

    // By HTTP/2, and what is not HTTP at all.
    let http2 = Client::http2(worker.address());
    let page = http2.get(&query).host("www.test").token(&site.token);
    let _page = page.send().await.expect_status(200);
    let token = &site.token;
    for nonsense in [
        format!("GET {query} HTTP/1.1\r\ncan_write_jwt {token}\r\n\r\n"),
        format!("{token} {QUERY_VALUE}\r\n\r\n"),
        format!(
            "GET http://www.test{query} HTTP/1.1\r\nHost: www.test\r\nAuthorization: Bearer {token}\r\n\r\n"
        ),
    ] {
        drop(raw_http(worker.address(), nonsense).await);
    }
    assert_eq!(site.shown("www.test").await, Some(build.number));
}
