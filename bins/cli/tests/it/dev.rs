//! `favonius dev`

use std::{fs, net::TcpListener, path::Path};

use rustix::process::Signal;

use crate::support::{Dev, program, run, site};

#[tokio::test]
async fn a_directory_is_served_until_ctrl_c() {
    let dir = site(&[
        ("index.html", "<h1>start</h1>"),
        ("about/index.html", "<h1>about</h1>"),
        ("assets/app.js", "1"),
    ]);
    let dev = Dev::start(dir.path(), &["--app=My Shop"]).await;
    let url = dev.text("url").to_owned();
    assert_eq!(
        url,
        format!("http://my-shop.localhost:{}/", dev.address.port())
    );
    assert_eq!(dev.text("application_uid"), "my-shop.local.dev");
    for base in [&*url, dev.text("version_url")] {
        assert_eq!(dev.page(base).await, "<h1>start</h1>", "{base}");
    }
    assert_eq!(dev.page(&format!("{url}about/")).await, "<h1>about</h1>");
    let script = dev
        .get(&format!("{url}assets/app.js"))
        .await
        .expect_status(200);
    assert_eq!(
        script.headers["content-type"],
        "text/javascript; charset=utf-8"
    );

    let token = fs::read_to_string(dev.token_file()).unwrap();
    assert_eq!(token.trim().split('.').count(), 3, "a token");
    let data = dev.token_file().parent().unwrap().to_owned();
    assert!(data.join("records.redb").exists());
    assert_eq!(dev.stop(Signal::INT).await, Some(0));
    assert!(!data.exists(), "the temporary directory stays");
}

#[tokio::test]
async fn data_can_be_kept() {
    let dir = site(&[("index.html", "one")]);
    let data = tempfile::tempdir().unwrap();
    let place = data.path().join("kept").display().to_string();
    let arguments = ["--app=shop", "--data", &place];
    let dev = Dev::start(dir.path(), &arguments).await;
    let first = dev
        .text("version_url")
        .rsplit_once(':')
        .unwrap()
        .0
        .to_owned();

    let second = program(["dev", "--port=0", "--data", &place])
        .arg(dir.path())
        .output()
        .await;
    let second = second.unwrap();
    let why = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{why}");
    assert!(why.contains("another process"), "{why}");
    assert!(
        dev.token_file().exists(),
        "the other process has removed the token"
    );

    assert_eq!(dev.stop(Signal::TERM).await, Some(0));
    assert!(Path::new(&place).join("records.redb").exists());
    assert!(!Path::new(&place).join("token").exists());

    fs::write(dir.path().join("index.html"), "two").unwrap();
    let dev = Dev::start(dir.path(), &arguments).await;
    assert_eq!(dev.page(dev.text("url")).await, "two");
    assert_eq!(dev.page(&first).await, "one");
}

#[tokio::test]
async fn people_are_told_what_to_do() {
    let dir = site(&[("index.html", "hi")]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--port={}", taken.local_addr().unwrap().port());
    let finished = run(program(["dev", &port]).arg(dir.path())).await.expect(1);
    assert!(
        finished.stderr.contains("in use") && finished.stderr.contains("--port"),
        "{finished:?}"
    );

    let missing = run(&mut program(["dev", "/no/such/directory"]))
        .await
        .expect(2);
    assert!(
        missing.stderr.contains("/no/such/directory cannot be read"),
        "{missing:?}"
    );

    let unbuilt = site(&[("package.json", "{}"), ("src/main.ts", "")]);
    let finished = run(program(["dev"]).current_dir(unbuilt.path()))
        .await
        .expect(2);
    assert!(
        finished.stderr.contains("build the application first"),
        "{finished:?}"
    );
}
