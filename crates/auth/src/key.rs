//! Keys, and the one algorithm that each of them is for.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{self, aws_lc},
};
use serde_json::Value;

use crate::{KeyDefect, Unauthenticated, object::Object, pem};

/// A key that tokens are verified with.
pub(crate) struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    /// Reads a key: PEM, JWK, or else a shared secret, taken as it is.
    pub(crate) fn read(text: &str) -> Result<Self, KeyDefect> {
        select_provider();
        match Form::of(text)? {
            Form::Pem => from_pem(text),
            Form::Jwk(jwk) => from_jwk(&jwk),
            Form::Secret => Ok(Self::hmac(text.as_bytes())),
        }
    }

    fn hmac(secret: &[u8]) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(secret),
        }
    }

    /// The name of the algorithm as headers have it (RFC 7518, section 3.1).
    pub(crate) fn algorithm_name(&self) -> &'static str {
        match self.algorithm {
            Algorithm::RS256 => "RS256",
            Algorithm::ES256 => "ES256",
            Algorithm::EdDSA => "EdDSA",
            // No key is made for any other.
            _ => "HS256",
        }
    }

    /// Whether a signature (base64url) of this message is by this key and its algorithm.
    pub(crate) fn signed(&self, message: &str, signature: &str) -> Result<bool, Unauthenticated> {
        let message = message.as_bytes();
        crypto::verify(signature, message, &self.decoding, self.algorithm)
            .map_err(|_| Unauthenticated::Malformed)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key ***", self.algorithm_name())
    }
}

/// A key to mint with: a shared secret, plain or as JWK.
pub(crate) fn minting_key(text: &str) -> Result<EncodingKey, KeyDefect> {
    select_provider();
    match Form::of(text)? {
        Form::Secret => Ok(EncodingKey::from_secret(text.as_bytes())),
        Form::Jwk(jwk) if member(&jwk, "kty") == Some("oct") => {
            Ok(EncodingKey::from_secret(&octets(&jwk)?))
        }
        Form::Jwk(jwk) => from_jwk(&jwk).and(Err(KeyDefect::CannotMint)),
        Form::Pem => from_pem(text).and(Err(KeyDefect::CannotMint)),
    }
}

/// The library panics when its features do not tell which cryptography to use, and a program that we are part of may
/// turn on both.
fn select_provider() {
    // Refused when one is chosen already, which is as well.
    aws_lc::DEFAULT_PROVIDER.install_default().ok();
}

/// What kind of text a key is.
enum Form {
    Pem,
    Jwk(Object),
    Secret,
}

impl Form {
    /// Tells the forms apart. What looks like a public key in any form is never taken for a shared secret: public
    /// keys are public, so everybody could mint.
    fn of(text: &str) -> Result<Self, KeyDefect> {
        let trimmed = text.trim_start_matches('\u{feff}').trim();
        if trimmed.is_empty() {
            return Err(KeyDefect::Empty);
        }
        if pem::is_pem(trimmed) {
            return Ok(Self::Pem);
        }
        if pem::is_encoded_pem(trimmed) {
            return Err(KeyDefect::Pem(
                "it is encoded in base64 once more: decode it",
            ));
        }
        if pem::is_ssh(trimmed) {
            return Err(KeyDefect::Ssh);
        }
        if pem::is_bare_key(trimmed) {
            return Err(KeyDefect::Bare);
        }
        if trimmed.starts_with('{') || trimmed.starts_with('[') {
            match serde_json::from_str(trimmed) {
                Ok(Value::Object(_)) | Err(_) if trimmed.contains("kty") => {
                    return serde_json::from_str(trimmed).map(Self::Jwk).map_err(|_| {
                        KeyDefect::Jwk("it has to be one JSON object, and each name in it once")
                    });
                }
                Ok(_) => return Err(KeyDefect::Jwk("`kty` is missing")),
                // A random secret may begin so.
                Err(_) => {}
            }
        }
        Ok(Self::Secret)
    }
}

fn from_pem(text: &str) -> Result<Key, KeyDefect> {
    let pem = pem::public_key(text)?;
    let pem = pem.as_bytes();
    if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
        return from_rsa(key);
    }
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        return from_point(Algorithm::ES256, &ECDSA_P256_SHA256_FIXED, key);
    }
    if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        return from_point(Algorithm::EdDSA, &ED25519, key);
    }
    Err(KeyDefect::Unsupported)
}

fn from_jwk(jwk: &Object) -> Result<Key, KeyDefect> {
    if jwk.get("keys").is_some() {
        return Err(KeyDefect::Jwk(
            "it is a set of keys: give the one key out of it",
        ));
    }
    if member(jwk, "use").is_some_and(|purpose| purpose != "sig") {
        return Err(KeyDefect::Jwk("`use` has to be `sig`"));
    }
    let bad = |_| KeyDefect::Jwk("a part of the key is not base64url without padding");
    let off = |_| KeyDefect::Jwk("its coordinates are no point of its curve");
    let part = |name| {
        member(jwk, name).ok_or(KeyDefect::Jwk(
            "a part of the key that its `kty` needs is missing",
        ))
    };
    // Before anything else is said about it: this one should not be here at all.
    if member(jwk, "kty") != Some("oct") && jwk.get("d").is_some() {
        return Err(KeyDefect::Private);
    }
    let key = match (member(jwk, "kty"), member(jwk, "crv")) {
        (Some("RSA"), _) => {
            from_rsa(DecodingKey::from_rsa_components(part("n")?, part("e")?).map_err(bad)?)?
        }
        (Some("EC"), Some("P-256")) => {
            let point = DecodingKey::from_ec_components(part("x")?, part("y")?).map_err(bad)?;
            from_point(Algorithm::ES256, &ECDSA_P256_SHA256_FIXED, point).map_err(off)?
        }
        (Some("OKP"), Some("Ed25519")) => {
            let point = DecodingKey::from_ed_components(part("x")?).map_err(bad)?;
            from_point(Algorithm::EdDSA, &ED25519, point).map_err(off)?
        }
        (Some("oct"), _) => Key::hmac(&octets(jwk)?),
        _ => return Err(KeyDefect::Unsupported),
    };
    if jwk.get("alg").is_some() && member(jwk, "alg") != Some(key.algorithm_name()) {
        return Err(KeyDefect::Jwk(
            "`alg` has to be HS256 for `oct`, RS256 for `RSA`, ES256 for `EC`, EdDSA for `OKP`",
        ));
    }
    Ok(key)
}

/// A member of a JWK that is text.
fn member<'a>(jwk: &'a Object, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

/// The secret in a JWK.
fn octets(jwk: &Object) -> Result<Vec<u8>, KeyDefect> {
    let secret = member(jwk, "k").ok_or(KeyDefect::Jwk("`k` is missing"))?;
    match URL_SAFE_NO_PAD.decode(secret) {
        Ok(secret) if secret.is_empty() => Err(KeyDefect::Empty),
        Ok(secret) => Ok(secret),
        Err(_) => Err(KeyDefect::Jwk("`k` is not base64url without padding")),
    }
}

/// A key that the library has read but not looked into: with a bad one it would refuse every token without a reason.
fn from_rsa(key: DecodingKey) -> Result<Key, KeyDefect> {
    let (modulus, exponent) = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => (n.clone(), e.clone()),
        DecodingKeyKind::SecretOrDer(der) => {
            let components = aws_lc::DEFAULT_PROVIDER
                .key_utils
                .rsa_pub_components_from_public_key;
            components(der).map_err(|_| KeyDefect::Unsupported)?
        }
    };
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros()) as usize;
    let bits = (modulus.len() * 8).saturating_sub(unused);
    if !(2048..=8192).contains(&bits) {
        return Err(KeyDefect::RsaSize { bits });
    }
    // Everybody can sign for this exponent.
    if exponent == [1] {
        return Err(KeyDefect::Unsupported);
    }
    let components = RsaPublicKeyComponents {
        n: modulus,
        e: exponent,
    };
    match components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256) {
        Ok(_) => Ok(Key {
            algorithm: Algorithm::RS256,
            decoding: key,
        }),
        Err(_) => Err(KeyDefect::Unsupported),
    }
}

/// The same for a point on a curve, which has to be the curve of the algorithm.
fn from_point(
    algorithm: Algorithm,
    curve: &'static dyn VerificationAlgorithm,
    key: DecodingKey,
) -> Result<Key, KeyDefect> {
    let point = key.try_get_as_bytes().map_err(|_| KeyDefect::Unsupported)?;
    match ParsedPublicKey::new(curve, point) {
        Ok(_) => Ok(Key {
            algorithm,
            decoding: key,
        }),
        Err(_) => Err(KeyDefect::Unsupported),
    }
}
