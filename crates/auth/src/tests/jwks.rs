//! JWKs that cannot be used.

use serde_json::{Value, json};

use super::*;
use crate::KeyDefect;

#[test]
fn jwks_that_cannot_be_used() {
    let jwk = KeyDefect::Jwk;
    let alg =
        jwk("`alg` has to be HS256 for `oct`, RS256 for `RSA`, ES256 for `EC`, EdDSA for `OKP`");
    let object = jwk("it has to be one JSON object, and each name in it once");
    let part = jwk("a part of the key that its `kty` needs is missing");
    let base64 = jwk("a part of the key is not base64url without padding");
    let point = jwk("its coordinates are no point of its curve");
    let weak = json!({"kty": "RSA", "n": base64url([0xff; 128]), "e": "AQAB"});
    let cases = [
        ("no JSON", "{\"kty\":\"oct\",".to_owned(), object.clone()),
        (
            "escaped quotes",
            ec_jwk().to_string().replace('"', "\\\""),
            object.clone(),
        ),
        (
            "kty twice",
            "{\"kty\":\"oct\",\"kty\":\"EC\"}".into(),
            object,
        ),
        (
            "an object of another kind",
            "{\"secret\":\"x\"}".into(),
            jwk("`kty` is missing"),
        ),
        (
            "an array",
            json!([ec_jwk()]).to_string(),
            jwk("`kty` is missing"),
        ),
        (
            "a set",
            json!({"keys": [ec_jwk()]}).to_string(),
            jwk("it is a set of keys: give the one key out of it"),
        ),
        (
            "kty unknown",
            changed(ec_jwk(), "kty", "AKP"),
            KeyDefect::Unsupported,
        ),
        (
            "kty a number",
            changed(ec_jwk(), "kty", 7),
            KeyDefect::Unsupported,
        ),
        (
            "kty without its members",
            changed(ec_jwk(), "kty", "RSA"),
            part.clone(),
        ),
        (
            "P-384",
            changed(ec_jwk(), "crv", "P-384"),
            KeyDefect::Unsupported,
        ),
        (
            "X25519",
            changed(ed_jwk(), "crv", "X25519"),
            KeyDefect::Unsupported,
        ),
        (
            "private EC",
            changed(ec_jwk(), "d", "AAAA"),
            KeyDefect::Private,
        ),
        (
            "private RSA",
            changed(rsa_jwk(), "d", "AAAA"),
            KeyDefect::Private,
        ),
        (
            "private Ed25519",
            changed(ed_jwk(), "d", "AAAA"),
            KeyDefect::Private,
        ),
        (
            "for encryption",
            changed(ec_jwk(), "use", "enc"),
            jwk("`use` has to be `sig`"),
        ),
        (
            "alg of another",
            changed(rsa_jwk(), "alg", "PS256"),
            alg.clone(),
        ),
        (
            "alg HS256 of a public key",
            changed(rsa_jwk(), "alg", "HS256"),
            alg.clone(),
        ),
        ("alg HS512", changed(oct_jwk(), "alg", "HS512"), alg.clone()),
        ("alg null", changed(oct_jwk(), "alg", Value::Null), alg),
        (
            "no point of the curve",
            changed(ec_jwk(), "x", base64url([1; 32])),
            point.clone(),
        ),
        (
            "a point too short",
            changed(ec_jwk(), "x", "AAAA"),
            point.clone(),
        ),
        (
            "Ed25519 too long",
            changed(ed_jwk(), "x", base64url([1; 33])),
            point,
        ),
        ("no base64url", changed(rsa_jwk(), "n", "++//"), base64),
        ("y missing", changed(ec_jwk(), "y", Value::Null), part),
        (
            "RSA of 1024 bits",
            weak.to_string(),
            KeyDefect::RsaSize { bits: 1024 },
        ),
        (
            "RSA with an even exponent",
            changed(rsa_jwk(), "e", "AA"),
            KeyDefect::Unsupported,
        ),
        (
            "RSA with exponent 1",
            changed(rsa_jwk(), "e", "AQ"),
            KeyDefect::Unsupported,
        ),
        (
            "k missing",
            json!({"kty": "oct"}).to_string(),
            jwk("`k` is missing"),
        ),
        ("k empty", changed(oct_jwk(), "k", ""), KeyDefect::Empty),
        (
            "k padded",
            changed(oct_jwk(), "k", "AA=="),
            jwk("`k` is not base64url without padding"),
        ),
    ];
    for (name, key, expected) in cases {
        assert_eq!(defect(&key), Some(expected), "case `{name}`");
    }
}
