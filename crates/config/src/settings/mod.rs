//! The settings, checked. One file a section.

mod host_port;
mod jwt;
mod otlp;
mod redis;
mod replication;
mod s3;
mod server;
mod storage;
mod telemetry;

pub use host_port::HostPort;
pub use jwt::Jwt;
pub use otlp::SignalExport;
pub use redis::{RedisSettings, RedisTopology};
pub use replication::{Delivery, Replication};
pub use s3::{S3Credentials, S3Settings};
pub use server::{AssetHashMode, BindHost, Delimiter, LogLevel, Metrics, Readyz, Server, TlsFiles};
pub use storage::Storage;
pub use telemetry::{Batch, OtelKeys, Sampler, Telemetry};

use crate::{
    effective::Effective,
    environment::Environment,
    keys::Key,
    problem::{Problems, Reason, Warning},
    reader::{Checked, Reader},
    secret::Secret,
};

/// Everything that can be set, checked: the only way to come by one is [`Settings::load`], so that
/// holding one means that it is right. Values of different keys fit each other as well.
///
/// `Debug` shows no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Listening, logging, limits, cache, probes.
    pub server: Server,
    /// What write tokens are verified with.
    pub jwt: Jwt,
    /// Where assets and records are kept.
    pub storage: Storage,
    /// Other regions.
    pub replication: Replication,
    /// Traces, metrics and logs over OTLP.
    pub telemetry: Telemetry,
}

/// What loading gives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What is in effect and where it came from, for people.
    pub effective: Effective,
    /// What is probably not meant.
    pub warnings: Vec<Warning>,
}

impl Settings {
    /// Reads the file that `ZE_WORKER_CONFIG_JSON` names, if any, and the environment, and checks
    /// all of it. Reads that file and the PEM files that are named, and changes nothing.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(environment: &Environment) -> Result<Loaded, Problems> {
        let mut reader = Reader::new(environment);
        let settings = Self::read(&mut reader);
        let (settings, effective, warnings) = reader.finish(settings)?;
        Ok(Loaded {
            settings,
            effective,
            warnings,
        })
    }

    fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        let jwt = Jwt::read(reader);
        let server = Server::read(reader);
        let storage = Storage::read(reader);
        let replication = Replication::read(reader);
        let telemetry = Telemetry::read(reader);
        if let (Ok(storage), Ok(replication)) = (&storage, &replication) {
            replication.check_storage(storage, reader)?;
        }
        Ok(Self {
            server: server?,
            jwt: jwt?,
            storage: storage?,
            replication: replication?,
            telemetry: telemetry?,
        })
    }
}

/// Secrets are used as they are, so a line end that slipped in makes a different secret.
fn warn_of_white_space(reader: &mut Reader<'_>, key: &Key, secret: &Secret) {
    let text = secret.expose();
    if text.trim() != text && !text.starts_with("-----BEGIN ") {
        reader.warn(
            key,
            "begins or ends with white space, which counts as part of it",
        );
    }
}

/// A secret that travels in an HTTP header, where white space around it is never part of it.
fn header_secret(text: &str) -> Result<Secret, Reason> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Secret::new(text));
    }
    Err(Reason::new(
        "holds white space or characters that are not printable ASCII",
    ))
}
