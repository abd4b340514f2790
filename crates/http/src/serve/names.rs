//! Which deployment a request is for: by its hostname, or by the route key in its path.

use std::{borrow::Cow, sync::Arc};

use favonius_contract::{DeploymentName, Hostname, RouteKey, SnapshotId};
use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::Question;
use crate::{deployments::Live, edge::Shared, failure::Failure};

/// Where path-addressed deployments begin.
const PATH_ROUTES: &str = "/__zephyr/v1/";

/// What a request is for.
pub(super) enum Found<'a> {
    Deployment(Target<'a>),
    /// A path-addressed deployment without the slash after its key: sibling URLs are relative to it.
    AddSlash(String),
}

/// A deployment, and the path inside of it.
pub(super) struct Target<'a> {
    pub(super) live: Arc<Live>,
    /// As it stands in the request, still percent-encoded, with a leading slash.
    pub(super) path: &'a str,
    /// What stands before the path on this origin: empty for a hostname.
    pub(super) prefix: Cow<'static, str>,
}

/// Finds the deployment.
pub(super) async fn find<'a>(edge: &Shared, question: Question<'a>) -> Result<Found<'a>, Failure> {
    let path = question.uri.path();
    let host = host(question)?;
    if let Some(rest) = path.strip_prefix(PATH_ROUTES) {
        question.wait().await;
        // Rare, and long: apart, it takes no room in every other request.
        return Box::pin(by_route_key(edge, host, rest)).await;
    }
    let live = match edge.deployments.known(host, question.is_repeated()) {
        // What is known under this text is what the host's name stands for if that is this text.
        Some(live) if live.is_host => live,
        _ => {
            let host = hostname(host)?;
            question.wait().await;
            Box::pin(by_host(edge, &host))
                .await?
                .ok_or_else(|| unknown("There is no deployment under this hostname on this edge"))?
        }
    };
    Ok(Found::Deployment(Target {
        live,
        path,
        prefix: Cow::Borrowed(""),
    }))
}

/// The record of the whole hostname, else that of its application label.
async fn by_host(edge: &Shared, host: &Hostname) -> Result<Option<Arc<Live>>, Failure> {
    if let Some(live) = edge.deployments.get(&host.clone().into()).await? {
        return Ok(Some(live));
    }
    match label(edge, host) {
        Some(label) => Ok(edge.deployments.get(&label).await?),
        None => Ok(None),
    }
}

/// The host that a request is for: the authority of its target, else its Host header (RFC 9112, section 3.2).
fn host(question: Question<'_>) -> Result<&str, Failure> {
    if question.fields.has_more_hosts {
        return Err(Failure::bad_request(
            "invalid_host",
            "The request has more than one Host header",
        ));
    }
    match (question.uri.authority(), question.fields.host) {
        (Some(authority), _) => Ok(authority.as_str()),
        (None, Some(value)) => value
            .to_str()
            .map_err(|_| Failure::bad_request("invalid_host", "The Host header is not plain text")),
        (None, None) => Err(Failure::bad_request(
            "invalid_host",
            "The request has no Host header",
        )),
    }
}

fn hostname(host: &str) -> Result<Hostname, Failure> {
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
async fn by_route_key<'a>(edge: &Shared, host: &str, rest: &'a str) -> Result<Found<'a>, Failure> {
    let host = hostname(host)?;
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
    let here = by_host(edge, &host).await?;
    if here.is_some_and(|here| here.owner() != live.owner()) {
        return Err(unknown(
            "The deployments of this hostname's own application only are here",
        ));
    }
    if path.is_empty() {
        return Ok(Found::AddSlash(format!("{prefix}/")));
    }
    Ok(Found::Deployment(Target {
        live,
        path,
        prefix: prefix.into(),
    }))
}

/// A record that was published under the route key, with or without the prefix of its kind.
async fn named(edge: &Shared, kind: &str, key: &RouteKey) -> Result<Option<Arc<Live>>, Failure> {
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
