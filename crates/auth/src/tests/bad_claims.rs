//! Tokens that are signed as they should be, and have to be refused for what they say.

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use serde_json::{Value, json};

use super::*;

#[test]
fn payloads() {
    let raw = |payload: &str| forge(&header("HS256"), payload, hs256(SECRET));
    let twice = |name: &str, value: &str| {
        let claims = claims().to_string();
        raw(&format!("{{\"{name}\":{value},{}", &claims[1..]))
    };
    let positional = format!(r#"[{}, null, true, "*", null, null, null]"#, NOW + 60);
    let cases = [
        ("empty", raw(""), "malformed"),
        ("not JSON", raw("exp=1"), "malformed"),
        ("an array of claims", raw(&positional), "malformed"),
        (
            "an array with an object",
            raw(&json!([claims()]).to_string()),
            "malformed",
        ),
        ("text", raw("\"x\""), "malformed"),
        ("null", raw("null"), "malformed"),
        ("cut off", raw("{\"exp\":"), "malformed"),
        (
            "more after it",
            raw(&format!("{} x", claims())),
            "malformed",
        ),
        ("exp twice", twice("exp", "9999999999"), "malformed"),
        ("can_write twice", twice("can_write", "false"), "malformed"),
        (
            "application twice",
            twice("application_uid", "\"*\""),
            "malformed",
        ),
        (
            "a name twice by an escape",
            twice("can\\u005fwrite", "false"),
            "malformed",
        ),
        (
            "not UTF-8",
            forge(
                &header("HS256"),
                b"{\"exp\":9999999999,\"a\":\"\xff\"}",
                hs256(SECRET),
            ),
            "malformed",
        ),
        (
            "another token",
            forge(&header("HS256"), signed(&claims()), hs256(SECRET)),
            "malformed",
        ),
        ("padded", padded_payload(), "malformed"),
    ];
    for (name, token, expected) in cases {
        refuses(name, &token, expected);
    }
}

/// A token whose payload is padded, with a signature over just that.
fn padded_payload() -> String {
    let payload = [claims().to_string(), " ".into(), "  ".into()]
        .iter()
        .scan(String::new(), |all, more| {
            all.push_str(more);
            Some(URL_SAFE.encode(&all))
        })
        .find(|payload| payload.ends_with('='))
        .unwrap();
    let input = format!("{}.{payload}", base64url(header("HS256")));
    let signature = base64url(hs256(SECRET)(input.as_bytes()));
    format!("{input}.{signature}")
}

#[test]
fn times() {
    let cases = [
        ("no exp", without("exp"), "no_expiry"),
        ("exp text", with("exp", (NOW + 60).to_string()), "bad_time"),
        ("exp null", with("exp", Value::Null), "bad_time"),
        ("exp a fraction", with("exp", 1_795_250_784.5), "bad_time"),
        ("exp negative", with("exp", -1), "bad_time"),
        ("exp true", with("exp", true), "bad_time"),
        ("exp an array", with("exp", json!([NOW + 60])), "bad_time"),
        ("exp an object", with("exp", json!({})), "bad_time"),
        (
            "exp in milliseconds",
            with("exp", (NOW + 60) * 1000),
            "bad_time",
        ),
        (
            "exp after the year 9999",
            with("exp", 253_402_300_800_u64),
            "bad_time",
        ),
        (
            "exp the largest there is",
            with("exp", u64::MAX),
            "bad_time",
        ),
        ("exp larger than that", with("exp", 1e30), "bad_time"),
        ("exp 0", with("exp", 0), "expired"),
        ("expired an hour ago", with("exp", NOW - 3600), "expired"),
        ("expired beyond the leeway", with("exp", NOW - 5), "expired"),
        ("not valid yet", with("nbf", NOW + 6), "not_yet_valid"),
        (
            "valid in the year 9999",
            with("nbf", 253_402_300_799_u64),
            "not_yet_valid",
        ),
        ("nbf text", with("nbf", NOW.to_string()), "bad_time"),
        ("nbf null", with("nbf", Value::Null), "bad_time"),
        ("nbf negative", with("nbf", -1), "bad_time"),
    ];
    for (name, claims, expected) in cases {
        refuses(name, &signed(&claims), expected);
        // What it permits does not matter any more.
        let mut worse = claims;
        worse["can_write"] = false.into();
        refuses(name, &signed(&worse), expected);
    }
    let raw = r#"{"application_uid":"a.b.c","can_write":true,"exp":1e400}"#;
    let token = forge(&header("HS256"), raw, hs256(SECRET));
    refuses("exp that no number holds", &token, "malformed");
}

#[test]
fn permissions() {
    let uid = |value: Value| with("application_uid", value);
    let star_and = |replica: Value| {
        let mut claims = with("replica", replica);
        claims["application_uid"] = "*".into();
        claims
    };
    let cases = [
        ("can_write false", with("can_write", false), "not_writable"),
        ("can_write text", with("can_write", "true"), "not_writable"),
        ("can_write 1", with("can_write", 1), "not_writable"),
        (
            "can_write null",
            with("can_write", Value::Null),
            "not_writable",
        ),
        (
            "can_write an array",
            with("can_write", json!([true])),
            "not_writable",
        ),
        ("can_write missing", without("can_write"), "not_writable"),
        (
            "no application",
            without("application_uid"),
            "no_application",
        ),
        ("application null", uid(Value::Null), "bad_application"),
        ("application empty", uid("".into()), "bad_application"),
        ("application a number", uid(7.into()), "bad_application"),
        (
            "application an array",
            uid(json!(["storefront.shop.acme"])),
            "bad_application",
        ),
        (
            "application an array with *",
            uid(json!(["*"])),
            "bad_application",
        ),
        (
            "application an object",
            uid(json!({"*": true})),
            "bad_application",
        ),
        (
            "application a pattern",
            uid("*.shop.acme".into()),
            "bad_application",
        ),
        ("application two stars", uid("**".into()), "bad_application"),
        (
            "application a star and a space",
            uid("* ".into()),
            "bad_application",
        ),
        (
            "application in upper case",
            uid("Storefront.shop.acme".into()),
            "bad_application",
        ),
        (
            "application of two parts",
            uid("shop.acme".into()),
            "bad_application",
        ),
        (
            "application with a line break",
            uid("a.b.c\n".into()),
            "bad_application",
        ),
        (
            "application with a path",
            uid("../b.c".into()),
            "bad_application",
        ),
        (
            "application of 300 bytes",
            uid(format!("{}.b.c", "a".repeat(296)).into()),
            "bad_application",
        ),
        (
            "replica with an application",
            with("replica", "eu"),
            "bad_replica",
        ),
        ("replica empty", star_and("".into()), "bad_replica"),
        ("replica null", star_and(Value::Null), "bad_replica"),
        ("replica true", star_and(true.into()), "bad_replica"),
        ("replica an array", star_and(json!(["eu"])), "bad_replica"),
        (
            "replica with a line break",
            star_and("eu\n".into()),
            "bad_replica",
        ),
        (
            "replica of 129 bytes",
            star_and("e".repeat(129).into()),
            "bad_replica",
        ),
        ("username a number", with("username", 7), "bad_user"),
        (
            "username an array",
            with("username", json!(["ada"])),
            "bad_user",
        ),
        (
            "user_uuid an object",
            with("user_uuid", json!({})),
            "bad_user",
        ),
    ];
    for (name, claims, expected) in cases {
        refuses(name, &signed(&claims), expected);
        assert!(
            matches!(verify(&signed(&claims)), Err(Refusal::Forbidden(_))),
            "case `{name}`"
        );
    }
    // Not only by chance.
    refuses(
        "control",
        &signed(&with("can_write", false)),
        "not_writable",
    );
    assert!(verify(&signed(&claims())).is_ok());
}

#[test]
fn another_application() {
    let token = verify(&signed(&claims())).unwrap();
    let refusal = token
        .may_write(&"blog.shop.acme".parse().unwrap())
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the write permission is for storefront.shop.acme, not for blog.shop.acme"
    );
}
