//! Module Federation with `zephyr-rspack-plugin`: a host's page takes a button from a remote on another hostname.

use crate::support::{Control, Edge, Page, Stage, Visit, assets, host_of, show};

const REMOTE: &str = "rspack-remote";
const HOST: &str = "rspack-host";

/// How the plugin lets a host load its remotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Code in the host sends the remote a HEAD first.
    HeadFirst,
    /// A plugin of the runtime asks the host for its manifest.
    RuntimePlugin,
}

#[tokio::test]
#[cfg_attr(
    not(all(has_client, has_chromium, has_redis)),
    ignore = "needs the published client, chromium and redis-server: run scripts/setup-tests"
)]
async fn a_host_shows_its_remote_and_the_remotes_next_build() {
    let stage = Stage::start(Edge::s3_redis().await, Control::default()).await;
    let remote_of = |revision| {
        stage
            .build(REMOTE)
            .revision(revision)
            .env("ZE_PUBLIC_LABEL", "Buy")
    };
    let remote = remote_of(0).deploy().await;
    let files = assets::check_version(&stage.edge, &remote).await;
    let remote_host = stage.edge.host("e-production", &remote.application_uid);
    Visit::new(host_of(&remote.version_url), "/")
        .texts(&["Buy button, revision 0"])
        .go()
        .await;

    // Each finds the remote at its production hostname.
    let ways = [Way::HeadFirst, Way::RuntimePlugin];
    let mut hosts = Vec::new();
    for way in ways {
        let mut job = stage.build(HOST).env("ZE_PUBLIC_GREETING", "hello");
        if way == Way::RuntimePlugin {
            job = job.env("HOST_REMOTES", "runtime-plugin");
        }
        let build = job.deploy().await;
        assets::check_version(&stage.edge, &build).await;
        let host = host_of(&build.version_url);
        let page = host_with_button(host, 0).await;
        loaded_from_remote(&page, host, &remote_host, way);
        hosts.push((way, build));
    }

    // Production of the remote moves on; the hosts are not built again.
    let next = remote_of(1).deploy().await;
    assets::check_version(&stage.edge, &next).await;
    for (way, build) in &hosts {
        let host = host_of(&build.version_url);
        let page = host_with_button(host, 1).await;
        loaded_from_remote(&page, host, &remote_host, *way);
    }
    show(format_args!(
        "module federation: {files} files of the remote, builds of {:.1?} and {:.1?}",
        remote.took, next.took
    ));
    stage.end().await;
}

/// Opens the host's page and clicks on the button that comes from the remote.
async fn host_with_button(host: &str, revision: u32) -> Page {
    let button = format!("Buy button, revision {revision}");
    let visit =
        Visit::new(host, "/").texts(&["host is alive, revision 0", "greeting: hello", &button]);
    let icon = r##"new Promise((done) => {
        const look = () => {
            const { icon } = document.querySelector("#remote-button").dataset;
            return icon ? done(icon) : setTimeout(look, 20);
        };
        look();
    })"##;
    let visit = visit.evaluate(icon).click("#remote-button");
    let page = visit
        .texts(&["thanks from a lazy chunk of the remote"])
        .go()
        .await;
    assert_eq!(
        page.results(),
        &serde_json::json!(["48 wide"]),
        "the icon of the button"
    );
    page
}

/// Entry, chunks, icon and variables of the remote came from its own hostname, in the way that was chosen.
fn loaded_from_remote(page: &Page, host: &str, remote_host: &str, way: Way) {
    let paths_of = |host: &str| {
        let origin = format!("http://{host}/");
        let paths = page.responses().filter_map(|response| {
            let path = response.url.strip_prefix(&origin)?;
            Some(format!("{} {path}", response.method))
        });
        paths.collect::<Vec<_>>()
    };
    let (own, remote) = (paths_of(host), paths_of(remote_host));
    let got = |paths: &[String], start: &str| paths.iter().any(|path| path.starts_with(start));
    for part in ["remoteEntry.js", "js/", "img/icon.", "zephyr-manifest.json"] {
        assert!(
            got(&remote, &format!("GET {part}")),
            "{way:?}: {part} in {remote:#?}"
        );
    }
    let head_first = got(&remote, "HEAD remoteEntry.js");
    assert_eq!(head_first, way == Way::HeadFirst, "{remote:#?}");
    assert!(got(&own, "GET zephyr-manifest.json"), "{way:?}: {own:#?}");
}
