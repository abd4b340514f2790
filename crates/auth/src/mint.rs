//! Mints write tokens, for the command line and for replication.

use std::{fmt, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::{
    KeyProblem, KeyRole, LATEST_TIME_S, MAX_REPLICA_NAME, MAX_TOKEN_BYTES, MAX_TOKEN_ID, Scope,
    claims::EVERY_APPLICATION,
    key::minting_key,
    write_token::{is_replica_name, is_token_id},
};

/// What a token is to say.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MintRequest {
    /// What it covers.
    pub scope: Scope,
    /// Who it is issued to.
    pub username: Option<String>,
    /// For how long, counted from the time of minting. Rounded up to a second.
    pub lifetime: Duration,
    /// Its id, if a replica is to use it once.
    pub token_id: Option<String>,
    /// The request that it is for, see [`request_digest`](crate::request_digest).
    pub request: Option<String>,
}

impl MintRequest {
    /// A token for nobody by name.
    pub fn new(scope: Scope, lifetime: Duration) -> Self {
        Self {
            scope,
            username: None,
            lifetime,
            token_id: None,
            request: None,
        }
    }

    /// The same for a person.
    #[must_use]
    pub fn for_user(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The same for one request, which has this digest. The id must be a new one, that nobody can guess.
    #[must_use]
    pub fn for_request(mut self, token_id: impl Into<String>, digest: impl Into<String>) -> Self {
        self.token_id = Some(token_id.into());
        self.request = Some(digest.into());
        self
    }
}

/// Without the person: a name in a log is personal data.
impl fmt::Debug for MintRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintRequest")
            .field("scope", &self.scope)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// Why a token cannot be minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MintProblem {
    /// It would expire at once, or after [`LATEST_TIME_S`].
    #[error("the lifetime has to be at least a second and to end before the year 10000")]
    Lifetime,
    /// The name of the replica cannot be one.
    #[error(
        "the name of a replica has to have 1 to {MAX_REPLICA_NAME} bytes and no control characters"
    )]
    ReplicaName,
    /// The id or the request cannot be one, or the token is not a replica's.
    #[error(
        "a token for one request is a replica's, and its id has to have 1 to {MAX_TOKEN_ID} printable characters"
    )]
    OneTime,
    /// It would be longer than [`MAX_TOKEN_BYTES`], and be refused.
    #[error("the token would be longer than {MAX_TOKEN_BYTES} bytes: shorten the user's name")]
    TooLong,
    /// It could not be signed.
    #[error("the token could not be signed")]
    Signing,
}

/// Mints write tokens with a shared secret (HS256).
pub struct Minter {
    key: EncodingKey,
}

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    application_uid: Option<&'a str>,
    can_write: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    req: Option<&'a str>,
    iat: u64,
    exp: u64,
}

impl Minter {
    /// Reads the secret, plain or as a JWK. A public key can only verify.
    pub fn new(secret: &str) -> Result<Self, KeyProblem> {
        match minting_key(secret) {
            Ok(key) => Ok(Self { key }),
            Err(defect) => Err(KeyProblem::new(KeyRole::Current, defect)),
        }
    }

    /// A token that is valid from this time on, in seconds since 1970.
    pub fn mint(&self, request: &MintRequest, now_s: u64) -> Result<String, MintProblem> {
        let (application_uid, replica) = match &request.scope {
            Scope::Application(uid) => (Some(uid.as_str()), None),
            Scope::Any => (None, None),
            Scope::Operator => (Some(EVERY_APPLICATION), None),
            Scope::Replica { name } if is_replica_name(name) => {
                (Some(EVERY_APPLICATION), Some(name.as_str()))
            }
            Scope::Replica { .. } => return Err(MintProblem::ReplicaName),
        };
        let (jti, req) = (request.token_id.as_deref(), request.request.as_deref());
        let is_usable = |text: &str| replica.is_some() && is_token_id(text);
        if !jti.is_none_or(is_usable) || !req.is_none_or(is_usable) {
            return Err(MintProblem::OneTime);
        }
        let claims = Claims {
            application_uid,
            can_write: true,
            username: request.username.as_deref(),
            replica,
            jti,
            req,
            iat: now_s,
            exp: expiry(now_s, request.lifetime).ok_or(MintProblem::Lifetime)?,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key)
            .map_err(|_| MintProblem::Signing)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(MintProblem::TooLong);
        }
        Ok(token)
    }
}

fn expiry(now_s: u64, lifetime: Duration) -> Option<u64> {
    let part = u64::from(lifetime.subsec_nanos() > 0);
    now_s
        .checked_add(lifetime.as_secs())?
        .checked_add(part)
        .filter(|end| *end > now_s && *end <= LATEST_TIME_S)
}

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Minter(HS256 key ***)")
    }
}
