//! What every request goes through.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use favonius_telemetry::instruments::Route;
use http::{HeaderValue, Method, Request, Response, Version, header, request::Parts};
use http_body::Body;
use tracing::Instrument as _;

use crate::{
    body::{EdgeBody, Payload},
    control,
    edge::Shared,
    failure::{Failure, Reader},
    metrics,
    observe::Observed,
    probes::Probes,
    request_id::{REQUEST_ID, RequestId},
    route::{self, Surface},
    serve::{self, Fields, Question},
    upload::{self, Incoming, Query},
};

/// An answer, or the work on it.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are at once, and a box for each would cost more than its size"
)]
pub(crate) enum Answer {
    AtOnce(Option<Response<EdgeBody>>),
    Later(Pin<Box<dyn Future<Output = Response<EdgeBody>> + Send>>),
}

/// In this order: an id, the route, the answer, what every answer carries, and what is told of it.
pub(crate) fn handle<B>(edge: &Arc<Shared>, surface: Surface, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let fields = Fields::of(request.headers());
    let id = RequestId::from_header(fields.request_id);
    let route = route::find(surface, request.method(), request.uri().path());
    let handled = Handled {
        observed: Observed::begin(edge, &request, route, &id),
        id,
        is_head: *request.method() == Method::HEAD,
        version: request.version(),
    };
    // What is traced is rare, and its work has to be done in its span.
    let is_tried = route == Route::Deployment && !handled.observed.is_traced();
    if is_tried
        && let Some(response) = at_once(edge, Question::at_once(&request, fields), &handled.id)
    {
        return Answer::AtOnce(Some(handled.finish(edge, response)));
    }
    let edge = Arc::clone(edge);
    Answer::Later(Box::pin(async move {
        let span = handled.observed.span();
        let answer = dispatch(&edge, surface, (route, is_tried), request, &handled.id);
        let response = answer.instrument(span).await;
        handled.finish(&edge, response)
    }))
}

/// The answer of a deployment, if there is nothing to wait for.
fn at_once(
    edge: &Arc<Shared>,
    question: Question<'_>,
    id: &RequestId,
) -> Option<Response<Payload>> {
    let attempt = pin!(serve::serve(edge, question, id));
    match attempt.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(response) => Some(response),
        Poll::Pending => None,
    }
}

/// A request for as long as it is worked on.
struct Handled {
    observed: Observed,
    id: RequestId,
    is_head: bool,
    version: Version,
}

impl Handled {
    fn finish(mut self, edge: &Shared, mut response: Response<Payload>) -> Response<EdgeBody> {
        if self.is_head {
            serve::drop_body(&mut response);
        }
        if response.body().is_stream() {
            self.observed.remember(&self.id);
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, self.id.into_header());
        // HTTP/2 has no such header: its connections are told to go away.
        if edge.probes.is_draining() && self.version < Version::HTTP_2 {
            // The client must open its next connection to a worker that stays.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.observed.answered(response.status());
        response.map(|payload| payload.observed(self.observed))
    }
}

async fn dispatch<B>(
    edge: &Arc<Shared>,
    surface: Surface,
    (route, is_tried): (Route, bool),
    request: Request<B>,
    id: &RequestId,
) -> Response<Payload>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let result = match route {
        Route::Healthz => return Probes::healthz(),
        Route::Readyz => return edge.probes.readyz(&edge.deployments),
        Route::Startupz => return edge.probes.startupz(),
        Route::Upload | Route::Publish => {
            let (parts, body) = request.into_parts();
            return take_in(edge, (surface, route), parts, body, id).await;
        }
        _ => {
            let (parts, _) = request.into_parts();
            let request = Request::from_parts(parts, ());
            match route {
                Route::Metrics => metrics::page(edge, request.headers()).await,
                Route::Reserved if surface == Surface::Metrics => Err(control::unknown()),
                Route::Reserved => control::control(edge, &request.into_parts().0).await,
                Route::HashList => {
                    upload::hash_list(edge, &Query::parse(request.uri().query())).await
                }
                _ => return serve::serve(edge, Question::patient(&request, is_tried), id).await,
            }
        }
    };
    result.unwrap_or_else(|failure| {
        note_refusal(edge, &failure);
        failure.into_response(id, Reader::Client)
    })
}

/// Takes in an upload or a publish.
async fn take_in<B>(
    edge: &Arc<Shared>,
    (surface, route): (Surface, Route),
    parts: Parts,
    body: B,
    id: &RequestId,
) -> Response<Payload>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let asked = Asked {
        may_close: parts.version < Version::HTTP_2,
        expects_continue: parts.headers.contains_key(header::EXPECT),
    };
    let mut body = Incoming::new(&parts.headers, body);
    let result = match route {
        Route::Upload => {
            let only_regions = matches!(surface, Surface::Relay { .. });
            upload::upload(edge, only_regions, &parts, &mut body).await
        }
        _ => upload::publish(edge, &parts, &mut body).await,
    };
    answer_upload(edge, result, body, id, asked).await
}

/// How the client of an upload is to be told.
#[derive(Clone, Copy)]
struct Asked {
    may_close: bool,
    expects_continue: bool,
}

/// Answers an upload. A client that still sends must be able to read why it was refused.
async fn answer_upload(
    edge: &Shared,
    result: Result<Response<Payload>, Failure>,
    mut body: Incoming<'_>,
    id: &RequestId,
    asked: Asked,
) -> Response<Payload> {
    match result {
        Ok(response) => response,
        Err(failure) => {
            note_refusal(edge, &failure);
            // A client that asks before it sends (RFC 9110, section 10.1.1) has sent nothing yet, and need not.
            if !asked.expects_continue || body.is_begun() {
                body.drain().await;
            }
            let mut response = failure.into_response(id, Reader::Client);
            if asked.may_close && !body.is_read() {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

/// Counts requests that are refused for what they say of who sends them.
fn note_refusal(edge: &Shared, failure: &Failure) {
    if let Some(reason) = failure.refusal {
        edge.options.reporter.instruments.auth_refusal(reason);
    }
}
