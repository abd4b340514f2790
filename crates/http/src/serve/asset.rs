//! The answer for one asset of a deployment.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use favonius_contract::AssetRef;
use favonius_storage::{AssetKey, Coding};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::{
    Question, cache_policy,
    conditional::{self, LastModified, Precondition, Tag},
    facts::Facts,
    pages::Page,
    pending::{self, Listed},
    range::{self, Selection},
    resolve::Role,
    rules::{self, Rules},
};
use crate::{
    body::EdgeBody,
    coding::{Accepted, Content, is_worth_coding},
    deployments::Live,
    edge::{Ownership, Shared},
    failure::Failure,
    memory::{Form, Held},
};

/// An asset that answers a request.
pub(super) struct Found<'a> {
    /// The deployment that it belongs to.
    pub(super) live: &'a Live,
    /// Whether the request came under the name of one version.
    pub(super) version_name: bool,
    /// As the snapshot lists it.
    pub(super) path: &'a str,
    pub(super) facts: &'a Facts,
    pub(super) asset: AssetRef,
    pub(super) role: Role,
    /// What stands before paths on this origin.
    pub(super) prefix: &'a str,
    pub(super) question: Question<'a>,
    /// What the deployment says of its headers, and the path that it says it for.
    pub(super) rules: (&'a Rules, &'a str),
}

/// What is sent, before it is decided how much of it and in which form.
struct Subject {
    /// What forms and validators are known by.
    id: AssetRef,
    /// The page that the edge made of the asset, if it did.
    page: Option<Arc<Held>>,
}

/// Answers with an asset, or with why the client needs none of it.
pub(super) async fn answer(
    edge: &Shared,
    found: &Found<'_>,
) -> Result<Response<EdgeBody>, Failure> {
    let listed = Listed {
        snapshot: found.live.snapshot(),
        path: found.path,
        asset: found.asset,
    };
    let look = || look(edge, found);
    pending::or_from_elsewhere(edge, listed, found.question.wait(), look).await
}

/// The same with what is in this region.
async fn look(edge: &Shared, found: &Found<'_>) -> Result<Response<EdgeBody>, Failure> {
    let subject = Subject::of(edge, found).await?;
    let accepted = if found.facts.is_compressible {
        Accepted::of(found.question.headers)
    } else {
        Accepted::default()
    };
    let modified = found.live.build.modified(&edge.clock);
    // A 404 page is no representation of what was asked for: conditions and ranges do not apply to it.
    if found.role != Role::NotFoundPage {
        if let Some(response) = precondition(found, &subject, accepted, modified)? {
            return Ok(response);
        }
        if found.question.headers.contains_key(header::RANGE)
            && let Some(response) = Box::pin(part(edge, found, &subject, modified)).await?
        {
            return Ok(response);
        }
    }
    let is_head = *found.question.method == Method::HEAD;
    let form = form(edge, found, &subject, accepted).await?;
    let mut response = Response::new(EdgeBody::empty());
    *response.status_mut() = found.role.status();
    let headers = response.headers_mut();
    if let Some((coding, held, bytes)) = form {
        // A form does not tell under which key the asset is.
        found.check(edge, Some(held.key)).await?;
        found.describe(&held.etag, modified, headers);
        headers.insert(
            header::CONTENT_ENCODING,
            HeaderValue::from_static(coding.as_str()),
        );
        found.describe_content(held.length.clone(), headers);
        if !is_head {
            *response.body_mut() = EdgeBody::from(bytes);
        }
    } else {
        let whole = 0..subject.size();
        let body = subject.bytes(edge, found, &whole, is_head).await?;
        if let Sent::Held(_, held) = &body {
            found.describe(&held.etag, modified, headers);
            found.describe_content(held.length.clone(), headers);
        } else {
            let etag = conditional::etag(subject.id, None);
            found.describe(&etag, modified, headers);
            found.describe_content(whole.end.into(), headers);
        }
        if !is_head {
            *response.body_mut() = body.into_body(&whole);
        }
    }
    found.apply_rules(response.headers_mut());
    Ok(response)
}

/// 304, or the failure that is 412, or nothing.
fn precondition(
    found: &Found<'_>,
    subject: &Subject,
    accepted: Accepted,
    modified: Option<(LastModified, &HeaderValue)>,
) -> Result<Option<Response<EdgeBody>>, Failure> {
    if !conditional::asks(found.question.headers) {
        return Ok(None);
    }
    let tag = Tag::of(subject.id);
    let mut coding = None;
    let is_ours = |opaque: &[u8]| match tag.form(opaque) {
        Some(conditional::Form::Plain) => true,
        Some(conditional::Form::Coded(of)) if accepted.takes(of) => {
            coding = coding.or(Some(of));
            true
        }
        _ => false,
    };
    let last_modified = modified.map(|(modified, _)| modified);
    match conditional::evaluate(found.question.headers, is_ours, last_modified) {
        Precondition::Met => Ok(None),
        Precondition::NotModified => {
            let mut response = Response::new(EdgeBody::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            let coding = coding.map(Coding::as_str);
            let headers = response.headers_mut();
            found.describe(&tag.header(coding), modified, headers);
            found.apply_rules(headers);
            Ok(Some(response))
        }
        Precondition::Failed => Err(Failure::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            "The file is not the one that the request has in mind",
        )),
    }
}

/// 206, or the failure that is 416, or nothing. Ranges are of the asset itself, never of a coded form.
async fn part(
    edge: &Shared,
    found: &Found<'_>,
    subject: &Subject,
    modified: Option<(LastModified, &HeaderValue)>,
) -> Result<Option<Response<EdgeBody>>, Failure> {
    let size = subject.size();
    let etag = conditional::etag(subject.id, None);
    // All forms have the same date, so that a date says nothing of which form the client has a part of.
    let date = modified
        .map(|(modified, _)| modified)
        .filter(|_| !found.facts.is_compressible);
    let part = match range::select(
        found.question.method,
        found.question.headers,
        size,
        &etag,
        date,
    ) {
        Selection::Whole => return Ok(None),
        Selection::Part(part) => part,
        Selection::Unsatisfiable => {
            let mut response = Response::new(EdgeBody::empty());
            found.describe(&etag, None, response.headers_mut());
            return Err(unsatisfiable(size, response.headers()));
        }
    };
    let body = subject.bytes(edge, found, &part, false).await?;
    let mut response = Response::new(body.into_body(&part));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let headers = response.headers_mut();
    found.describe(&etag, modified, headers);
    let last = part.end.saturating_sub(1);
    insert(
        headers,
        header::CONTENT_RANGE,
        format!("bytes {}-{last}/{size}", part.start),
    );
    found.describe_content((part.end - part.start).into(), headers);
    found.apply_rules(headers);
    Ok(Some(response))
}

fn unsatisfiable(size: u64, described: &http::HeaderMap) -> Failure {
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

/// The best form that is there, of those that the client takes.
async fn form(
    edge: &Shared,
    found: &Found<'_>,
    subject: &Subject,
    accepted: Accepted,
) -> Result<Option<(Coding, Arc<Held>, Bytes)>, Failure> {
    let memory = &edge.memory;
    // Where nothing is kept, a form would be fetched anew for each request.
    let has_forms = edge.press.is_on() && memory.largest() > 0;
    if !has_forms || !is_worth_coding(found.facts, subject.size()) {
        return Ok(None);
    }
    let mut may_wait = !subject.is_held(edge);
    for coding in accepted.iter() {
        let held = match memory.form(subject.id, coding) {
            Form::Held(held) => Some(held),
            Form::Absent => None,
            Form::Unknown if may_wait => {
                // Once: where one is not there yet the others are hardly there either, and there is always the asset itself.
                may_wait = false;
                found.question.wait().await;
                let held = Box::pin(memory.load_form(subject.id, coding)).await?;
                if held.is_none() {
                    edge.press.want(subject.id, subject.content());
                }
                held
            }
            Form::Unknown => {
                look_for_form(edge, subject, coding);
                None
            }
        };
        if let Some(held) = held
            && let Some(bytes) = memory.lend(&held)
        {
            memory.found(found.question.is_repeated());
            return Ok(Some((coding, held, bytes)));
        }
    }
    Ok(None)
}

/// Looks for a form without having the request wait for it.
fn look_for_form(edge: &Shared, subject: &Subject, coding: Coding) {
    let (memory, press) = (edge.memory.clone(), edge.press.clone());
    let (id, content) = (subject.id, subject.content());
    memory.expect_answer(id, coding);
    edge.tasks.spawn(async move {
        if let Ok(None) = memory.load_form(id, coding).await {
            press.want(id, content);
        }
    });
}

/// What is sent.
enum Sent {
    /// These bytes of what is in memory.
    Held(Bytes, Arc<Held>),
    /// They come piece by piece.
    Opened(EdgeBody),
    /// They are there, and nobody wants them.
    Unread,
}

impl Sent {
    fn into_body(self, part: &Range<u64>) -> EdgeBody {
        match self {
            Self::Held(bytes, _) => {
                // The range was made for this very asset, so both ends are inside of it.
                let at = |end: u64| usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
                EdgeBody::from(bytes.slice(at(part.start)..at(part.end)))
            }
            Self::Opened(body) => body,
            Self::Unread => EdgeBody::empty(),
        }
    }
}

impl Subject {
    async fn of(edge: &Shared, found: &Found<'_>) -> Result<Self, Failure> {
        let page = if found.facts.is_html {
            edge.pages.get(edge, found).await?
        } else {
            None
        };
        Ok(match page {
            None => Self {
                id: found.asset,
                page: None,
            },
            Some(Page { id, held }) => {
                found.check(edge, Some(held.key)).await?;
                Self {
                    id,
                    page: Some(held),
                }
            }
        })
    }

    fn size(&self) -> u64 {
        self.id.size
    }

    /// Where the bytes are of which forms can be made.
    fn content(&self) -> Content {
        match &self.page {
            Some(page) => Content::Bytes(page.bytes.clone()),
            None => Content::Asset,
        }
    }

    fn is_held(&self, edge: &Shared) -> bool {
        self.page.is_some() || edge.memory.held(self.id).is_some()
    }

    /// The bytes as they are, or a part of them.
    async fn bytes(
        &self,
        edge: &Shared,
        found: &Found<'_>,
        part: &Range<u64>,
        is_head: bool,
    ) -> Result<Sent, Failure> {
        let memory = &edge.memory;
        if let Some(page) = &self.page {
            let bytes = memory
                .lend(page)
                .unwrap_or_else(|| memory.lend_anyway(page));
            return Ok(Sent::Held(bytes, Arc::clone(page)));
        }
        if is_head {
            if let Some(held) = memory.held(self.id) {
                found.check(edge, Some(held.key)).await?;
                return Ok(Sent::Held(held.bytes.clone(), held));
            }
            found.question.wait().await;
            let at = Box::pin(edge.assets.locate(self.id)).await?;
            found.check(edge, at).await?;
            return Ok(Sent::Unread);
        }
        if self.id.size <= memory.largest() {
            let held = if let Some(held) = memory.hit(self.id, found.question.is_repeated()) {
                Some(held)
            } else {
                found.question.wait().await;
                Box::pin(memory.asset(self.id)).await?
            };
            found
                .check(edge, held.as_ref().map(|held| held.key))
                .await?;
            if let Some(held) = held
                && let Some(bytes) = memory.lend(&held)
            {
                return Ok(Sent::Held(bytes, held));
            }
        }
        found.question.wait().await;
        let opened = Box::pin(memory.open(self.id, part.clone())).await?;
        found
            .check(edge, opened.as_ref().map(|opened| opened.key))
            .await?;
        let opened = opened.ok_or_else(Found::pending)?;
        Ok(Sent::Opened(EdgeBody::stream(
            opened.bytes,
            part.end - part.start,
        )))
    }
}

impl Found<'_> {
    /// The headers that an answer has whether or not it carries the asset (RFC 9110, section 15.4.5).
    fn describe(
        &self,
        etag: &HeaderValue,
        modified: Option<(LastModified, &HeaderValue)>,
        headers: &mut http::HeaderMap,
    ) {
        headers.reserve(16);
        headers.insert(header::ETAG, etag.clone());
        let policy = match self.role {
            Role::NotFoundPage => HeaderValue::from_static("no-store"),
            // It stands for a path that is not its own, whose name says nothing of what is there.
            Role::Shell => HeaderValue::from_static(cache_policy::REVALIDATE),
            Role::Named => self.facts.cache_control(self.version_name),
        };
        headers.insert(header::CACHE_CONTROL, policy);
        if self.facts.is_compressible {
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if let Some((_, modified)) = modified {
            headers.insert(header::LAST_MODIFIED, modified.clone());
        }
        headers.insert(super::DEPLOYMENT, self.live.build.shown_id.clone());
        super::allow_all_origins(headers);
    }

    fn describe_content(&self, length: HeaderValue, headers: &mut http::HeaderMap) {
        headers.insert(header::CONTENT_TYPE, self.facts.media_type.clone());
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::CONTENT_LENGTH, length);
    }

    fn apply_rules(&self, headers: &mut http::HeaderMap) {
        let (rules, path) = self.rules;
        if rules.has_headers() {
            // How long these may be kept is not for an application to say, and neither is what goes for deployments that share
            // its origin.
            let keeps_policy =
                self.role == Role::NotFoundPage || self.facts.changes_under_its_name();
            let shares_origin = !self.prefix.is_empty();
            for (name, value) in rules.headers_for(path) {
                if keeps_policy && rules::governs_caching(&name)
                    || shares_origin && rules::is_for_the_whole_origin(&name)
                {
                    continue;
                }
                match value {
                    Some(value) => headers.insert(name, value),
                    None => headers.remove(name),
                };
            }
        }
    }

    /// Whether the asset is there, and the application's own: to know the hash of another's file is no right to it.
    pub(super) async fn check(&self, edge: &Shared, at: Option<AssetKey>) -> Result<(), Failure> {
        let is_own = match at {
            None => false,
            // Uploads of another worker have no owner on record.
            Some(AssetKey::Legacy(_)) => true,
            Some(AssetKey::Asset(_)) => self.is_own(edge).await?,
        };
        if is_own { Ok(()) } else { Err(Self::pending()) }
    }

    async fn is_own(&self, edge: &Shared) -> Result<bool, Failure> {
        if self.facts.is_owned() {
            return Ok(true);
        }
        if self.live.manifest() == Some(self.asset) {
            return Ok(true);
        }
        self.question.wait().await;
        let application = &self.live.snapshot().application_uid;
        let ownership = Box::pin(edge.owns(application, self.asset)).await?;
        if ownership == Ownership::Own {
            self.facts.set_owned();
        }
        Ok(ownership != Ownership::Foreign)
    }

    /// The snapshot lists the path, and the application has not uploaded the bytes: files and snapshot are uploaded side
    /// by side.
    pub(super) fn pending() -> Failure {
        pending::failure(
            "The file belongs to this version and has not arrived on this edge yet: try again in a moment",
        )
    }
}

/// Inserts text that is known to be fit for a header; were it not, the header is left out.
fn insert(headers: &mut http::HeaderMap, name: impl header::IntoHeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}
