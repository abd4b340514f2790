//! A replica's tokens for one request.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{MintProblem, MintRequest, Minter, Scope, Unauthenticated};

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn replica(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = json!({
        "application_uid": "*", "can_write": true, "replica": "eu",
        "jti": "0001", "req": DIGEST, "iat": NOW, "exp": NOW + 60,
    });
    change(&mut claims);
    claims
}

fn of(claims: &Value) -> WriteToken {
    verify(&signed(claims)).unwrap()
}

#[test]
fn what_is_minted_is_read() {
    let scope = Scope::Replica { name: "eu".into() };
    let lifetime = Duration::from_mins(1);
    let request = MintRequest::new(scope.clone(), lifetime).for_request("0001", DIGEST);
    let minter = Minter::new(SECRET).unwrap();
    let token = verify(&minter.mint(&request, NOW).unwrap()).unwrap();
    assert_eq!(token.token_id.as_deref(), Some("0001"));
    assert_eq!(token.request.as_deref(), Some(DIGEST));
    assert_eq!(
        (token.issued_at_s, token.expires_at_s),
        (Some(NOW), NOW + 60)
    );
    assert!(token.is_one_time());
    assert_eq!(token.check_one_time("us", NOW), Ok(()));
    assert_eq!(token.check_request(DIGEST), Ok(()));
    assert_eq!(token.valid_for(NOW), Duration::from_secs(65));
    assert_eq!(token.valid_for(NOW + 100), Duration::from_secs(1));

    let plain = verify(
        &minter
            .mint(&MintRequest::new(scope.clone(), lifetime), NOW)
            .unwrap(),
    );
    let plain = plain.unwrap();
    assert!(!plain.is_one_time());
    assert_eq!(
        plain.check_one_time("us", NOW),
        Err(Unauthenticated::NotBound)
    );

    let cases = [
        ("an operator's", Scope::Operator, "0001".to_owned()),
        ("no id", scope.clone(), String::new()),
        ("a space", scope.clone(), "a b".into()),
        ("too long", scope, "x".repeat(129)),
    ];
    for (name, scope, id) in cases {
        let request = MintRequest::new(scope, lifetime).for_request(id, DIGEST);
        let token = minter.mint(&request, NOW);
        assert_eq!(token, Err(MintProblem::OneTime), "case `{name}`");
    }
}

#[test]
fn ids_of_a_wrong_form() {
    let longest = "x".repeat(128);
    assert!(verify(&signed(&replica(|claims| claims["jti"] = longest.into()))).is_ok());
    let wrong: [Value; 6] = [
        Value::Null,
        7.into(),
        json!(["0001"]),
        "".into(),
        "a\n".into(),
        "x".repeat(129).into(),
    ];
    for value in wrong {
        for name in ["jti", "req"] {
            let claims = replica(|claims| claims[name] = value.clone());
            refuses(name, &signed(&claims), "bad_one_time");
        }
        // They mean nothing in the tokens of others, whatever they are.
        let token = verify(&signed(&with("jti", value))).unwrap();
        assert!(!token.is_one_time());
    }
    let without_id = replica(|claims| drop(claims.as_object_mut().unwrap().remove("jti")));
    refuses("no jti", &signed(&without_id), "bad_one_time");
}

#[test]
fn who_may_use_it_for_what_and_how_long() {
    let cases = [
        ("as it should be", replica(|_| ()), None),
        (
            "for 5 minutes",
            replica(|claims| claims["exp"] = (NOW + 300).into()),
            None,
        ),
        (
            "for longer",
            replica(|claims| claims["exp"] = (NOW + 301).into()),
            Some(Unauthenticated::Lifetime),
        ),
        (
            "from a time to come",
            replica(|claims| {
                claims["iat"] = (NOW + 3600).into();
                claims["exp"] = (NOW + 3660).into();
            }),
            Some(Unauthenticated::Lifetime),
        ),
        (
            "by a clock that is a little ahead",
            replica(|claims| claims["iat"] = (NOW + 5).into()),
            None,
        ),
        (
            "from no time",
            replica(|claims| claims["iat"] = "now".into()),
            Some(Unauthenticated::Lifetime),
        ),
        (
            "from the replica itself",
            replica(|claims| claims["replica"] = "us".into()),
            Some(Unauthenticated::OwnReplica),
        ),
    ];
    for (name, claims, expected) in cases {
        let checked = of(&claims).check_one_time("us", NOW);
        assert_eq!(checked.err(), expected, "case `{name}`");
    }
    let token = of(&replica(|_| ()));
    assert_eq!(token.check_request("other"), Err(Unauthenticated::Foreign));
    let unnamed = of(&replica(|claims| {
        claims.as_object_mut().unwrap().remove("req");
    }));
    assert_eq!(unnamed.check_request(DIGEST), Err(Unauthenticated::Foreign));
    assert_eq!(unnamed.check_request(""), Err(Unauthenticated::Foreign));
}

#[test]
fn tokens_for_any_request_are_short_where_they_are_a_replicas() {
    let for_any = |claims: &mut Value| {
        for name in ["jti", "req", "iat"] {
            claims.as_object_mut().unwrap().remove(name);
        }
    };
    let cases = [
        ("short", 300, Ok(())),
        ("within the leeway", 305, Ok(())),
        ("too long", 306, Err(Unauthenticated::Lifetime)),
    ];
    for (name, seconds, expected) in cases {
        let mut claims = replica(for_any);
        claims["exp"] = json!(NOW + seconds);
        assert_eq!(of(&claims).check_many_times(NOW), expected, "case `{name}`");
        claims.as_object_mut().unwrap().remove("replica");
        let operator = of(&claims);
        assert_eq!(operator.check_many_times(NOW), Ok(()), "case `{name}`");
    }
    // That one has rules of its own.
    let claims = replica(|claims| claims["exp"] = json!(NOW + 3600));
    assert_eq!(of(&claims).check_many_times(NOW), Ok(()));
}

#[test]
fn a_token_expires_after_it_was_verified() {
    let token = of(&replica(|_| ()));
    assert_eq!(token.check_unexpired(NOW + 64), Ok(()));
    let expired = Err(Unauthenticated::Expired);
    assert_eq!(token.check_unexpired(NOW + 65), expired);
}
