//! The answer for one asset of a deployment.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::Bytes;
use favonius_contract::{AssetRef, SnapshotId};
use favonius_storage::{AssetBody, AssetKey};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts,
};
use http_body::Body;
use quick_cache::sync::Cache;

use super::{
    cache_policy,
    conditional::{self, LastModified, Precondition},
    media_type,
    range::{self, Selection},
    resolve::Role,
};
use crate::{
    body::EdgeBody,
    deployments::Live,
    edge::Shared,
    failure::{ASSET_PENDING, Failure},
};

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
            Selection::Unsatisfiable => return Err(unsatisfiable(size, response.headers())),
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
        Some(_) if request.method == Method::HEAD => EdgeBody::empty(),
        Some(page) => EdgeBody::from(cut(&page, &part)),
        None if request.method == Method::HEAD => {
            let at = edge.assets.locate(found.asset).await?;
            found.check(edge, at).await?;
            EdgeBody::empty()
        }
        None => {
            let length = part.end - part.start;
            EdgeBody::stream(found.open(edge, Some(part)).await?.bytes, length)
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

fn unsatisfiable(size: u64, described: &HeaderMap) -> Failure {
    let mut failure = Failure::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range_not_satisfiable",
        format!("The file has {size} bytes, and the range is beyond them"),
    );
    for name in [
        header::ETAG,
        header::VARY,
        HeaderName::from_static("x-favonius-deployment"),
    ] {
        if let Some(value) = described.get(&name) {
            failure = failure.header(name, value.clone());
        }
    }
    match HeaderValue::try_from(format!("bytes */{size}")) {
        Ok(range) => failure.header(header::CONTENT_RANGE, range),
        Err(_) => failure,
    }
}

fn cut(page: &Bytes, part: &Range<u64>) -> Bytes {
    // The range was made for this very page, so both ends are inside of it.
    let at = |end: u64| usize::try_from(end).unwrap_or(usize::MAX).min(page.len());
    page.slice(at(part.start)..at(part.end))
}

/// Leaves the headers of an answer as they are and takes its body away, as HEAD wants it.
pub(crate) fn drop_body(response: &mut Response<EdgeBody>) {
    let length = response.body().size_hint().exact();
    *response.body_mut() = EdgeBody::empty();
    let said = response.headers().contains_key(header::CONTENT_LENGTH);
    if let Some(length) = length.filter(|length| *length > 0 && !said) {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
}

impl Found<'_> {
    /// Opens the asset, or the given bytes of it, if the application may show it.
    pub(super) async fn open(
        &self,
        edge: &Shared,
        part: Option<Range<u64>>,
    ) -> Result<AssetBody, Failure> {
        let body = edge.assets.open(self.asset, part).await?;
        self.check(edge, body.as_ref().map(|body| body.key)).await?;
        body.ok_or_else(|| self.pending(edge))
    }

    /// Whether the asset is there, and the application's own: to know the hash of another's file is no right to it.
    async fn check(&self, edge: &Shared, at: Option<AssetKey>) -> Result<(), Failure> {
        let deployment = &self.live.deployment;
        let made_here = deployment
            .publication
            .as_ref()
            .is_some_and(|publication| publication.manifest == Some(self.asset));
        let application = &deployment.snapshot.application_uid;
        let is_own = match at {
            None => false,
            // Uploads of another worker have no owner on record.
            Some(AssetKey::Legacy(_)) => true,
            Some(AssetKey::Asset(_)) => made_here || edge.owns(application, self.asset).await,
        };
        if is_own {
            Ok(())
        } else {
            Err(self.pending(edge))
        }
    }

    /// The snapshot lists the path, and the application has not uploaded the bytes: files and snapshot are uploaded side
    /// by side.
    fn pending(&self, edge: &Shared) -> Failure {
        edge.options.reporter.instruments.asset_pending();
        edge.pending
            .note(self.asset, &self.live.deployment.snapshot.snapshot_id);
        Failure::unavailable(
            ASSET_PENDING,
            "The file belongs to this version and has not arrived on this edge yet: try again in a moment",
        )
    }
}

/// Counts requests for files that a deployment lists and the store lacks, and warns once a minute for each file.
pub(crate) struct Pending {
    count: AtomicU64,
    told: Cache<AssetRef, Instant>,
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            told: Cache::new(1024),
        }
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    fn note(&self, asset: AssetRef, snapshot_id: &SnapshotId) {
        self.count.fetch_add(1, Relaxed);
        if self
            .told
            .get(&asset)
            .is_some_and(|at| at.elapsed() < Duration::from_mins(1))
        {
            return;
        }
        self.told.insert(asset, Instant::now());
        tracing::warn!(
            asset = %asset,
            snapshot_id = snapshot_id.as_str(),
            "A deployment lists a file that has not been uploaded, or that the store has lost"
        );
    }
}
