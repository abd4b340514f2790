//! Write tokens (JWT), right and wrong ones.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The secret that [`WorkerProcess`](crate::WorkerProcess) starts workers with.
pub const SECRET: &str = "a secret for tests that is long enough for HS256";

/// A good token for an application, valid for an hour, signed with [`SECRET`].
pub fn write_token(application_uid: &str) -> String {
    mint(SECRET.as_bytes(), &write_claims(application_uid))
}

/// The claims of a good token, for tests that change one of them.
pub fn write_claims(application_uid: &str) -> Value {
    json!({
        "application_uid": application_uid,
        "can_write": true,
        "username": "ada",
        "user_uuid": "7d9f4a2e-1111-4222-8333-9b2c3d4e5f60",
        "iat": now(),
        "exp": now() + 3600,
    })
}

/// Any claims with an HS256 signature (RFC 7519, RFC 7518 section 3.2).
pub fn mint(secret: &[u8], claims: &Value) -> String {
    forge(&json!({"alg": "HS256", "typ": "JWT"}), claims, |input| {
        hs256(secret, input)
    })
}

/// Any header and claims with whatever `sign` makes of the signing input: a wrong key, another algorithm, nothing.
pub fn forge(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(sign(input.as_bytes()));
    format!("{input}.{signature}")
}

/// HMAC with SHA-256.
pub fn hs256(secret: &[u8], input: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, input).as_ref().to_vec()
}

/// Seconds since 1970, for `exp` and `iat`.
#[expect(
    clippy::disallowed_methods,
    reason = "a worker process has the system's clock, so its tokens need the same"
)]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("the clock is after 1970").as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7515_comes_out() {
        // RFC 7515 appendix A.1: the parts as given there, because they hold line breaks that a JSON value does not keep.
        let secret = BASE64_URL_SAFE_NO_PAD.decode(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        );
        let input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD.encode(hs256(&secret.unwrap(), input.as_bytes())),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
    }

    #[test]
    fn a_forged_token_says_what_it_was_told_to() {
        let claims = json!({"can_write": "yes"});
        let token = forge(&json!({"alg": "none"}), &claims, |_| Vec::new());
        let parts: Vec<&str> = token.split('.').collect();
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
        assert_eq!(decode(parts[0]), br#"{"alg":"none"}"#);
        assert_eq!(decode(parts[1]), br#"{"can_write":"yes"}"#);
        assert_eq!(parts[2], "");
    }
}
