//! Tokens that are not ours, or not signed as ours are.

use aws_lc_rs::hmac;
use serde_json::json;

use super::*;

/// A token that is signed with the right secret by the right algorithm, with this header.
fn headed(header: &str) -> String {
    forge(header, claims().to_string(), hs256(SECRET))
}

#[test]
fn what_is_no_token_of_ours() {
    let good = signed(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [head, payload, signature] = parts.try_into().unwrap();
    let long = signed(&with("username", "x".repeat(7000)));
    let longest = signed(&with("padding", "x".repeat(8 * 1024)));
    assert!(long.len() > 8 * 1024);
    let other_payload = base64url(with("application_uid", "other.shop.acme").to_string());
    let cases = [
        ("empty", String::new(), "missing"),
        ("one part", "token".into(), "malformed"),
        ("two parts", format!("{head}.{payload}"), "malformed"),
        ("four parts", format!("{good}.{signature}"), "malformed"),
        (
            "five parts, as an encrypted one",
            format!("{head}..a.b.c"),
            "malformed",
        ),
        ("dots alone", "..".into(), "malformed"),
        ("no header", format!(".{payload}.{signature}"), "malformed"),
        (
            "no payload",
            format!("{head}..{signature}"),
            "bad_signature",
        ),
        (
            "no signature",
            format!("{head}.{payload}."),
            "bad_signature",
        ),
        ("padded parts", good.replace('.', "=."), "malformed"),
        ("padded signature", format!("{good}="), "malformed"),
        (
            "base64 that is not for URLs",
            good.replacen('.', "+/.", 1),
            "malformed",
        ),
        ("space before", format!(" {good}"), "malformed"),
        ("line break after", format!("{good}\n"), "malformed"),
        ("space inside", good.replacen('.', ". ", 1), "bad_signature"),
        ("scheme before", format!("Bearer {good}"), "malformed"),
        ("quotes around", format!("\"{good}\""), "malformed"),
        ("other scripts", "ключ.鍵.🔑".into(), "malformed"),
        ("NUL inside", good.replacen('.', ".\0", 1), "bad_signature"),
        ("longer than 8 KiB", long, "too_long"),
        ("much longer, unsigned", "a.".repeat(1 << 20), "too_long"),
        ("longer by a claim that nobody reads", longest, "too_long"),
        (
            "payload of another",
            format!("{head}.{other_payload}.{signature}"),
            "bad_signature",
        ),
        (
            "header of another",
            format!("{}.{payload}.{signature}", base64url(r#"{"alg":"HS256"}"#)),
            "bad_signature",
        ),
        (
            "last character of the signature lost",
            good[..good.len() - 1].into(),
            "malformed",
        ),
        (
            "last bytes of the signature lost",
            good[..good.len() - 3].into(),
            "bad_signature",
        ),
        (
            "a signature of the right length",
            format!("{head}.{payload}.{}", base64url([0; 32])),
            "bad_signature",
        ),
        (
            "another secret",
            forge(
                &header("HS256"),
                claims().to_string(),
                hs256("another secret"),
            ),
            "bad_signature",
        ),
        (
            "the empty secret",
            forge(&header("HS256"), claims().to_string(), hs256("")),
            "bad_signature",
        ),
        (
            "the secret with a line break",
            forge(
                &header("HS256"),
                claims().to_string(),
                hs256(format!("{SECRET}\n")),
            ),
            "bad_signature",
        ),
    ];
    for (name, token, expected) in cases {
        refuses(name, &token, expected);
    }
}

#[test]
fn headers() {
    let none = |spelling: &str| {
        let unsigned = |_: &[u8]| Vec::new();
        forge(&header(spelling), claims().to_string(), unsigned)
    };
    for spelling in ["none", "None", "NONE", "nOnE", "none ", " none", "nоne", ""] {
        refuses(
            &format!("alg {spelling:?}"),
            &none(spelling),
            "wrong_algorithm",
        );
        refuses(
            &format!("alg {spelling:?} with a good signature"),
            &headed(&header(spelling)),
            "wrong_algorithm",
        );
    }
    let cases = [
        ("no alg", r#"{"typ":"JWT"}"#, "malformed"),
        ("alg null", r#"{"alg":null}"#, "malformed"),
        ("alg a number", r#"{"alg":256}"#, "malformed"),
        ("alg an array", r#"{"alg":["HS256"]}"#, "malformed"),
        ("alg in lower case", r#"{"alg":"hs256"}"#, "wrong_algorithm"),
        ("alg twice", r#"{"alg":"none","alg":"HS256"}"#, "malformed"),
        ("ALG", r#"{"ALG":"HS256"}"#, "malformed"),
        (
            "alg of an encrypted token",
            r#"{"alg":"dir","enc":"A128GCM"}"#,
            "wrong_algorithm",
        ),
        ("empty header", "", "malformed"),
        ("header is no JSON", "alg=HS256", "malformed"),
        ("header is an array", r#"["HS256"]"#, "malformed"),
        ("header is text", r#""HS256""#, "malformed"),
        ("header cut off", r#"{"alg":"HS256""#, "malformed"),
        ("more after the header", r#"{"alg":"HS256"}{}"#, "malformed"),
        (
            "crit",
            r#"{"alg":"HS256","crit":["exp"]}"#,
            "critical_extension",
        ),
        (
            "crit of RFC 7797",
            r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
            "critical_extension",
        ),
        (
            "crit empty",
            r#"{"alg":"HS256","crit":[]}"#,
            "critical_extension",
        ),
        (
            "crit null",
            r#"{"alg":"HS256","crit":null}"#,
            "critical_extension",
        ),
    ];
    for (name, header, expected) in cases {
        refuses(name, &headed(header), expected);
    }
    refuses(
        "header is not UTF-8",
        &format!(
            "{}.{}.",
            base64url(b"{\"alg\":\"HS256\xff\"}"),
            base64url(claims().to_string())
        ),
        "malformed",
    );
    let nested = format!(
        r#"{{"alg":"HS256","x":{}{}}}"#,
        "[".repeat(2000),
        "]".repeat(2000)
    );
    refuses("header nested deep", &headed(&nested), "malformed");
}

/// By the right secret, but not by HS256; and by keys of others that the header offers.
#[test]
fn algorithms_and_keys_of_the_sender() {
    let payload = claims().to_string();
    let hmac_of = |algorithm| hmac_with(algorithm, SECRET.as_bytes());
    let cases = [
        (
            "HS384",
            forge(&header("HS384"), &payload, hmac_of(hmac::HMAC_SHA384)),
            "wrong_algorithm",
        ),
        (
            "HS512",
            forge(&header("HS512"), &payload, hmac_of(hmac::HMAC_SHA512)),
            "wrong_algorithm",
        ),
        (
            "HS512 that says HS256",
            forge(&header("HS256"), &payload, hmac_of(hmac::HMAC_SHA512)),
            "bad_signature",
        ),
        (
            "RS256",
            forge(&header("RS256"), &payload, rs256),
            "wrong_algorithm",
        ),
        (
            "ES256",
            forge(&header("ES256"), &payload, es256),
            "wrong_algorithm",
        ),
        (
            "EdDSA",
            forge(&header("EdDSA"), &payload, eddsa),
            "wrong_algorithm",
        ),
        (
            "the attacker's key as jwk",
            forge(
                &json!({"alg": "RS256", "jwk": rsa_jwk()}).to_string(),
                &payload,
                rs256,
            ),
            "wrong_algorithm",
        ),
        (
            "the attacker's secret as jwk",
            forge(
                &json!({"alg": "HS256", "jwk": {"kty": "oct", "k": base64url("mine")}}).to_string(),
                &payload,
                hs256("mine"),
            ),
            "bad_signature",
        ),
        (
            "kid that names an empty file",
            forge(
                &json!({"alg": "HS256", "kid": "../../../dev/null"}).to_string(),
                &payload,
                hs256(""),
            ),
            "bad_signature",
        ),
        (
            "kid that is SQL",
            forge(
                &json!({"alg": "HS256", "kid": "x' UNION SELECT 'mine"}).to_string(),
                &payload,
                hs256("mine"),
            ),
            "bad_signature",
        ),
        (
            "jku",
            forge(
                &json!({"alg": "RS256", "jku": "https://evil.test/keys"}).to_string(),
                &payload,
                rs256,
            ),
            "wrong_algorithm",
        ),
        (
            "x5u",
            forge(
                &json!({"alg": "ES256", "x5u": "https://evil.test/cert"}).to_string(),
                &payload,
                es256,
            ),
            "wrong_algorithm",
        ),
    ];
    for (name, token, expected) in cases {
        refuses(name, &token, expected);
    }
}

/// The public key of the edge is public: nobody may mint with it.
#[test]
fn a_public_key_is_no_shared_secret() {
    let payload = claims().to_string();
    let keys = [
        ("RS256", rsa_pem(), rs256 as fn(&[u8]) -> Vec<u8>),
        ("ES256", ec_pem(), es256),
        ("EdDSA", ed_pem(), eddsa),
    ];
    for (algorithm, pem, sign) in &keys {
        let verifier = verifier(pem);
        let refused = |token: String| verifier.verify(&token, NOW).unwrap_err().as_str();
        let der = pem_body(pem);
        let texts: [&[u8]; 4] = [pem.as_bytes(), pem.trim().as_bytes(), &der, b""];
        for text in texts {
            let forged = forge(&header("HS256"), &payload, hs256(text));
            assert_eq!(refused(forged), "wrong_algorithm", "{algorithm}");
            let relabelled = forge(&header(algorithm), &payload, hs256(text));
            assert_eq!(refused(relabelled), "bad_signature", "{algorithm}");
        }
        for other in [
            "none", "RS384", "RS512", "PS256", "ES384", "HS512", "Ed25519",
        ] {
            assert_eq!(
                refused(forge(&header(other), &payload, sign)),
                "wrong_algorithm",
                "{other}"
            );
        }
        for (other, _, sign) in keys.iter().filter(|(other, ..)| other != algorithm) {
            assert_eq!(
                refused(forge(&header(other), &payload, sign)),
                "wrong_algorithm",
                "{other}"
            );
            assert_eq!(
                refused(forge(&header(algorithm), &payload, sign)),
                "bad_signature",
                "{other}"
            );
        }
        assert_eq!(
            refused(forge(&header(algorithm), &payload, |_| vec![0; 64])),
            "bad_signature"
        );
        assert!(
            verifier
                .verify(&forge(&header(algorithm), &payload, sign), NOW)
                .is_ok()
        );
    }
}

fn pem_body(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(body).unwrap()
}
