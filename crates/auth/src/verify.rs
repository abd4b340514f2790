//! Verifies write tokens.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{
    KeyProblem, KeyRole, Refusal, Unauthenticated, WriteToken, claims, key::Key, object::Object,
};

/// Longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How tokens are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifierOptions {
    /// Whether a token has to name its application (`true` by default). If not, one that names none may write to
    /// any.
    pub require_application: bool,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        Self {
            require_application: true,
        }
    }
}

/// Verifies write tokens with one key, or with two while keys are rotated.
pub struct Verifier {
    current: Key,
    previous: Option<Key>,
    options: VerifierOptions,
}

impl Verifier {
    /// Reads the keys: shared secrets, public keys in PEM (line breaks may be written as `\n`) or JWKs.
    pub fn new(
        secret: &str,
        previous: Option<&str>,
        options: VerifierOptions,
    ) -> Result<Self, KeyProblem> {
        let read = |text, role| Key::read(text).map_err(|defect| KeyProblem::new(role, defect));
        Ok(Self {
            current: read(secret, KeyRole::Current)?,
            previous: previous
                .map(|text| read(text, KeyRole::Previous))
                .transpose()?,
            options,
        })
    }

    /// Says what a token allows at this time, in seconds since 1970.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<WriteToken, Refusal> {
        let claims = self.open(token)?;
        claims::check(&claims, self.options, now_s)
    }

    /// The claims of a token that is signed with one of the keys; of any other nothing but its header is read.
    fn open(&self, token: &str) -> Result<Object, Unauthenticated> {
        if token.is_empty() {
            return Err(Unauthenticated::Missing);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Unauthenticated::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Unauthenticated::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Unauthenticated::Malformed)?;
        if payload.contains('.') {
            return Err(Unauthenticated::Malformed);
        }
        let algorithm = algorithm(&object(header)?)?;
        let mut refusal = Unauthenticated::Algorithm;
        for key in [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .filter(|key| key.algorithm_name() == algorithm)
        {
            if key.signed(message, signature)? {
                return object(payload);
            }
            refusal = Unauthenticated::Signature;
        }
        Err(refusal)
    }
}

/// Names the algorithms alone.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("current", &self.current)
            .field("previous", &self.previous)
            .field("options", &self.options)
            .finish()
    }
}

/// Reads a part of a token.
fn object(part: &str) -> Result<Object, Unauthenticated> {
    let json = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Unauthenticated::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Unauthenticated::Malformed)
}

/// What a header names as the algorithm. Used for nothing but to tell whether it is that of a key.
fn algorithm(header: &Object) -> Result<String, Unauthenticated> {
    if header.get("crit").is_some() {
        return Err(Unauthenticated::Critical);
    }
    match header.get("alg") {
        Some(Value::String(name)) => Ok(name.clone()),
        Some(_) | None => Err(Unauthenticated::Malformed),
    }
}
