//! Files whose names need care in URLs.

use crate::support::{Control, Edge, Stage, host_of, url_path};

/// A name, and how it may stand in a URL beside the form in which everything is encoded.
const NAMES: [(&str, &[&str]); 9] = [
    (
        "data/two words.txt",
        &["/data/two%20words.txt", "/data/two%20words.txt?two+words"],
    ),
    ("data/100% sure.txt", &["/data/100%25%20sure.txt"]),
    ("data/%41 is not A.txt", &["/data/%2541%20is%20not%20A.txt"]),
    (
        "data/one+one.txt",
        &[
            "/data/one+one.txt",
            "/data/one%2Bone.txt",
            "/data/one%2bone.txt",
        ],
    ),
    (
        "data/@scope#part.txt",
        &["/data/@scope%23part.txt", "/data/%40scope%23part.txt"],
    ),
    (
        "data/what?.txt",
        &["/data/what%3F.txt", "/data/what%3f.txt?what"],
    ),
    (
        "data/menu del día (50%) & más+más.txt",
        &[
            "/data/menu%20del%20d%C3%ADa%20(50%25)%20&%20m%C3%A1s+m%C3%A1s.txt",
            "/data/menu%20del%20d%c3%ada%20%2850%25%29%20%26%20m%c3%a1s%2bm%c3%a1s.txt",
        ],
    ),
    (
        "data/日本語.txt",
        &[
            "/data/%E6%97%A5%E6%9C%AC%E8%AA%9E.txt",
            "/data/%e6%97%a5%e6%9c%ac%e8%aa%9e.txt",
        ],
    ),
    (
        "data/風/空 #1?.txt",
        &[
            "/data/%E9%A2%A8/%E7%A9%BA%20%231%3F.txt",
            "/%64ata/%E9%A2%A8/%E7%A9%BA%20%231%3F.txt",
        ],
    ),
];

/// What names another file than it would if it were decoded more or less often than once, or as a form.
const OTHERS: [&str; 7] = [
    "/data/two+words.txt",
    "/data/two%2520words.txt",
    "/data/%41%20is%20not%20A.txt",
    "/data/A%20is%20not%20A.txt",
    "/data/one%20one.txt",
    "/data/what?.txt",
    "/data/.txt",
];

#[tokio::test]
#[cfg_attr(
    not(has_client),
    ignore = "needs the published client: run scripts/setup-tests"
)]
async fn odd_names_are_found_by_their_urls_and_by_no_others() {
    let stage = Stage::start(Edge::embedded().await, Control::default()).await;
    for app in ["vite-shop", "rspack-remote"] {
        let build = stage.build(app).deploy().await;
        let version = host_of(&build.version_url);
        let production = stage.edge.host("e-production", &build.application_uid);
        for host in [version, &production] {
            for (name, urls) in NAMES {
                let encoded = url_path(name);
                for target in urls.iter().copied().chain([&*encoded]) {
                    let reply = stage.edge.read(host, target).await;
                    assert_eq!(
                        reply.text(),
                        format!("content of {name}\n"),
                        "{host}{target}"
                    );
                }
            }
            for target in OTHERS {
                let reply = stage.edge.get(host, target).send().await;
                assert_eq!(reply.status, 404, "{host}{target}: {}", reply.text());
            }
            let empty = stage.edge.read(host, "/data/empty.txt").await;
            assert_eq!(empty.header("content-length"), Some("0"));
        }
    }
    stage.end().await;
}
