//! Which deployment a request is for: by its hostname, or by the route key in its path.

use std::sync::Arc;

use favonius_contract::{DeploymentName, Hostname, RouteKey, SnapshotId};
use http::{StatusCode, header, request::Parts};
use percent_encoding::percent_decode_str;

use crate::{deployments::Live, edge::Shared, failure::Failure};

/// Where path-addressed deployments begin.
const PATH_ROUTES: &str = "/__zephyr/v1/";

/// What a request is for.
pub(super) enum Found {
    Deployment(Target),
    /// A path-addressed deployment without the slash after its key: sibling URLs are relative to it.
    AddSlash(String),
}

/// A deployment, and the path inside of it.
pub(super) struct Target {
    pub(super) live: Arc<Live>,
    /// As it stands in the request, still percent-encoded, with a leading slash.
    pub(super) path: String,
    /// What stands before the path on this origin: empty for a hostname.
    pub(super) prefix: String,
}

/// Finds the deployment.
pub(super) async fn find(edge: &Arc<Shared>, request: &Parts) -> Result<Found, Failure> {
    let path = request.uri.path();
    let host = host(request)?;
    if let Some(rest) = path.strip_prefix(PATH_ROUTES) {
        return by_route_key(edge, &host, rest).await;
    }
    let live = by_host(edge, &host)
        .await?
        .ok_or_else(|| unknown("There is no deployment under this hostname on this edge"))?;
    let path = if path.is_empty() { "/" } else { path };
    Ok(Found::Deployment(Target {
        live,
        path: path.to_owned(),
        prefix: String::new(),
    }))
}

/// The record of the whole hostname, else that of its application label.
async fn by_host(edge: &Arc<Shared>, host: &Hostname) -> Result<Option<Arc<Live>>, Failure> {
    if let Some(live) = edge.deployments.get(&host.clone().into()).await? {
        return Ok(Some(live));
    }
    match label(edge, host) {
        Some(label) => Ok(edge.deployments.get(&label).await?),
        None => Ok(None),
    }
}

/// The host that a request is for: the authority of its target, else its Host header (RFC 9112, section 3.2).
fn host(request: &Parts) -> Result<Hostname, Failure> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(Failure::bad_request(
            "invalid_host",
            "The request has more than one Host header",
        ));
    }
    let host = match (request.uri.authority(), first) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(value)) => value.to_str().map_err(|_| {
            Failure::bad_request("invalid_host", "The Host header is not plain text")
        })?,
        (None, None) => {
            return Err(Failure::bad_request(
                "invalid_host",
                "The request has no Host header",
            ));
        }
    };
    Hostname::from_authority(host).map_err(|problem| {
        Failure::bad_request(
            "invalid_host",
            format!("The request names no host: {problem}"),
        )
    })
}

/// The application label of a hostname: what stands before the delimiter and the edge host, where that is configured.
fn label(edge: &Shared, host: &Hostname) -> Option<DeploymentName> {
    let own = edge.options.public_url.as_ref()?;
    own.label_of(host, edge.options.delimiter)?.parse().ok()
}

/// `{v|t|e}/<route key>/<path>`
async fn by_route_key(edge: &Arc<Shared>, host: &Hostname, rest: &str) -> Result<Found, Failure> {
    let wrong = || unknown("A path-addressed deployment is at /__zephyr/v1/{v|t|e}/<route key>/");
    let (kind, rest) = rest.split_once('/').ok_or_else(wrong)?;
    let (raw_key, path) = match rest.split_once('/') {
        Some((key, _)) => (key, rest.strip_prefix(key).unwrap_or("/")),
        None => (rest, ""),
    };
    let key = percent_decode_str(raw_key)
        .decode_utf8()
        .map_err(|_| wrong())?;
    let prefix = format!("{PATH_ROUTES}{kind}/{raw_key}");
    let live = match kind {
        "v" => {
            edge.deployments
                .version(&key.parse::<SnapshotId>()?)
                .await?
        }
        "t" | "e" => named(edge, kind, &key.parse()?).await?,
        _ => return Err(wrong()),
    };
    let live =
        live.ok_or_else(|| unknown("There is no deployment under this route key on this edge"))?;
    // Pages of one application must not run on the origin of another.
    let here = by_host(edge, host).await?;
    if here.is_some_and(|here| here.deployment.owner() != live.deployment.owner()) {
        return Err(unknown(
            "The deployments of this hostname's own application only are here",
        ));
    }
    if path.is_empty() {
        return Ok(Found::AddSlash(format!("{prefix}/")));
    }
    Ok(Found::Deployment(Target {
        live,
        path: path.to_owned(),
        prefix,
    }))
}

/// A record that was published under the route key, with or without the prefix of its kind.
async fn named(
    edge: &Arc<Shared>,
    kind: &str,
    key: &RouteKey,
) -> Result<Option<Arc<Live>>, Failure> {
    if let Some(live) = edge.deployments.get(&key.clone().into()).await? {
        return Ok(Some(live));
    }
    let Ok(prefixed) = format!("{kind}_{key}").parse::<DeploymentName>() else {
        return Ok(None);
    };
    Ok(edge.deployments.get(&prefixed).await?)
}

fn unknown(message: &'static str) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "unknown_host", message)
}
