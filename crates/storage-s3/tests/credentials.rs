//! Credentials from the environment. A process has one, so each case runs in a process of its own.
#![expect(clippy::unwrap_used, reason = "test support")]

mod support;

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use favonius_storage_s3::{Credentials, S3Options, s3_store};
use favonius_testing::S3Server;
use support::{assets_in, content, put};
use tempfile::TempDir;

/// Uses the bucket ten times, when this is the process that `run` starts.
fn in_the_other_process() -> bool {
    let Some(endpoint) = env::var_os("TEST_ENDPOINT") else {
        return false;
    };
    let endpoint = endpoint.into_string().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = S3Options::new(endpoint, "assets", Credentials::Environment);
        let (assets, _) = assets_in(&s3_store(&options).unwrap());
        for n in 0..10 {
            put(&assets, &content(n)).await.unwrap();
        }
        assets.check().await.unwrap();
    });
    true
}

/// Runs the test of this name in another process, with these variables and no others that matter here.
fn run(test: &str, server: &S3Server, variables: &[(&str, &str)]) {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            child.env_remove(name);
        }
    }
    child.env("TEST_ENDPOINT", server.endpoint());
    child.envs(variables.iter().copied());
    let output = child.output().unwrap();
    let log = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{log}");
    assert!(log.contains("1 passed"), "{log}");
    assert_eq!(server.keys().len(), 10);
}

#[test]
fn of_the_usual_variables() {
    if in_the_other_process() {
        return;
    }
    let server = S3Server::start();
    run(
        "of_the_usual_variables",
        &server,
        &[
            ("AWS_ACCESS_KEY_ID", server.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", server.secret_access_key()),
            // What they say beyond credentials does not count.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_BUCKET", "another"),
            ("AWS_REGION", "eu-west-9"),
            ("HTTP_PROXY", "http://127.0.0.1:1"),
            ("http_proxy", "http://127.0.0.1:1"),
        ],
    );
}

#[test]
fn of_the_pod() {
    if in_the_other_process() {
        return;
    }
    let server = S3Server::start();
    let credentials = format!(
        r#"{{"AccessKeyId":"{}","SecretAccessKey":"{}","Token":"session","Expiration":"2999-01-01T00:00:00Z"}}"#,
        server.access_key_id(),
        server.secret_access_key(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/credentials", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    // Ends with the test's process: it waits for a connection that nobody makes.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(request.get(..length).unwrap());
            let authorized = request.to_lowercase().contains("authorization: pod-token");
            let (status, body) = if authorized {
                ("200 OK", &*credentials)
            } else {
                ("403 No", "")
            };
            counter.fetch_add(1, Ordering::SeqCst);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            stream
                .write_all(format!("{head}{body}").as_bytes())
                .unwrap();
        }
    });
    let dir = TempDir::new().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "pod-token").unwrap();
    run(
        "of_the_pod",
        &server,
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                token.to_str().unwrap(),
            ),
        ],
    );
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "asked once, for reads and uploads"
    );
}
