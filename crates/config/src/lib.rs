//! The settings of a Favonius process, from a JSON file and the environment.
//!
//! 1. The file that `ZE_WORKER_CONFIG_JSON` names wins over the environment, key by key, and the
//!    environment over the defaults. Blank values set nothing.
//! 2. Everything that is wrong is reported at once ([`Problems`], a line each), so that one restart
//!    is enough to put it right. What is merely odd is a [`Warning`].
//! 3. Whoever holds [`Settings`] holds checked values that fit each other.
//! 4. Secrets print as `***` and are never part of a message, whatever is wrong with them. URLs print
//!    without credentials.
//! 5. All keys are in one table ([`keys`]) that also drives `docs/configuration.md`.
//!
//! The layers are put together here rather than by a configuration library, because those quote the
//! offending value in their errors, which may be a secret, and stop at the first one.
//!
//! # Assumptions
//! Settings are read once, at the start: nothing watches the file or the environment. Only this crate
//! reads environment variables; credentials that a platform gives to the S3 client are the exception.

mod effective;
mod environment;
pub mod keys;
mod memory;
mod parse;
mod problem;
mod read;
mod reader;
mod secret;
mod service_url;
mod settings;
mod show;
mod source;
mod unknown;

pub use effective::{Effective, Entry};
pub use environment::Environment;
pub use problem::{Origin, Problem, Problems, Warning};
pub use secret::{REDACTED, Secret};
pub use service_url::ServiceUrl;
pub use settings::*;
