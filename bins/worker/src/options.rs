//! Settings in the words of the crates that they are for.

use anyhow::Context;
use favonius_config::{AssetHashMode, BindHost, Readyz, Settings};
use favonius_contract::Delimiter;
use favonius_http::{
    BearerToken, Bind, EdgeOptions, MetricsOptions, ReadyWhen, ServerOptions, TlsFiles,
};
use favonius_storage::HashCheck;
use favonius_telemetry::Reporter;

use crate::Role;

pub(crate) fn edge(
    settings: &Settings,
    role: Role,
    reporter: Reporter,
) -> anyhow::Result<EdgeOptions> {
    let server = &settings.server;
    let defaults = EdgeOptions::default();
    let public_url = server
        .public_url
        .as_ref()
        .map(|url| url.url().as_str().parse())
        .transpose()
        .context("ZE_WORKER_PUBLIC_URL cannot be used")?;
    Ok(EdgeOptions {
        delimiter: match server.delimiter {
            favonius_config::Delimiter::Hyphen => Delimiter::Hyphen,
            favonius_config::Delimiter::Dot => Delimiter::Dot,
            favonius_config::Delimiter::Underscore => Delimiter::Underscore,
        },
        public_url,
        upload_max_bytes: server.upload_max_bytes,
        snapshot_max_bytes: server.snapshot_max_bytes,
        hash_check: match server.asset_hash {
            AssetHashMode::Strict => HashCheck::Strict,
            AssetHashMode::Warn => HashCheck::Warn,
            AssetHashMode::Off => HashCheck::Off,
        },
        replica: settings.replication.name.clone().unwrap_or_default(),
        ready_when: match server.readyz {
            Readyz::Strict => ReadyWhen::Strict,
            Readyz::Serving => ReadyWhen::Serving,
        },
        access_log: server.access_log,
        metrics: MetricsOptions {
            apart: server.metrics.port.is_some(),
            token: server
                .metrics
                .token
                .as_ref()
                .map(|token| BearerToken::new(token.expose())),
        },
        reporter,
        asset_cache_bytes: server.cache_bytes,
        compression_threads: match role {
            Role::Worker => compression_threads(server.asset_hash),
            // A worker makes the forms when somebody asks for them.
            Role::Relay => 0,
        },
        // The size of the cache is what we know of the memory there is; the defaults are for plenty.
        deployment_cache_bytes: share(server.cache_bytes, defaults.deployment_cache_bytes),
        page_cache_bytes: share(server.cache_bytes / 4, defaults.page_cache_bytes),
        document_memory_bytes: share(server.cache_bytes, defaults.document_memory_bytes),
    })
}

/// Memory for uploads under way, in bytes.
pub(crate) fn upload_memory(settings: &Settings) -> usize {
    usize::try_from(share(settings.server.cache_bytes, 256 * MIB)).unwrap_or(usize::MAX)
}

/// A few, and always one: they give way to all others. None where bytes may be replaced, which their forms would not be.
fn compression_threads(checked: AssetHashMode) -> usize {
    if checked != AssetHashMode::Strict {
        return 0;
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 4).max(1)
}

const MIB: u64 = 1024 * 1024;

/// As much as the cache may take, within what is needed to work at all and what is of use.
fn share(cache_bytes: u64, most: u64) -> u64 {
    cache_bytes.clamp(16 * MIB, most)
}

pub(crate) fn server(settings: &Settings) -> ServerOptions {
    let grace = settings.server.shutdown_grace;
    ServerOptions {
        grace,
        ..ServerOptions::default()
    }
}

pub(crate) fn tls(files: &favonius_config::TlsFiles) -> TlsFiles {
    TlsFiles {
        certificate: files.cert.clone(),
        key: files.key.clone(),
    }
}

pub(crate) fn bind(host: BindHost) -> Bind {
    match host {
        BindHost::DualStack => Bind::DualStack,
        BindHost::Address(address) => Bind::Address(address),
    }
}
