//! Answering for a deployment: what a browser, a CDN and a Module Federation host get.

mod asset;
mod cache_policy;
mod conditional;
mod html;
mod media_type;
mod names;
mod pages;
mod range;
mod resolve;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};

pub(crate) use self::{
    asset::{Pending, drop_body},
    pages::Pages,
};
use self::{
    names::Target,
    resolve::{Resolved, Wants},
};
use crate::{
    body::EdgeBody, deployments::Live, edge::Shared, failure::Failure, request_id::RequestId,
};

const METHODS: &str = "GET, HEAD, OPTIONS";

/// Answers a request for a deployment. Never fails: a failure is an answer.
pub(crate) async fn serve(
    edge: &Arc<Shared>,
    request: &Parts,
    id: &RequestId,
) -> Response<EdgeBody> {
    let mut response = match answer(edge, request).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(id, resolve::accepts_html(&request.headers)),
    };
    let headers = response.headers_mut();
    // Remotes are loaded from pages of other origins, and an error that a page cannot read is a riddle.
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("cross-origin"),
    );
    response
}

async fn answer(edge: &Arc<Shared>, request: &Parts) -> Result<Response<EdgeBody>, Failure> {
    match request.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(preflight(&request.headers)),
        _ => {
            return Err(Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Deployments are read with GET and HEAD",
            )
            .header(header::ALLOW, HeaderValue::from_static(METHODS)));
        }
    }
    let target = names::find(edge, request).await?;
    let Target { live, path, prefix } = match target {
        names::Found::Deployment(target) => target,
        names::Found::AddSlash(location) => return redirect(&location, request.uri.query()),
    };
    let path = resolve::decode(&path).map_err(|problem| {
        Failure::bad_request(
            "invalid_path",
            format!("The path cannot be used: {problem}"),
        )
    })?;
    let snapshot = &live.deployment.snapshot;
    let manifest = live
        .deployment
        .publication
        .as_ref()
        .and_then(|publication| publication.manifest);
    let wants = Wants {
        navigation: resolve::is_navigation(&request.method, &request.headers, &path),
    };
    match resolve::resolve(snapshot, manifest, &path, wants) {
        Resolved::Asset { path, asset, role } => {
            let found = asset::Found {
                live: &live,
                path: &path,
                asset,
                role,
                prefix: &prefix,
            };
            asset::answer(edge, request, &found).await
        }
        Resolved::Redirect { location_path } => {
            redirect(&format!("{prefix}{location_path}"), request.uri.query())
        }
        Resolved::NotFound => Err(not_found(&live)),
    }
}

fn not_found(live: &Live) -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "not_found",
        format!(
            "There is no such file in version {} of {}",
            live.deployment.snapshot.snapshot_id, live.deployment.snapshot.application_uid
        ),
    )
}

/// A permanent redirect on the same host. The path begins with one slash, so that it can name no other host.
fn redirect(path: &str, query: Option<&str>) -> Result<Response<EdgeBody>, Failure> {
    let location = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let location = HeaderValue::try_from(location).map_err(|_| {
        Failure::bad_request("invalid_path", "The path cannot be used in a redirect")
    })?;
    let mut response = Response::new(EdgeBody::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    // The next deployment may have a file where this one has a directory.
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=0, must-revalidate"),
    );
    Ok(response)
}

/// The answer to a CORS preflight (Fetch standard), which also does for a plain OPTIONS.
fn preflight(asked: &HeaderMap) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(METHODS),
    );
    if let Some(asked) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("3600"),
    );
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Access-Control-Request-Headers"),
    );
    response
}
