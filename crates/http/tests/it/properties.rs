//! What holds for every deployment and every request.

use std::{collections::HashMap, sync::LazyLock};

use proptest::{prelude::*, sample::select};
use tokio::runtime::Runtime;

use crate::{
    coding::decoded,
    support::{Answer, TestEdge},
};

const HOST: &str = "www.test";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Kinds of files: how their names end, whether their content can have forms, and how long the name of a version and another name
/// may promise it.
const KINDS: [(&str, bool, bool, bool); 9] = [
    (".html", true, false, false),
    ("-BfR3x9aZ.js", true, true, true),
    (".js", true, true, false),
    (".css", true, true, false),
    ("-4f3c2a1b.css", true, true, true),
    ("-manifest.json", true, false, false),
    (".png", false, true, false),
    ("-BfR3x9aZ.png", false, true, true),
    (".wasm", true, true, false),
];

#[derive(Debug, Clone)]
struct File {
    path: String,
    content: Vec<u8>,
    compressible: bool,
    version_keeps: bool,
    others_keep: bool,
}

fn file() -> impl Strategy<Value = File> {
    let content = prop_oneof![
        // Text as builds have it: it gets smaller.
        ("[a-z]{1,20}", 0..400_usize).prop_map(|(word, times)| word.repeat(times).into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..3000),
    ];
    ("[a-z]{1,6}", select(&KINDS[..]), content).prop_map(|(name, kind, content)| {
        let (ending, compressible, version_keeps, others_keep) = kind;
        File {
            path: format!("{name}{ending}"),
            content,
            compressible,
            version_keeps,
            others_keep,
        }
    })
}

fn accepted() -> impl Strategy<Value = String> {
    let element = (
        select(&["gzip", "br", "zstd", "identity", "*", "deflate"][..]),
        select(&["", ";q=0", ";q=0.5", ";q=1", ";q=0.001"][..]),
    );
    proptest::collection::vec(element.prop_map(|(name, q)| format!("{name}{q}")), 0..5)
        .prop_map(|elements| elements.join(", "))
}

/// A deployment, all forms of which are made and in memory, under the name of an environment and of its version.
async fn deployed(files: &[File]) -> (TestEdge, [String; 2]) {
    let edge = TestEdge::new();
    let listed: HashMap<&str, &[u8]> = files
        .iter()
        .map(|file| (file.path.as_str(), file.content.as_slice()))
        .collect();
    let listed: Vec<_> = listed.into_iter().collect();
    let version = edge.deploy("u-1", &listed, &[HOST], |_| {}).await;
    for (path, content) in listed {
        let compressible = files.iter().any(|f| f.path == path && f.compressible);
        if compressible && content.len() > 1024 {
            edge.served_coded(path, content).await;
        }
    }
    (edge, [HOST.to_owned(), version])
}

async fn ask(
    edge: &TestEdge,
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut answer = edge.ask(method, host, &format!("/{path}"), headers).await;
    answer.headers.remove("x-request-id");
    answer
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn serving(
        files in proptest::collection::vec(file(), 1..5),
        accepted in proptest::collection::vec(accepted(), 1..5),
        (first, length) in (0..3000_usize, 1..3000_usize),
    ) {
        RUNTIME.block_on(async {
            let (edge, hosts) = deployed(&files).await;
            // By tag: the coding and the bytes that it stands for.
            let mut tags = HashMap::new();
            let last: HashMap<_, _> = files.iter().map(|file| (&file.path, file)).collect();
            for (host, file) in hosts.iter().flat_map(|host| last.values().map(move |file| (host, file))) {
                for accepted in &accepted {
                    let headers = [("accept-encoding", accepted.as_str())];
                    let get = ask(&edge, "GET", host, &file.path, &headers).await;
                    assert_eq!(get.status, 200, "{host} {file:?}");

                    let head = ask(&edge, "HEAD", host, &file.path, &headers).await;
                    assert_eq!((head.status, &head.headers), (get.status, &get.headers));
                    assert!(head.body.is_empty());

                    assert_eq!(decoded(&get), file.content);
                    let coding = get.header("content-encoding").to_owned();
                    assert!(coding.is_empty() || get.body.len() < file.content.len());

                    let vary = get.header("vary");
                    assert!(coding.is_empty() || vary == "Accept-Encoding");
                    assert_eq!(vary == "Accept-Encoding", file.compressible);

                    let sent = (coding, get.body.clone());
                    let known = tags.entry(get.header("etag").to_owned()).or_insert_with(|| sent.clone());
                    assert_eq!(*known, sent, "one tag for two things");

                    let keeps = if host == HOST { file.others_keep } else { file.version_keeps };
                    assert_eq!(get.header("cache-control") == IMMUTABLE, keeps, "{host} {}", file.path);

                    let again = [headers[0], ("if-none-match", get.header("etag"))];
                    let unchanged = ask(&edge, "GET", host, &file.path, &again).await;
                    assert_eq!(unchanged.status, 304);
                    for name in ["etag", "vary", "cache-control", "x-favonius-deployment"] {
                        assert_eq!(unchanged.header(name), get.header(name), "{name}");
                    }
                }
                let gone = ask(&edge, "GET", host, "gone/file.js", &[]).await;
                assert_eq!((gone.status.as_u16(), gone.header("vary")), (404, "Accept, Accept-Encoding"));

                let range = format!("bytes={first}-{}", first + length - 1);
                let headers = [("range", range.as_str()), ("accept-encoding", accepted[0].as_str())];
                let part = ask(&edge, "GET", host, &file.path, &headers).await;
                if file.content.is_empty() {
                    assert_eq!(part.status, 200);
                } else if first >= file.content.len() {
                    assert_eq!((part.status.as_u16(), part.header("vary")), (416, "Accept, Accept-Encoding"));
                } else {
                    let end = (first + length).min(file.content.len());
                    assert_eq!((part.status.as_u16(), part.header("content-encoding")), (206, ""));
                    assert_eq!(part.body, file.content[first..end]);
                    assert_eq!(part.header("vary") == "Accept-Encoding", file.compressible);
                }
            }
        });
    }
}
