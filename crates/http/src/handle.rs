//! What every request goes through.

use std::sync::Arc;

use bytes::Bytes;
use favonius_telemetry::instruments::Route;
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::Body;
use tracing::Instrument as _;

use crate::{
    body::EdgeBody,
    control,
    edge::Shared,
    failure::Failure,
    metrics,
    observe::Observed,
    probes::Probes,
    request_id::RequestId,
    route::{self, Surface},
    serve,
    upload::{self, Incoming, Query},
};

/// In this order: an id, the route, the answer, what every answer carries, and what is told of it.
pub(crate) async fn handle<B>(
    edge: &Arc<Shared>,
    surface: Surface,
    request: Request<B>,
) -> Response<EdgeBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let id = RequestId::from_header(request.headers().get("x-request-id"));
    let route = route::find(surface, request.method(), request.uri().path());
    let mut observed = Observed::begin(edge, &request, route, &id);
    let is_head = *request.method() == Method::HEAD;
    let version = request.version();
    let answer = dispatch(edge, surface, route, request, &id);
    let mut response = answer.instrument(observed.span()).await;
    if is_head {
        serve::drop_body(&mut response);
    }
    response.headers_mut().insert("x-request-id", id.header());
    // HTTP/2 has no such header: its connections are told to go away.
    if edge.probes.is_draining() && version < Version::HTTP_2 {
        // The client must open its next connection to a worker that stays.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    observed.answered(response.status());
    response.body_mut().observe(observed);
    response
}

async fn dispatch<B>(
    edge: &Arc<Shared>,
    surface: Surface,
    route: Route,
    request: Request<B>,
    id: &RequestId,
) -> Response<EdgeBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let result = match route {
        Route::Healthz => return Probes::healthz(),
        Route::Readyz => return edge.probes.readyz(&edge.deployments),
        Route::Startupz => return edge.probes.startupz(),
        Route::Metrics => metrics::page(edge, &parts.headers).await,
        Route::Reserved if surface == Surface::Metrics => Err(control::unknown()),
        Route::Reserved => control::control(edge, &parts),
        Route::HashList => upload::hash_list(edge, &Query::parse(parts.uri.query())).await,
        Route::Upload | Route::Publish => {
            let asked = Asked {
                may_close: parts.version < Version::HTTP_2,
                expects_continue: parts.headers.contains_key(header::EXPECT),
            };
            let mut body = Incoming::new(&parts.headers, body);
            let result = match route {
                Route::Upload => {
                    let query = Query::parse(parts.uri.query());
                    upload::upload(edge, &query, &parts.headers, &mut body).await
                }
                _ => upload::publish(edge, &parts.headers, &mut body).await,
            };
            return answer_upload(edge, result, body, id, asked).await;
        }
        Route::Deployment => {
            drop(body);
            return serve::serve(edge, &parts, id).await;
        }
    };
    result.unwrap_or_else(|failure| {
        note_refusal(edge, &failure);
        failure.into_response(id, false)
    })
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
    result: Result<Response<EdgeBody>, Failure>,
    mut body: Incoming<'_>,
    id: &RequestId,
    asked: Asked,
) -> Response<EdgeBody> {
    match result {
        Ok(response) => response,
        Err(failure) => {
            note_refusal(edge, &failure);
            // A client that asks before it sends (RFC 9110, section 10.1.1) has sent nothing yet, and need not.
            if !asked.expects_continue || body.is_begun() {
                body.drain().await;
            }
            let mut response = failure.into_response(id, false);
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
