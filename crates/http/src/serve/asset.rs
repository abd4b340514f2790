//! The answer for one asset of a deployment.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use favonius_contract::AssetRef;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body::Body;

use super::{
    cache_policy,
    conditional::{self, LastModified, Precondition},
    media_type,
    range::{self, Selection},
    resolve::Role,
};
use crate::{body::EdgeBody, deployments::Live, edge::Shared, failure::Failure};

/// An asset that answers a request.
pub(super) struct Found<'a> {
    pub(super) live: &'a Live,
    /// Its path in the snapshot.
    pub(super) path: &'a str,
    pub(super) asset: AssetRef,
    pub(super) role: Role,
    /// What stands before paths on this origin.
    pub(super) prefix: &'a str,
}

/// Answers with an asset, or with why the client needs none of it.
pub(super) async fn answer(
    edge: &Shared,
    request: &Parts,
    found: &Found<'_>,
) -> Result<Response<EdgeBody>, Failure> {
    let page = if media_type::is_html(found.path) {
        edge.pages.get(edge, found).await?
    } else {
        None
    };
    let form = page.as_ref().map(|page| format!("map{}", page.len()));
    let etag = conditional::etag(found.asset, form.as_deref());
    let created_at_ms = found.live.deployment.snapshot.created_at_ms;
    // A builder's clock may be ahead, and a date in the future is not allowed (RFC 9110, section 8.8.2.1).
    let modified =
        LastModified::from_unix_ms(created_at_ms).filter(|_| created_at_ms <= edge.clock.now_ms());
    let size = page
        .as_ref()
        .map_or(found.asset.size, |page| page.len() as u64);
    let mut response = Response::new(EdgeBody::empty());
    describe(found, &etag, modified, response.headers_mut());
    let mut part = 0..size;
    *response.status_mut() = found.role.status();
    // A 404 page is no representation of what was asked for: conditions and ranges do not apply to it.
    if found.role != Role::NotFoundPage {
        match conditional::evaluate(&request.headers, &etag, modified) {
            Precondition::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return Ok(response);
            }
            Precondition::Failed => {
                return Err(Failure::new(
                    StatusCode::PRECONDITION_FAILED,
                    "precondition_failed",
                    "The file is not the one that the request has in mind",
                ));
            }
            Precondition::Met => {}
        }
        match range::select(&request.method, &request.headers, size, &etag, modified) {
            Selection::Whole => {}
            Selection::Part(selected) => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let text = format!(
                    "bytes {}-{}/{size}",
                    selected.start,
                    selected.end.saturating_sub(1)
                );
                insert(response.headers_mut(), header::CONTENT_RANGE, text);
                part = selected;
            }
            Selection::Unsatisfiable => return Ok(unsatisfiable(size, etag)),
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type::media_type(found.path));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, (part.end - part.start).into());
    *response.body_mut() = match page {
        _ if request.method == Method::HEAD => {
            if page.is_none() && !edge.assets.contains(found.asset).await? {
                return Err(found.pending(edge));
            }
            EdgeBody::empty()
        }
        Some(page) => EdgeBody::from(cut(&page, &part)),
        None => {
            let length = part.end - part.start;
            let body = edge.assets.open(found.asset, Some(part)).await?;
            EdgeBody::stream(body.ok_or_else(|| found.pending(edge))?.bytes, length)
        }
    };
    Ok(response)
}

/// The headers that an answer has whether or not it carries the asset (RFC 9110, section 15.4.5).
fn describe(
    found: &Found<'_>,
    etag: &HeaderValue,
    modified: Option<LastModified>,
    headers: &mut HeaderMap,
) {
    let snapshot = &found.live.deployment.snapshot;
    headers.insert(header::ETAG, etag.clone());
    let policy = if found.role == Role::NotFoundPage {
        HeaderValue::from_static("no-store")
    } else {
        cache_policy::cache_control(found.path, found.live.is_version)
    };
    headers.insert(header::CACHE_CONTROL, policy);
    if media_type::is_compressible(&media_type::media_type(found.path)) {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if let Some(modified) = modified {
        headers.insert(header::LAST_MODIFIED, modified.header());
    }
    // An id may hold what a header must not; then it is escaped as in a URL.
    let id = snapshot.snapshot_id.as_str();
    let shown = HeaderValue::from_str(id).ok().filter(|_| id.is_ascii());
    match shown {
        Some(value) => {
            headers.insert("x-favonius-deployment", value);
        }
        None => insert(
            headers,
            "x-favonius-deployment",
            percent_encoding::utf8_percent_encode(id, percent_encoding::CONTROLS).to_string(),
        ),
    }
}

/// Inserts text that is known to be fit for a header; were it not, the header is left out.
fn insert(headers: &mut HeaderMap, name: impl header::IntoHeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

fn unsatisfiable(size: u64, etag: HeaderValue) -> Response<EdgeBody> {
    let body = serde_json::json!({
        "status": 416, "error": "range_not_satisfiable",
        "message": format!("The file has {size} bytes, and the range is beyond them"),
    });
    let mut response = Response::new(EdgeBody::from(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    let headers = response.headers_mut();
    insert(headers, header::CONTENT_RANGE, format!("bytes */{size}"));
    headers.insert(header::ETAG, etag);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn cut(page: &Bytes, part: &std::ops::Range<u64>) -> Bytes {
    // The range was made for this very page, so both ends are inside of it.
    let at = |end: u64| usize::try_from(end).unwrap_or(usize::MAX).min(page.len());
    page.slice(at(part.start)..at(part.end))
}

/// Leaves the headers of an answer as they are and takes its body away, as HEAD wants it.
pub(super) fn drop_body(response: &mut Response<EdgeBody>) {
    let length = response.body().size_hint().exact();
    *response.body_mut() = EdgeBody::empty();
    if let Some(length) = length {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
}

impl Found<'_> {
    /// The snapshot lists the path, and the store has no bytes for it: files and snapshot are uploaded side by side.
    pub(super) fn pending(&self, edge: &Shared) -> Failure {
        warn_pending(edge, self.asset, self.live);
        Failure::unavailable(
            "asset_pending",
            "The file belongs to this version and has not arrived on this edge yet: try again in a moment",
        )
    }
}

/// One warning per minute, with how many requests met a missing asset since the last.
fn warn_pending(edge: &Shared, asset: AssetRef, live: &Live) {
    static LAST_MS: AtomicU64 = AtomicU64::new(0);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Relaxed) + 1;
    let now = edge.clock.now_ms();
    let last = LAST_MS.load(Relaxed);
    if now.saturating_sub(last) >= 60_000
        && LAST_MS
            .compare_exchange(last, now, Relaxed, Relaxed)
            .is_ok()
    {
        COUNT.store(0, Relaxed);
        tracing::warn!(
            asset = %asset,
            snapshot_id = live.deployment.snapshot.snapshot_id.as_str(),
            requests = count,
            "A deployment lists an asset that the store lacks"
        );
    }
}
