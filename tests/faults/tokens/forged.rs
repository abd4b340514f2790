//! Tokens that must not be taken, by what is wrong with them.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use favonius_testing::token::{SECRET, forge, hs256, mint, now, write_claims, write_token};
use serde_json::{Value, json};

use crate::support::{APP, OTHER};

/// A token to send, under which header, and what must come back.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) header: &'static str,
    pub(super) value: Vec<u8>,
    pub(super) status: u16,
}

/// A value in the usual header.
fn case(name: &'static str, status: u16, value: impl Into<Vec<u8>>) -> Case {
    Case {
        name,
        header: "can_write_jwt",
        value: value.into(),
        status,
    }
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    let unauthenticated = [
        no_tokens(),
        algorithms(),
        signatures(),
        keys_of_their_own(),
        times(),
        unreadable_payloads(),
    ];
    let unauthenticated = unauthenticated.into_iter().flatten();
    let unauthenticated = unauthenticated.map(|(name, value)| case(name, 401, value));
    let forbidden = forbidden().into_iter();
    let forbidden = forbidden.map(|(name, token)| case(name, 403, token));
    unauthenticated
        .chain(elsewhere())
        .chain(forbidden)
        .collect()
}

/// Good claims but for one.
pub(super) fn with(name: &str, value: Value) -> Value {
    let mut claims = write_claims(APP);
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = write_claims(APP);
    claims.as_object_mut().unwrap().remove(name);
    claims
}

pub(super) fn signed(claims: &Value) -> String {
    mint(SECRET.as_bytes(), claims)
}

/// Good claims under another header, signed with our secret.
pub(super) fn headed(header: &Value) -> String {
    let sign = |input: &[u8]| hs256(SECRET.as_bytes(), input);
    forge(header, &write_claims(APP), sign)
}

/// Parts as they are, signed with our secret.
fn signed_parts(header: &str, payload: &str) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    signed_input(&format!("{}.{}", encode(header), encode(payload)))
}

fn signed_input(input: &str) -> String {
    let signature = BASE64_URL_SAFE_NO_PAD.encode(hs256(SECRET.as_bytes(), input.as_bytes()));
    format!("{input}.{signature}")
}

/// A text as the payload under a good header.
fn payload(text: &str) -> String {
    signed_parts(r#"{"alg":"HS256"}"#, text)
}

type Named = (&'static str, Vec<u8>);

fn no_tokens() -> Vec<Named> {
    let good = write_token(APP);
    let long = signed(&with("username", json!("x".repeat(7 * 1024))));
    assert!(long.len() > 8 * 1024, "{}", long.len());
    vec![
        ("empty", Vec::new()),
        ("a word", b"letmein".into()),
        ("null", b"null".into()),
        ("only dots", b"..".into()),
        ("parts that are no JSON", b"YQ.YQ.YQ".into()),
        ("not ASCII", b"ey\xe9\xff.a.b".into()),
        ("five parts", format!("{good}.YQ.YQ").into()),
        ("a dot more", format!("{good}.").into()),
        ("longer than 8 KiB", long.into()),
        ("as in Authorization", format!("Bearer {good}").into()),
    ]
}

fn algorithms() -> Vec<Named> {
    let claims = write_claims(APP);
    let none = |alg: &str| forge(&json!({"alg": alg, "typ": "JWT"}), &claims, |_| Vec::new());
    let undotted = none("none").trim_end_matches('.').to_owned();
    let said = |alg: Value| headed(&json!({"alg": alg})).into();
    let text = claims.to_string();
    let twice = signed_parts(r#"{"alg":"none","alg":"HS256"}"#, &text);
    vec![
        ("alg none", none("none").into()),
        ("alg None", none("None").into()),
        ("alg NONE", none("NONE").into()),
        ("alg nOnE", none("nOnE").into()),
        ("alg none without its last dot", undotted.into()),
        ("alg none, well signed", said(json!("none"))),
        ("alg missing", headed(&json!({"typ": "JWT"})).into()),
        ("alg null", said(Value::Null)),
        ("alg in a list", said(json!(["HS256"]))),
        ("alg empty", said(json!(""))),
        ("alg in lower case", said(json!("hs256"))),
        ("alg HS384", said(json!("HS384"))),
        ("alg HS512", said(json!("HS512"))),
        ("alg RS256", said(json!("RS256"))),
        ("alg PS256", said(json!("PS256"))),
        ("alg ES256", said(json!("ES256"))),
        ("alg EdDSA", said(json!("EdDSA"))),
        ("alg twice", twice.into()),
        (
            "crit",
            headed(&json!({"alg": "HS256", "crit": ["exp"]})).into(),
        ),
        (
            "header is a list",
            signed_parts(r#"["HS256"]"#, &text).into(),
        ),
    ]
}

fn signatures() -> Vec<Named> {
    let good = write_token(APP);
    let claims = write_claims(APP);
    let by = |secret: &[u8]| mint(secret, &claims).into();
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = unsigned.split_once('.').unwrap();
    let cut = signature.split_at(signature.len() - 4).0;
    let hs = json!({"alg": "HS256", "typ": "JWT"});
    let bit_off = forge(&hs, &claims, |input| {
        let mut signature = hs256(SECRET.as_bytes(), input);
        signature[0] ^= 1;
        signature
    });
    let secret_itself = forge(&hs, &claims, |_| SECRET.into());
    let other_payload = BASE64_URL_SAFE_NO_PAD.encode(write_claims(OTHER).to_string());
    let other_header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"1"}"#);
    let other_header = good.replacen(header, &other_header, 1);
    vec![
        ("another secret", by(b"another secret that is long enough")),
        (
            "our secret and a line end",
            by(format!("{SECRET}\n").as_bytes()),
        ),
        ("half of our secret", by(SECRET.as_bytes().split_at(24).0)),
        ("an empty secret", by(b"")),
        ("signature left out", format!("{unsigned}.").into()),
        ("signature of one byte", format!("{unsigned}.AA").into()),
        ("signature cut", format!("{unsigned}.{cut}").into()),
        ("signature and more", format!("{good}AAAA").into()),
        ("signature off by a bit", bit_off.into()),
        ("signature with padding", format!("{good}==").into()),
        ("signature is the secret", secret_itself.into()),
        (
            "payload exchanged",
            format!("{header}.{other_payload}.{signature}").into(),
        ),
        ("header exchanged", other_header.into()),
    ]
}

fn keys_of_their_own() -> Vec<Named> {
    let claims = write_claims(APP);
    let theirs = |header: Value, secret: &[u8]| {
        let token = forge(&header, &claims, |input| hs256(secret, input));
        token.into_bytes()
    };
    let key = json!({"kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode("mine")});
    let address = "http://127.0.0.1:9/key";
    vec![
        (
            "its own key in jwk",
            theirs(json!({"alg": "HS256", "jwk": key}), b"mine"),
        ),
        (
            "its own key at jku",
            theirs(json!({"alg": "HS256", "jku": address}), b"mine"),
        ),
        (
            "its own key at x5u",
            theirs(json!({"alg": "HS256", "x5u": address}), b"mine"),
        ),
        (
            "kid of an empty file",
            theirs(json!({"alg": "HS256", "kid": "../../../dev/null"}), b""),
        ),
    ]
}

fn times() -> Vec<Named> {
    let exp = |value| signed(&with("exp", value)).into();
    let later = now() + 3600;
    let text = write_claims(APP).to_string();
    let beyond = text.replacen(r#""exp":"#, r#""exp":1e999,"was":"#, 1);
    let twice = text.replacen('{', r#"{"exp":1,"#, 1);
    vec![
        ("expired an hour ago", exp(json!(now() - 3600))),
        ("expired ten seconds ago", exp(json!(now() - 10))),
        ("exp 0", exp(json!(0))),
        ("exp negative", exp(json!(-1))),
        ("no exp", signed(&without("exp")).into()),
        ("exp null", exp(Value::Null)),
        ("exp is text", exp(json!(later.to_string()))),
        ("exp is true", exp(json!(true))),
        ("exp beyond numbers", payload(&beyond).into()),
        ("exp in milliseconds", exp(json!(later * 1000))),
        ("exp in a list", exp(json!([later]))),
        ("exp twice", payload(&twice).into()),
        (
            "not valid before an hour",
            signed(&with("nbf", json!(later))).into(),
        ),
    ]
}

fn unreadable_payloads() -> Vec<Named> {
    let text = write_claims(APP).to_string();
    let twice = text.replacen('{', r#"{"can_write":false,"#, 1);
    let cut = text.trim_end_matches('}');
    vec![
        ("can_write twice", payload(&twice).into()),
        ("payload is no JSON", payload("can_write").into()),
        ("payload is a list", payload("[true]").into()),
        ("payload is cut", payload(cut).into()),
        ("payload in another base64", in_standard_base64().into()),
    ]
}

/// A good token but that its payload is in the alphabet with `+` and `/`, and has some of them.
fn in_standard_base64() -> String {
    let claims = with("username", json!("????>>>>~~~~")).to_string();
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let payload = BASE64_STANDARD_NO_PAD.encode(&claims);
    assert!(payload.contains(['+', '/']), "{payload}");
    signed_input(&format!("{header}.{payload}"))
}

/// Good tokens where none is looked for.
fn elsewhere() -> Vec<Case> {
    let good = write_token(APP);
    let sent = |name, header, value: String| Case {
        header,
        ..case(name, 401, value)
    };
    vec![
        sent("Basic", "authorization", format!("Basic {good}")),
        sent("no scheme", "authorization", good.clone()),
        sent("Bearer alone", "authorization", "Bearer ".to_owned()),
        sent("in a cookie", "cookie", format!("can_write_jwt={good}")),
        sent("in another header", "x-can-write-jwt", good),
    ]
}

/// Tokens of ours that do not allow it.
fn forbidden() -> Vec<(&'static str, String)> {
    let claims = |name, value| signed(&with(name, value));
    let uid = |value| claims("application_uid", value);
    let mut replica = with("replica", json!("eu"));
    let bound = signed(&replica);
    replica["application_uid"] = json!("*");
    replica["replica"] = json!("");
    vec![
        ("can_write false", claims("can_write", json!(false))),
        ("can_write is text", claims("can_write", json!("true"))),
        ("can_write 1", claims("can_write", json!(1))),
        ("can_write null", claims("can_write", Value::Null)),
        ("can_write in a list", claims("can_write", json!([true]))),
        ("no can_write", signed(&without("can_write"))),
        ("another application", write_token(OTHER)),
        ("the beginning of the uid", uid(json!("shop.web"))),
        ("the uid and more", uid(json!("shop.web.acme.org"))),
        ("the uid in capitals", uid(json!("SHOP.WEB.ACME"))),
        ("a uid with a blank", uid(json!("shop.web.acme "))),
        ("a uid with a wildcard", uid(json!("*.web.acme"))),
        ("uids in a list", uid(json!([APP]))),
        ("uid null", uid(Value::Null)),
        ("uid empty", uid(json!(""))),
        ("no uid", signed(&without("application_uid"))),
        ("a replica of one application", bound),
        ("a replica without a name", signed(&replica)),
        (
            "a user that is no text",
            claims("username", json!({"$gt": ""})),
        ),
    ]
}
