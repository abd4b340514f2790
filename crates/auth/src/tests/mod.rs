//! Tokens and keys for the tests: made here, by hand, so that they can be wrong in any way.
#![expect(
    clippy::string_slice,
    clippy::too_many_lines,
    reason = "texts of one byte a character; tables"
)]

mod bad_claims;
mod bad_tokens;
mod good_tokens;
mod jwks;
mod keys;
mod one_time;
mod random;

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::AsDer as _,
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::{KeyDefect, Refusal, Verifier, VerifierOptions, WriteToken};

/// When the tokens of the recording were issued.
const NOW: u64 = 1_795_247_184;
const SECRET: &str = "a shared secret of the tests, long enough";

/// The key pairs of the tests; RSA takes a while to make.
static RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static EC: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
static ED: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// The claims as the published client sends them.
fn claims() -> Value {
    json!({
        "user_uuid": "7d9f4a2e-1111-4222-8333-9b2c3d4e5f60",
        "username": "ada",
        "application_uid": "storefront.shop.acme",
        "can_write": true,
        "iat": NOW,
        "exp": NOW + 3600,
    })
}

/// The claims with one of them changed.
fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

/// The claims without one of them.
fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of any texts with what `sign` makes of them.
fn forge(header: &str, payload: impl AsRef<[u8]>, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", base64url(header), base64url(payload));
    let signature = base64url(sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn header(algorithm: &str) -> String {
    json!({"alg": algorithm, "typ": "JWT"}).to_string()
}

/// A token as it should be, with these claims.
fn signed(claims: &Value) -> String {
    forge(&header("HS256"), claims.to_string(), hs256(SECRET))
}

fn hmac_with(algorithm: hmac::Algorithm, secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> + use<> {
    let key = hmac::Key::new(algorithm, secret);
    move |input| hmac::sign(&key, input).as_ref().to_vec()
}

fn hs256<T: AsRef<[u8]>>(secret: T) -> impl Fn(&[u8]) -> Vec<u8> + use<T> {
    hmac_with(hmac::HMAC_SHA256, secret.as_ref())
}

fn rs256(input: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; RSA.public_modulus_len()];
    RSA.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        input,
        &mut signature,
    )
    .unwrap();
    signature
}

fn es256(input: &[u8]) -> Vec<u8> {
    let signature = EC.sign(&SystemRandom::new(), input).unwrap();
    signature.as_ref().to_vec()
}

fn eddsa(input: &[u8]) -> Vec<u8> {
    ED.sign(input).as_ref().to_vec()
}

fn pem(label: &str, der: impl AsRef<[u8]>) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn rsa_pem() -> String {
    pem("PUBLIC KEY", RSA.public_key().as_der().unwrap().as_ref())
}

fn ec_pem() -> String {
    pem("PUBLIC KEY", EC.public_key().as_der().unwrap().as_ref())
}

fn ed_pem() -> String {
    pem("PUBLIC KEY", ED.public_key().as_der().unwrap().as_ref())
}

fn rsa_jwk() -> Value {
    let modulus = RSA
        .public_key()
        .modulus()
        .big_endian_without_leading_zero()
        .to_vec();
    let exponent = RSA
        .public_key()
        .exponent()
        .big_endian_without_leading_zero()
        .to_vec();
    json!({"kty": "RSA", "n": base64url(modulus), "e": base64url(exponent)})
}

fn ec_jwk() -> Value {
    let point = EC.public_key().as_ref();
    json!({"kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
}

fn ed_jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(ED.public_key().as_ref())})
}

fn oct_jwk() -> Value {
    json!({"kty": "oct", "k": base64url(SECRET)})
}

fn verifier(key: &str) -> Verifier {
    Verifier::new(key, None, VerifierOptions::default()).unwrap()
}

/// Verifies by the usual key at the usual time.
fn verify(token: &str) -> Result<WriteToken, Refusal> {
    verifier(SECRET).verify(token, NOW)
}

/// Checks the reason, and with it the class: 401 or 403.
fn refuses(name: &str, token: &str, expected: &str) {
    let refusal = verify(token).expect_err(name);
    assert_eq!(refusal.as_str(), expected, "case `{name}`: {token}");
}

/// What is wrong with a key.
fn defect(key: &str) -> Option<KeyDefect> {
    let verifier = Verifier::new(key, None, VerifierOptions::default());
    verifier.err().map(|problem| problem.defect().clone())
}

/// A JWK with one member changed or added.
fn changed(mut jwk: Value, name: &str, value: impl Into<Value>) -> String {
    jwk[name] = value.into();
    jwk.to_string()
}
