//! Tokens that have to be accepted, and what they allow.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{MintProblem, MintRequest, Minter, Scope};

fn scope_of(claims: &Value) -> Scope {
    verify(&signed(claims)).unwrap().scope
}

fn storefront() -> Scope {
    Scope::Application("storefront.shop.acme".parse().unwrap())
}

#[test]
fn as_the_published_client_sends_it() {
    let token = verify(&signed(&claims())).unwrap();
    assert_eq!(token.scope, storefront());
    assert_eq!(token.username.as_deref(), Some("ada"));
    assert_eq!(
        token.user_uuid.as_deref(),
        Some("7d9f4a2e-1111-4222-8333-9b2c3d4e5f60")
    );
    assert!(
        token
            .may_write(&"storefront.shop.acme".parse().unwrap())
            .is_ok()
    );
    assert!(!token.may_take_over());
}

/// RFC 7515 appendix A.1 is signed with a JWK and has line breaks in its JSON.
#[test]
fn the_example_of_the_standard_is_verified_and_then_refused_for_its_claims() {
    let jwk = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let refused = |now| verifier(jwk).verify(token, now).unwrap_err().as_str();
    assert_eq!(refused(1_300_819_379), "not_writable");
    assert_eq!(refused(1_300_819_380 + 5), "expired");
}

#[test]
fn times() {
    let cases = [
        ("the last second", with("exp", NOW + 1)),
        ("expired within the leeway", with("exp", NOW - 4)),
        ("the latest there is", with("exp", 253_402_300_799_u64)),
        ("valid from now on", with("nbf", NOW)),
        ("valid soon, within the leeway", with("nbf", NOW + 5)),
        ("issued in the future", with("iat", NOW + 9999)),
        ("issued at a time that is none", with("iat", "yesterday")),
        ("not issued", without("iat")),
    ];
    for (name, claims) in cases {
        assert!(verify(&signed(&claims)).is_ok(), "case `{name}`");
    }
    let token = signed(&claims());
    assert!(verifier(SECRET).verify(&token, 0).is_ok());
    assert!(verifier(SECRET).verify(&token, u64::MAX).is_err());
}

#[test]
fn claims_that_nobody_reads_here() {
    let cases = [
        ("iss", json!("https://control.test")),
        ("iss", json!(["https://control.test"])),
        ("aud", json!("edge")),
        ("aud", json!(["edge", "other"])),
        ("sub", json!("7d9f4a2e")),
        ("jti", json!(7)),
        ("EDGE_URL", json!({"any": [null]})),
    ];
    for (name, value) in cases {
        assert!(
            verify(&signed(&with(name, value.clone()))).is_ok(),
            "case `{name}`: {value}"
        );
    }
}

#[test]
fn scopes() {
    let star = with("application_uid", "*");
    let mut replica = star.clone();
    replica["replica"] = "eu-west".into();
    let cases = [
        ("an application", claims(), storefront()),
        ("an operator", star, Scope::Operator),
        (
            "a replica",
            replica,
            Scope::Replica {
                name: "eu-west".into(),
            },
        ),
    ];
    for (name, claims, expected) in cases {
        assert_eq!(scope_of(&claims), expected, "case `{name}`");
    }
}

#[test]
fn a_token_without_application_where_that_is_allowed() {
    let options = VerifierOptions {
        require_application: false,
    };
    let lax = Verifier::new(SECRET, None, options).unwrap();
    let scope = |claims: &Value| lax.verify(&signed(claims), NOW).map(|token| token.scope);
    assert_eq!(scope(&without("application_uid")), Ok(Scope::Any));
    assert_eq!(scope(&claims()), Ok(storefront()));
    let mut replica = without("application_uid");
    replica["replica"] = "eu".into();
    for (claims, expected) in [
        (with("application_uid", Value::Null), "bad_application"),
        (with("application_uid", "x"), "bad_application"),
        (replica, "bad_replica"),
    ] {
        assert_eq!(scope(&claims).unwrap_err().as_str(), expected);
    }
}

#[test]
fn people() {
    let cases = [
        ("missing", without("username"), None),
        ("null", with("username", Value::Null), None),
        ("empty", with("username", ""), None),
        ("any script", with("username", "Ада Öz@x"), Some("Ада Öz@x")),
    ];
    for (name, claims, expected) in cases {
        let token = verify(&signed(&claims)).unwrap();
        assert_eq!(token.username.as_deref(), expected, "case `{name}`");
        assert!(!format!("{token:?}").contains("7d9f"), "{token:?}");
    }
}

#[test]
fn what_a_header_says_of_keys_is_ignored() {
    let headers = [
        json!({"alg": "HS256"}),
        json!({"alg": "HS256", "typ": "at+jwt", "cty": "JWT"}),
        json!({"alg": "HS256", "typ": "../../etc/passwd"}),
        json!({"alg": "HS256", "kid": "../../../dev/null"}),
        json!({"alg": "HS256", "jku": "https://evil.test/keys", "x5u": "file:///etc/passwd"}),
        json!({"alg": "HS256", "jwk": rsa_jwk()}),
        json!({"alg": "HS256", "typ": 5, "kid": 7, "jwk": "mine", "jku": [], "x5u": null}),
        json!({"alg": "HS256", "x5c": ["AAAA"], "x5t": "AAAA", "vendor": {"a": [1]}}),
    ];
    for header in headers {
        let token = forge(&header.to_string(), claims().to_string(), hs256(SECRET));
        assert!(verify(&token).is_ok(), "{header}");
    }
}

#[test]
fn rotation() {
    let [old, new] = [
        "the old secret of the tests, long",
        "the new secret of the tests, long",
    ];
    let by = |secret: &str| forge(&header("HS256"), claims().to_string(), hs256(secret));
    let by_rsa = forge(&header("RS256"), claims().to_string(), rs256);
    let verifier = |current: &str, previous| {
        Verifier::new(current, previous, VerifierOptions::default()).unwrap()
    };
    let accepts = |verifier: &Verifier, token: &str| match verifier.verify(token, NOW) {
        Ok(_) => "accepted",
        Err(refusal) => refusal.as_str(),
    };
    let pem = rsa_pem();
    let cases = [
        (
            "before",
            verifier(old, None),
            ["accepted", "bad_signature", "wrong_algorithm"],
        ),
        (
            "meanwhile",
            verifier(new, Some(old)),
            ["accepted", "accepted", "wrong_algorithm"],
        ),
        (
            "after",
            verifier(new, None),
            ["bad_signature", "accepted", "wrong_algorithm"],
        ),
        (
            "to a public key",
            verifier(&pem, Some(old)),
            ["accepted", "bad_signature", "accepted"],
        ),
        (
            "and done",
            verifier(&pem, None),
            ["wrong_algorithm", "wrong_algorithm", "accepted"],
        ),
    ];
    for (name, verifier, expected) in cases {
        let found = [by(old), by(new), by_rsa.clone()].map(|token| accepts(&verifier, &token));
        assert_eq!(found, expected, "case `{name}`");
    }
    // A good signature by the current key is final: the previous one is not asked about its claims.
    let expired = forge(&header("HS256"), with("exp", 1).to_string(), hs256(new));
    assert_eq!(accepts(&verifier(new, Some(old)), &expired), "expired");
}

#[test]
fn what_is_minted_is_accepted_as_what_it_is() {
    let minter = Minter::new(SECRET).unwrap();
    let hour = Duration::from_hours(1);
    let scopes = [
        storefront(),
        Scope::Operator,
        Scope::Replica {
            name: "eu-west".into(),
        },
        Scope::Replica {
            name: "r".repeat(128),
        },
    ];
    for scope in scopes {
        let request = MintRequest::new(scope.clone(), hour).for_user("ada");
        let token = minter.mint(&request, NOW).unwrap();
        let verified = verify(&token).unwrap();
        assert_eq!(verified.scope, scope);
        assert_eq!(verified.username.as_deref(), Some("ada"));
        let at = |now| verifier(SECRET).verify(&token, now).is_ok();
        assert!(at(NOW + 3600) && !at(NOW + 3605));
    }
    let any = minter
        .mint(&MintRequest::new(Scope::Any, hour), NOW)
        .unwrap();
    assert_eq!(verify(&any).unwrap_err().as_str(), "no_application");
}

#[test]
fn what_cannot_be_minted() {
    let minter = Minter::new(SECRET).unwrap();
    let mint = |scope, lifetime| minter.mint(&MintRequest::new(scope, lifetime), NOW);
    let replica = |name: &str| Scope::Replica { name: name.into() };
    let cases = [
        (
            "no lifetime",
            Scope::Operator,
            Duration::ZERO,
            MintProblem::Lifetime,
        ),
        (
            "endless",
            Scope::Operator,
            Duration::MAX,
            MintProblem::Lifetime,
        ),
        (
            "replica without name",
            replica(""),
            Duration::from_secs(9),
            MintProblem::ReplicaName,
        ),
        (
            "line break",
            replica("eu\n"),
            Duration::from_secs(9),
            MintProblem::ReplicaName,
        ),
        (
            "long name",
            replica(&"r".repeat(129)),
            Duration::from_secs(9),
            MintProblem::ReplicaName,
        ),
    ];
    for (name, scope, lifetime, expected) in cases {
        assert_eq!(mint(scope, lifetime), Err(expected), "case `{name}`");
    }
    let long = MintRequest::new(Scope::Operator, Duration::from_secs(9)).for_user("x".repeat(8000));
    assert_eq!(minter.mint(&long, NOW), Err(MintProblem::TooLong));
    // A part of a second is a second.
    let short = mint(storefront(), Duration::from_millis(1)).unwrap();
    assert!(verify(&short).is_ok());
}

#[test]
fn nothing_prints_a_key_or_a_person() {
    let verifier = Verifier::new(SECRET, Some("previous one"), VerifierOptions::default()).unwrap();
    assert_eq!(
        format!("{verifier:?}"),
        "Verifier { current: HS256 key ***, previous: Some(HS256 key ***), options: VerifierOptions { require_application: true } }"
    );
    assert_eq!(
        format!("{:?}", Minter::new(SECRET).unwrap()),
        "Minter(HS256 key ***)"
    );
    let request = MintRequest::new(Scope::Operator, Duration::from_secs(9)).for_user("ada");
    assert_eq!(
        format!("{request:?}"),
        "MintRequest { scope: Operator, lifetime: 9s, .. }"
    );
}
