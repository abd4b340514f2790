//! `favonius deploy` to an edge that is not well, or not an edge, or not ours.

use std::{net::TcpListener, time::Duration};

use favonius_testing::{WorkerProcess, token};
use tokio::process::Command;

use crate::{
    stub::{Stub, reply},
    support::{Dev, Finished, program, run, site, write},
};

/// Deploys two files as `shop.web.acme` with this token.
async fn deploy(url: &str, token: &str, arguments: &[&str]) -> Finished {
    let dir = site(&[("index.html", "hi"), ("a.txt", "a")]);
    run(command(url, token, arguments).arg(dir.path())).await
}

fn command(url: &str, token: &str, arguments: &[&str]) -> Command {
    let mut command = program([
        "deploy",
        "--app=shop",
        "--project=web",
        "--org=acme",
        "--url",
        url,
    ]);
    command.args(arguments).env("FAVONIUS_TOKEN", token);
    command
}

#[tokio::test]
async fn a_refusal_says_why_and_what_to_do() {
    let dir = site(&[("index.html", "hi")]);
    let dev = Dev::start(dir.path(), &[]).await;
    let url = dev.text("edge_url");
    let wrong = deploy(url, &token::write_token("shop.web.acme"), &[])
        .await
        .expect(1);
    for part in [
        "could not upload",
        "401 unauthenticated",
        "FAVONIUS_TOKEN",
        "(request ",
    ] {
        assert!(wrong.stderr.contains(part), "`{part}` is not in {wrong:#?}");
    }
    assert_eq!(wrong.stdout, "");
    let json = deploy(url, "abc", &["--json"]).await.expect(1);
    assert_eq!(json.json()["error"], "unauthenticated");
    assert_eq!(json.json()["status"], 401);
    assert_eq!(json.stderr, "");
}

#[tokio::test]
async fn an_edge_that_is_down_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", free.local_addr().unwrap().port());
    drop(free);
    let down = deploy(&url, "abc", &[]).await.expect(1);
    for part in [
        "no answer from",
        &url,
        "attempt 4",
        "is an edge running there?",
        "refused",
    ] {
        assert!(down.stderr.contains(part), "`{part}` is not in {down:#?}");
    }
    let json = deploy(&url, "abc", &["--json"]).await.expect(1).json();
    assert_eq!(json["error"], "no_answer");
}

#[tokio::test]
async fn what_passes_by_itself_is_waited_for() {
    let stub = Stub::start(|request, before| match before {
        0 => reply(503, "retry-after: 1\r\n", "{}"),
        1 => String::new(),
        2 => reply(200, "", r#"{"hashes":[]}"#),
        3 => reply(500, "", "oops"),
        _ if request.contains("type=file") => reply(200, "", "{}"),
        _ if request.contains("type=snapshot") => {
            reply(200, "", r#"{"urls":{"version":"http://v.test"}}"#)
        }
        _ => reply(200, "", r#"{"urls":["www.shop.test"]}"#),
    })
    .await;
    let begun = tokio::time::Instant::now();
    let token = "abc.def.ghi";
    let finished = deploy(&stub.url(), token, &["--host=www.shop.test"])
        .await
        .expect(0);
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "the edge asked for a second"
    );
    assert!(finished.stdout.contains("http://v.test"), "{finished:?}");
    assert!(finished.stderr.contains("trying again"), "{finished:?}");
    let heads = stub.heads();
    let count = |part: &str| heads.iter().filter(|head| head.contains(part)).count();
    assert_eq!(
        count("GET /__get_application_hash_list__?application_uid=shop.web.acme "),
        3
    );
    assert_eq!(
        (
            count("type=file"),
            count("type=snapshot"),
            count("type=envs")
        ),
        (3, 1, 1)
    );
    for head in &heads {
        let writes = head.starts_with("POST");
        assert_eq!(
            head.contains("can_write_jwt: abc.def.ghi\r\n"),
            writes,
            "{head}"
        );
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
    for head in heads.iter().filter(|head| head.contains("type=file")) {
        let length = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        assert!(length("content-length: ").is_some(), "{head}");
        assert_eq!(
            length("content-length: "),
            length("x-file-size: "),
            "{head}"
        );
    }
    let snapshot = heads
        .iter()
        .find(|head| head.contains("type=snapshot"))
        .unwrap();
    assert!(snapshot.contains("skip_assets=true"), "{snapshot}");
}

#[tokio::test]
async fn what_is_no_edge_is_not_given_a_second_chance() {
    for (name, status, headers, body, expected) in [
        (
            "redirect",
            307,
            "location: https://evil.test/x\r\n",
            "",
            "redirects to https://evil.test/x",
        ),
        (
            "page",
            200,
            "",
            "<html>hello</html>",
            "does not answer like an edge",
        ),
        ("other service", 404, "", "not found", "Is its URL right?"),
        (
            "long pause",
            503,
            "retry-after: 3600\r\n",
            r#"{"message":"Later"}"#,
            "Later",
        ),
    ] {
        let stub = Stub::start(move |_, _| reply(status, headers, body)).await;
        let finished = deploy(&stub.url(), "abc", &[]).await.expect(1);
        assert!(
            finished.stderr.contains(expected),
            "case `{name}`: {finished:#?}"
        );
        assert_eq!(stub.heads().len(), 1, "case `{name}`");
    }
}

#[tokio::test]
async fn what_is_wrong_here_is_said_before_anything_is_sent() {
    let stub = Stub::start(|_, _| reply(500, "", "")).await;
    let url = stub.url();
    let bare = "localhost:8080";
    for (name, url, token, arguments, expected) in [
        ("no token", &*url, " ", &[][..], "there is no token"),
        (
            "broken token",
            &url,
            "a\u{fc}b",
            &[],
            "characters that no token has",
        ),
        (
            "no token file",
            &url,
            "abc",
            &["--token-file=/none"],
            "--token-file /none cannot be read",
        ),
        (
            "no authority",
            &url,
            "abc",
            &["--ca-file=/none"],
            "--ca-file /none cannot be read",
        ),
        ("empty tag", &url, "abc", &["--tag=/"], "no letter or digit"),
        ("bad host", &url, "abc", &["--host=a b"], "--host"),
        (
            "bad user",
            &url,
            "abc",
            &["--user=a\nb"],
            "control character",
        ),
        (
            "no scheme",
            bare,
            "abc",
            &[],
            "neither http:// nor https://",
        ),
    ] {
        let finished = deploy(url, token, arguments).await;
        assert!(
            finished.stderr.contains(expected),
            "case `{name}`: {finished:#?}"
        );
        assert_eq!(finished.status, 2, "case `{name}`: {finished:#?}");
    }
    let unnamed = site(&[("index.html", "hi")]);
    let finished = run(program(["deploy", "--app=shop"]).arg(unnamed.path()))
        .await
        .expect(2);
    assert!(
        finished
            .stderr
            .contains("--project (or FAVONIUS_PROJECT), --org"),
        "{finished:?}"
    );

    let linked = site(&[("index.html", "hi")]);
    std::os::unix::fs::symlink("/etc/hostname", linked.path().join("host.txt")).unwrap();
    write(linked.path(), "back\\slash", "");
    let finished = run(command(&url, "abc", &[]).arg(linked.path()))
        .await
        .expect(1);
    for part in ["host.txt: is a symbolic link that leads out", "backslash"] {
        assert!(finished.stderr.contains(part), "{finished:#?}");
    }
    assert_eq!(stub.heads(), [""; 0]);
}

#[tokio::test]
async fn a_private_authority_can_be_trusted() {
    let data = tempfile::tempdir().unwrap();
    let worker = WorkerProcess::builder()
        .embedded(data.path())
        .tls()
        .start()
        .await;
    let token = token::write_token("shop.web.acme");
    let url = worker.base_url();
    let ca = data.path().join("authority.pem");
    std::fs::write(&ca, worker.ca().unwrap().certificate_pem()).unwrap();
    let trusted = format!("--ca-file={}", ca.display());
    let deployed = deploy(&url, &token, &[&trusted]).await.expect(0);
    assert!(deployed.stdout.contains("2 files"), "{deployed:?}");
    let untrusted = deploy(&url, &token, &[]).await.expect(1);
    assert!(untrusted.stderr.contains("--ca-file"), "{untrusted:?}");
    assert!(!untrusted.stderr.contains("trying again"), "{untrusted:?}");
}
