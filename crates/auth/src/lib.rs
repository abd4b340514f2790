//! Who may write what: verifies write tokens (JWT, RFC 7519) and mints them.
//!
//! 1. The key decides the algorithm, never the token: a shared secret means HS256, an RSA key RS256, a P-256 key
//!    ES256, an Ed25519 key `EdDSA`. What a token's header says of keys (`kid`, `jku`, `x5u`, `jwk`) is ignored.
//! 2. A token has to say when it expires, and `can_write` has to be the JSON value `true`.
//! 3. It names the application that it is for. `*` stands for every application: an operator's token, or with
//!    `replica` that of another region.
//! 4. Two kinds of refusal: [`Unauthenticated`] (HTTP 401, the client then forgets its login) and [`Forbidden`]
//!    (403). The first is only ever for a token that is absent, unreadable, not signed by us, or out of date, or that a
//!    replica may not use for this request.
//! 5. A replica's token may be for one request ([`WriteToken::is_one_time`]): `jti` is its id, `req` the digest of the
//!    request ([`request_digest`]). Who takes it checks both, and remembers the id.
//! 6. Nothing here prints a key, a token or a person's name, `Debug` included.
//!
//! ```
//! use std::time::Duration;
//! use favonius_auth::{MintRequest, Minter, Scope, Verifier, VerifierOptions};
//!
//! let secret = "32 random bytes, say of `openssl rand`";
//! let now_s = 1_795_247_184;
//! let request = MintRequest::new(Scope::Application("shop.web.acme".parse()?), Duration::from_secs(3600));
//! let token = Minter::new(secret)?.mint(&request, now_s)?;
//!
//! let verifier = Verifier::new(secret, None, VerifierOptions::default())?;
//! let permission = verifier.verify(&token, now_s + 60)?;
//! assert!(permission.may_write(&"shop.web.acme".parse()?).is_ok());
//! assert!(permission.may_write(&"blog.web.acme".parse()?).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Assumptions
//! Workers and whoever mints agree on the time within [`LEEWAY_S`] seconds. All regions share one key. Whoever holds
//! a shared secret can mint, so a worker that is given one can be made to; with a public key it cannot.

mod claims;
mod key;
mod mint;
mod object;
mod pem;
mod problem;
mod refusal;
mod request;
mod verify;
mod write_token;

#[cfg(test)]
mod tests;

pub use claims::{LATEST_TIME_S, LEEWAY_S};
pub use mint::{MintProblem, MintRequest, Minter};
pub use problem::{KeyDefect, KeyProblem, KeyRole};
pub use refusal::{Forbidden, Refusal, Unauthenticated};
pub use request::request_digest;
pub use verify::{MAX_TOKEN_BYTES, Verifier, VerifierOptions};
pub use write_token::{MAX_ONE_TIME, MAX_REPLICA_NAME, MAX_TOKEN_ID, Scope, WriteToken};
