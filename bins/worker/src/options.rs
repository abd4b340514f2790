//! Settings in the words of the crates that they are for.

use anyhow::Context;
use favonius_config::{AssetHashMode, BindHost, Readyz, Settings};
use favonius_contract::Delimiter;
use favonius_http::{Bind, EdgeOptions, ReadyWhen, ServerOptions, TlsFiles};
use favonius_storage::HashCheck;

pub(crate) fn edge(settings: &Settings) -> anyhow::Result<EdgeOptions> {
    let server = &settings.server;
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
        page_cache_bytes: server
            .cache_bytes
            .min(EdgeOptions::default().page_cache_bytes),
        ..EdgeOptions::default()
    })
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
