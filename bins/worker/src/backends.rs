//! The back ends that settings name.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use favonius_auth::{Verifier, VerifierOptions};
use favonius_config::{RedisSettings, S3Credentials, S3Settings, Settings, Storage};
use favonius_http::Backends;
use favonius_storage::{Assets, Clock, EmbeddedRecords, RecordStore, embedded_assets};
use favonius_storage_redis::{Endpoint, RedisOptions, RedisRecords, RedisTopology, TlsOptions};
use favonius_storage_s3::{Credentials, S3Options, SocketUse, s3_store_and_sockets};
use favonius_telemetry::{
    Instruments,
    instruments::{Backend, Reading},
    measured_objects, measured_records,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::options;

/// How long what runs behind the back ends may take to end.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What runs behind the back ends, until it is closed.
#[derive(Debug)]
pub(crate) struct Opened {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Opened {
    /// Ends it, and waits, but not for a server that hangs: the grace period is over.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSE_WITHIN, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("Some work behind the scenes did not end in time");
        }
    }
}

/// Opens the back ends, and measures what they do. Must be called inside a Tokio runtime.
pub(crate) fn open(
    settings: &Settings,
    instruments: &Instruments,
) -> anyhow::Result<(Opened, Backends)> {
    let opened = Opened {
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    };
    let (objects, records, [of_objects, of_records]): (_, Arc<dyn RecordStore>, _) =
        match &settings.storage {
            Storage::Embedded { data_dir, .. } => {
                let objects = embedded_assets(&data_dir.join("assets"))?;
                let records = EmbeddedRecords::open(&data_dir.join("records.redb"))?;
                (objects, Arc::new(records), [Backend::Embedded; 2])
            }
            Storage::S3Redis { s3, redis, .. } => {
                let (objects, sockets) = s3_store_and_sockets(&s3_options(s3)?)?;
                watch_sockets(instruments, &sockets);
                let records =
                    RedisRecords::connect(&redis_options(redis), &opened.tasks, &opened.stop)?;
                (objects, Arc::new(records), [Backend::S3, Backend::Redis])
            }
        };
    let objects = measured_objects(objects, of_objects, instruments);
    let records = measured_records(records, of_records, instruments);
    let jwt = &settings.jwt;
    let options = VerifierOptions {
        require_application: jwt.require_application,
    };
    let previous = jwt.previous.as_ref().map(favonius_config::Secret::expose);
    let backends = Backends {
        assets: Assets::new(objects, opened.tasks.clone())
            .with_upload_memory(options::upload_memory(settings)),
        records,
        verifier: Arc::new(Verifier::new(jwt.secret.expose(), previous, options)?),
        clock: Clock::system(),
    };
    Ok((opened, backends))
}

fn watch_sockets(instruments: &Instruments, sockets: &SocketUse) {
    let watch = |reading, read: fn(&SocketUse) -> usize| {
        let sockets = sockets.clone();
        instruments.watch(reading, move || read(&sockets) as u64);
    };
    watch(Reading::S3SocketsUsed, SocketUse::used);
    watch(Reading::S3SocketsWaiting, SocketUse::waiting);
    watch(Reading::S3SocketsLimit, SocketUse::limit);
}

fn s3_options(settings: &S3Settings) -> anyhow::Result<S3Options> {
    let credentials = match &settings.credentials {
        S3Credentials::Static {
            access_key_id,
            secret_access_key,
        } => Credentials::Static {
            access_key_id: access_key_id.expose().to_owned(),
            secret_access_key: secret_access_key.expose().to_owned(),
        },
        S3Credentials::Environment => Credentials::Environment,
    };
    let ca_certificates = match &settings.ca_file {
        Some(file) => Some(
            std::fs::read(file)
                .with_context(|| format!("ZE_WORKER_S3_CA_FILE: cannot read {}", file.display()))?,
        ),
        None => None,
    };
    let endpoint = settings.endpoint.url().as_str();
    Ok(S3Options {
        region: settings.region.clone(),
        force_path_style: settings.force_path_style,
        connection_timeout: settings.connect_timeout,
        request_timeout: settings.request_timeout,
        upload_request_timeout: settings.upload_timeout,
        max_sockets: settings.max_sockets,
        socket_acquisition_warning_timeout: settings.socket_wait_warning,
        ca_certificates,
        ..S3Options::new(endpoint, settings.bucket.clone(), credentials)
    })
}

fn redis_options(settings: &RedisSettings) -> RedisOptions {
    let endpoint = |at: &favonius_config::HostPort| Endpoint::new(at.host.clone(), at.port);
    let topology = match &settings.topology {
        favonius_config::RedisTopology::Single(at) => RedisTopology::Single(endpoint(at)),
        favonius_config::RedisTopology::Cluster { seeds } => RedisTopology::Cluster {
            seeds: seeds.iter().map(endpoint).collect(),
        },
        favonius_config::RedisTopology::Sentinel { sentinels, master } => RedisTopology::Sentinel {
            sentinels: sentinels.iter().map(endpoint).collect(),
            master: master.clone(),
        },
    };
    RedisOptions {
        username: settings.username.clone(),
        password: settings
            .password
            .as_ref()
            .map(|password| password.expose().into()),
        db: settings.db,
        tls: settings.tls.then(|| TlsOptions {
            ca_file: settings.ca_file.clone(),
        }),
        envs_prefix: settings.prefix_envs.clone(),
        snapshots_prefix: settings.prefix_snapshots.clone(),
        ..RedisOptions::new(topology)
    }
}
