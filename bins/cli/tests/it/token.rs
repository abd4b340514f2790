//! `favonius token`

use favonius_auth::{Scope, Verifier, VerifierOptions, WriteToken};
use favonius_testing::token::now;

use crate::support::{program, run};

const SECRET: &str = "a secret for tests that is long enough for HS256";
const APPLICATION: [&str; 4] = ["token", "--app=shop", "--project=web", "--org=acme"];

fn verify(token: &str, in_s: u64) -> Result<WriteToken, String> {
    let verifier = Verifier::new(SECRET, None, VerifierOptions::default()).unwrap();
    verifier
        .verify(token, now() + in_s)
        .map_err(|refusal| format!("{refusal:?}"))
}

#[tokio::test]
async fn a_token_is_what_workers_take() {
    let mut command = program(APPLICATION);
    command
        .args(["--lifetime=30m", "--user=ada"])
        .env("ZE_WORKER_JWT_SECRET", SECRET);
    let finished = run(&mut command).await.expect(0);
    assert_eq!(finished.stderr, "");
    let token = finished.stdout.strip_suffix('\n').unwrap();
    let verified = verify(token, 60).unwrap();
    assert_eq!(
        verified.scope,
        Scope::Application("shop.web.acme".parse().unwrap())
    );
    assert_eq!(verified.username.as_deref(), Some("ada"));
    assert!(verify(token, 1700).is_ok() && verify(token, 1900).is_err());

    let mut command = program(["token", "--operator", "--json"]);
    let json = run(command.env("ZE_WORKER_JWT_SECRET", SECRET))
        .await
        .expect(0)
        .json();
    assert_eq!(json["application_uid"], "*");
    let expires = json["expires_at"].as_u64().unwrap();
    assert!((now() + 3500..now() + 3700).contains(&expires), "{json}");
    assert_eq!(
        verify(json["token"].as_str().unwrap(), 0).unwrap().scope,
        Scope::Operator
    );
}

#[tokio::test]
async fn the_secret_comes_from_a_file_or_from_where_workers_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let config = dir.path().join("config.json");
    std::fs::write(
        &config,
        format!("{{\n  // a comment\n  \"ZE_WORKER_JWT_SECRET\": \"{SECRET}\",\n}}"),
    )
    .unwrap();

    let mut from_file = program(APPLICATION);
    from_file
        .arg("--secret-file")
        .arg(&secret)
        .env("ZE_WORKER_JWT_SECRET", "another one");
    let mut from_config = program(APPLICATION);
    from_config
        .env("ZE_WORKER_CONFIG_JSON", &config)
        .env("ZE_WORKER_JWT_SECRET", "another one");
    for (name, mut command) in [
        ("--secret-file", from_file),
        ("the configuration", from_config),
    ] {
        let finished = run(&mut command).await.expect(0);
        assert!(verify(finished.stdout.trim(), 0).is_ok(), "case `{name}`");
    }
}

#[tokio::test]
async fn what_no_token_can_be_made_of_is_explained() {
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----";
    for (name, secret, arguments, expected) in [
        ("no secret", "", &APPLICATION[..], "ZE_WORKER_JWT_SECRET"),
        ("public key", public, &APPLICATION, "can only verify"),
        ("no application", SECRET, &APPLICATION[..2], "--project"),
        (
            "no lifetime",
            SECRET,
            &["token", "--operator", "--lifetime=0s"],
            "at least a second",
        ),
        (
            "bad lifetime",
            SECRET,
            &["token", "--operator", "--lifetime=1w"],
            "as in 30m",
        ),
        (
            "no file",
            SECRET,
            &["token", "--operator", "--secret-file=/none"],
            "cannot be read",
        ),
    ] {
        let finished = run(program(arguments).env("ZE_WORKER_JWT_SECRET", secret)).await;
        assert_eq!(finished.status, 2, "case `{name}`: {finished:#?}");
        assert_eq!(finished.stdout, "", "case `{name}`");
        assert!(
            finished.stderr.contains(expected),
            "case `{name}`: {finished:#?}"
        );
        assert!(!finished.stderr.contains(SECRET), "case `{name}`");
    }
}
