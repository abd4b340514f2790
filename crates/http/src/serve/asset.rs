//! The answer for one asset of a deployment.

use std::sync::Arc;

use bytes::Bytes;
use favonius_storage::Coding;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::{
    DEPLOYMENT, Fields, Question,
    conditional::{self, Precondition, Tag},
    found::Found,
    head::Carried,
    pending::{self, Listed},
    range::{self, Selection},
    resolve::Role,
    subject::{Sent, Subject},
};
use crate::{
    body::Payload,
    coding::{Accepted, is_worth_coding},
    edge::Shared,
    failure::Failure,
    memory::{Form, Held},
};

/// Answers with an asset, or with why the client needs none of it.
pub(super) async fn answer(edge: &Shared, found: &Found<'_>) -> Result<Response<Payload>, Failure> {
    if let Some(answer) = at_hand(edge, found) {
        return answer;
    }
    let listed = Listed {
        snapshot: found.live.snapshot(),
        path: found.path,
        asset: found.asset,
    };
    let look = || look(edge, found);
    pending::or_from_elsewhere(edge, listed, found.question.wait(), look).await
}

/// The answer where all that it takes is in memory, as it nearly always is. What cannot be told here and now is left to [`look`],
/// which would come to the same in more steps.
fn at_hand(edge: &Shared, found: &Found<'_>) -> Option<Result<Response<Payload>, Failure>> {
    let subject = Subject::at_hand(edge, found)?;
    if !subject.is_known_to_be_own(found) {
        return None;
    }
    let accepted = accepted(found);
    if found.role != Role::NotFoundPage {
        let Fields {
            conditions,
            has_range,
            ..
        } = found.question.fields;
        if conditions.are_any()
            && let Some(answer) = precondition(edge, found, &subject, accepted).transpose()
        {
            subject.count_hit(edge, found);
            return Some(answer);
        }
        if has_range {
            return None;
        }
    }
    let (coding, held, bytes) = bytes_at_hand(edge, found, &subject, accepted)?;
    if !found.is_known_to_be_own(held.key) {
        return None;
    }
    subject.count_hit(edge, found);
    let is_head = *found.question.method == Method::HEAD;
    if coding.is_some() || !(is_head || subject.is_page()) {
        edge.memory.found(found.question.is_repeated());
    }
    Some(Ok(held_answer(found, coding, &held, bytes)))
}

/// The answer with bytes that are in memory.
fn held_answer(
    found: &Found<'_>,
    coding: Option<Coding>,
    held: &Held,
    bytes: Bytes,
) -> Response<Payload> {
    let carried = match coding {
        Some(coding) => Carried::Coded(coding, &held.length),
        None => Carried::Plain(&held.length),
    };
    let headers = found.head(&held.etag, carried);
    let is_head = *found.question.method == Method::HEAD;
    let body = if is_head { Bytes::new() } else { bytes };
    response(found.role.status(), headers, body.into())
}

/// What the client takes instead of the bytes as they are.
fn accepted(found: &Found<'_>) -> Accepted {
    if found.facts.is_compressible() {
        Accepted::of(found.question.headers)
    } else {
        Accepted::default()
    }
}

/// The same with what is in this region.
async fn look(edge: &Shared, found: &Found<'_>) -> Result<Response<Payload>, Failure> {
    let subject = Subject::of(edge, found).await?;
    let accepted = accepted(found);
    // A 404 page is no representation of what was asked for: conditions and ranges do not apply to it.
    if found.role != Role::NotFoundPage {
        if found.question.fields.conditions.are_any()
            && let Some(response) = precondition(edge, found, &subject, accepted)?
        {
            return Ok(response);
        }
        if found.question.fields.has_range
            && let Some(response) = Box::pin(part(edge, found, &subject)).await?
        {
            return Ok(response);
        }
    }
    let is_head = *found.question.method == Method::HEAD;
    if let Some((coding, held, bytes)) = form(edge, found, &subject, accepted).await? {
        // A form does not tell under which key the asset is.
        found.check(edge, Some(held.key)).await?;
        return Ok(held_answer(found, Some(coding), &held, bytes));
    }
    let whole = 0..subject.size();
    let body = match subject.bytes(edge, found, &whole, is_head).await? {
        Sent::Held(bytes, held) => return Ok(held_answer(found, None, &held, bytes)),
        // For HEAD it is not opened.
        sent => sent.into_body(&whole),
    };
    let etag = conditional::etag(subject.id, None);
    let head = found.head(&etag, Carried::Plain(&whole.end.into()));
    Ok(response(found.role.status(), head, body))
}

fn response(status: StatusCode, head: HeaderMap, body: Payload) -> Response<Payload> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = head;
    response
}

/// 304, or the failure that is 412, or nothing.
fn precondition(
    edge: &Shared,
    found: &Found<'_>,
    subject: &Subject,
    accepted: Accepted,
) -> Result<Option<Response<Payload>>, Failure> {
    let tag = match subject.peek(edge) {
        Some(held) => Tag::from_plain(&held.etag),
        None => Tag::of(subject.id),
    };
    let mut coding = None;
    let is_ours = |opaque: &[u8]| match tag.form(opaque) {
        Some(conditional::Form::Plain) => true,
        Some(conditional::Form::Coded(of)) if accepted.takes(of) => {
            coding = coding.or(Some(of));
            true
        }
        _ => false,
    };
    let last_modified = found.modified.map(|(modified, _)| modified);
    let Question {
        headers, fields, ..
    } = found.question;
    match conditional::evaluate(headers, fields.conditions, is_ours, last_modified) {
        Precondition::Met => Ok(None),
        Precondition::NotModified => {
            let head = found.head(&tag.header(coding.map(Coding::as_str)), Carried::Nothing);
            let body = Payload::empty();
            Ok(Some(response(StatusCode::NOT_MODIFIED, head, body)))
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
) -> Result<Option<Response<Payload>>, Failure> {
    let size = subject.size();
    let etag = conditional::etag(subject.id, None);
    // All forms have the same date, so that a date says nothing of which form the client has a part of.
    let date = found
        .modified
        .map(|(modified, _)| modified)
        .filter(|_| !found.facts.is_compressible());
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
            return Err(unsatisfiable(size, &found.head(&etag, Carried::Nothing)));
        }
    };
    let body = subject.bytes(edge, found, &part, false).await?;
    let length = (part.end - part.start).into();
    let mut head = found.head(&etag, Carried::Plain(&length));
    let last = part.end.saturating_sub(1);
    let range = format!("bytes {}-{last}/{size}", part.start);
    head.insert(
        header::CONTENT_RANGE,
        HeaderValue::try_from(range).expect("digits and ASCII signs"),
    );
    let body = body.into_body(&part);
    Ok(Some(response(StatusCode::PARTIAL_CONTENT, head, body)))
}

fn unsatisfiable(size: u64, described: &HeaderMap) -> Failure {
    let mut failure = Failure::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range_not_satisfiable",
        format!("The file has {size} bytes, and the range is beyond them"),
    );
    for name in [header::ETAG, DEPLOYMENT] {
        if let Some(value) = described.get(&name) {
            failure = failure.header(name, value.clone());
        }
    }
    match HeaderValue::try_from(format!("bytes */{size}")) {
        Ok(range) => failure.header(header::CONTENT_RANGE, range),
        Err(_) => failure,
    }
}

/// Whether there may be forms of it.
fn has_forms(edge: &Shared, found: &Found<'_>, subject: &Subject) -> bool {
    // Where nothing is kept, a form would be fetched anew for each request.
    edge.press.is_on() && edge.memory.largest() > 0 && is_worth_coding(found.facts, subject.size())
}

/// The best form that is in memory, of those that the client takes, or the bytes as they are; `None` where one that the client would
/// rather have may be elsewhere.
fn bytes_at_hand(
    edge: &Shared,
    found: &Found<'_>,
    subject: &Subject,
    accepted: Accepted,
) -> Option<(Option<Coding>, Arc<Held>, Bytes)> {
    let memory = &edge.memory;
    let mut sent = None;
    if has_forms(edge, found, subject) {
        for coding in accepted.iter() {
            match memory.form(subject.id, coding) {
                Form::Held(held) => {
                    sent = Some((Some(coding), held));
                    break;
                }
                Form::Absent => {}
                Form::Unknown => return None,
            }
        }
    }
    let (coding, held) = match sent {
        Some(form) => form,
        None => (None, subject.held(edge)?),
    };
    let bytes = memory.lend(&held)?;
    Some((coding, held, bytes))
}

/// The best form that is there, of those that the client takes.
async fn form(
    edge: &Shared,
    found: &Found<'_>,
    subject: &Subject,
    accepted: Accepted,
) -> Result<Option<(Coding, Arc<Held>, Bytes)>, Failure> {
    let memory = &edge.memory;
    if !has_forms(edge, found, subject) {
        return Ok(None);
    }
    let mut may_wait = subject.held(edge).is_none();
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
