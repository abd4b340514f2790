//! The back ends that settings name, and the replication that stands on them.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use favonius_auth::{Minter, Verifier, VerifierOptions};
use favonius_config::{Delivery, RedisSettings, S3Credentials, S3Settings, Settings, Storage};
use favonius_contract::replication::TargetRegion;
use favonius_http::Backends;
use favonius_replication::{ReplicationOptions, ReplicationRuntime, ReplicationStores, Replicator};
use favonius_storage::{Assets, Clock, EmbeddedRecords, ReplicatedRecords, embedded_assets};
use favonius_storage_redis::{Endpoint, RedisOptions, RedisRecords, RedisTopology, TlsOptions};
use favonius_storage_s3::{Credentials, S3Options, SocketUse, s3_store_and_sockets};
use favonius_telemetry::{
    Instruments,
    instruments::{Backend, Reading},
    measured_objects, measured_records,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Role, options};

/// How long what runs behind the back ends may take to end.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What runs behind the back ends, until it is closed.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Replication ends before what it stands on: it gives back what it has taken.
    replication: Work,
    stores: Work,
}

/// Tasks, and what ends them.
#[derive(Debug, Default)]
struct Work {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Work {
    /// Ends it, and waits, but not for a server that hangs: the grace period is over.
    async fn close(self) {
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

impl Opened {
    pub(crate) async fn close(self) {
        self.replication.close().await;
        self.stores.close().await;
    }
}

/// Opens the back ends, measures what they do, and begins to replicate. Must be called inside a Tokio runtime.
pub(crate) fn open(
    settings: &Settings,
    role: Role,
    instruments: &Instruments,
) -> anyhow::Result<(Opened, Backends)> {
    let opened = Opened {
        replication: Work::default(),
        stores: Work::default(),
    };
    let announce = settings.replication.name.is_some() && !settings.replication.urls.is_empty();
    let (objects, records, [of_objects, of_records]): (_, Arc<dyn ReplicatedRecords>, _) =
        match &settings.storage {
            Storage::Embedded { .. } if role == Role::Relay => bail!(
                "ZE_WORKER_STORAGE is embedded, which one process keeps to itself: a relay needs the bucket and the \
                 Redis of its region (ZE_WORKER_STORAGE=s3-redis, ZE_WORKER_S3_*, ZE_WORKER_REDIS_*)"
            ),
            Storage::Embedded { data_dir, .. } => {
                let objects = embedded_assets(&data_dir.join("assets"))?;
                let mut records = EmbeddedRecords::open(&data_dir.join("records.redb"))?;
                if announce {
                    records = records.announcing();
                }
                (objects, Arc::new(records), [Backend::Embedded; 2])
            }
            Storage::S3Redis { s3, redis, .. } => {
                let (objects, sockets) = s3_store_and_sockets(&s3_options(s3)?)?;
                watch_sockets(instruments, &sockets);
                let options = RedisOptions {
                    announce,
                    ..redis_options(redis)
                };
                let records =
                    RedisRecords::connect(&options, &opened.stores.tasks, &opened.stores.stop)?;
                (objects, Arc::new(records), [Backend::S3, Backend::Redis])
            }
        };
    let objects = measured_objects(objects, of_objects, instruments);
    let stores = ReplicationStores {
        assets: Assets::new(objects, opened.stores.tasks.clone())
            .with_upload_memory(options::upload_memory(settings)),
        records,
        clock: Clock::system(),
    };
    let replication = replicate(settings, role, &stores, &opened, instruments)?;
    let records = measured_records(stores.records, of_records, instruments);
    let jwt = &settings.jwt;
    let options = VerifierOptions {
        require_application: jwt.require_application,
    };
    let previous = jwt.previous.as_ref().map(favonius_config::Secret::expose);
    let backends = Backends {
        assets: stores.assets,
        records,
        verifier: Arc::new(Verifier::new(jwt.secret.expose(), previous, options)?),
        clock: stores.clock,
        replication,
    };
    Ok((opened, backends))
}

/// Begins to replicate, if this process has a replica name. It ends when the back ends are closed.
fn replicate(
    settings: &Settings,
    role: Role,
    stores: &ReplicationStores,
    opened: &Opened,
    instruments: &Instruments,
) -> anyhow::Result<Option<Replicator>> {
    let replication = &settings.replication;
    let Some(name) = &replication.name else {
        return Ok(None);
    };
    let targets: Result<Vec<TargetRegion>, _> = replication
        .urls
        .iter()
        .map(|url| url.url().as_str().parse())
        .collect();
    let options = ReplicationOptions {
        replica: name.clone(),
        targets: targets.context("ZE_WORKER_REPLICAS_URLS cannot be used")?,
        delivers: role == Role::Relay || replication.delivery == Delivery::Worker,
        reads_through: replication.read_through,
        repair_every: replication.repair_every,
    };
    let runtime = ReplicationRuntime {
        tasks: opened.replication.tasks.clone(),
        stop: opened.replication.stop.clone(),
        instruments: instruments.clone(),
        seed: rand::random(),
    };
    // A public key signs nothing, which matters only where something is to be sent: then the replicator says so.
    let minter = Minter::new(settings.jwt.secret.expose()).ok().map(Arc::new);
    let replicator = Replicator::start(stores.clone(), options, minter, runtime)?;
    Ok(Some(replicator))
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
