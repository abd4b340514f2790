//! Taking names away: `POST /upload?type=removal`.

use favonius_contract::RemovalRequest;
use favonius_storage::{Change, Order, Remove};
use http::{Response, StatusCode, request::Parts};
use serde_json::json;

use super::{Incoming, answer, in_time, sender::Sender};
use crate::{body::Payload, edge::Shared, failure::Failure};

/// Makes all names of the request answer with nothing, or none.
pub(super) async fn remove(
    edge: &Shared,
    request: &Parts,
    body: &mut Incoming<'_>,
) -> Result<Response<Payload>, Failure> {
    let sender = Sender::of(edge, request)?;
    let body = sender.document(body).await?;
    let token = sender.token;
    let request = RemovalRequest::parse(&body.json)?;
    token.may_write(&request.application_uid)?;
    let now_ms = edge.clock.now_ms();
    let changes = request.names.iter().map(|name| {
        Change::Removed(Remove {
            name: name.clone(),
            application: request.application_uid.clone(),
            order: Order::Local {
                now_ms,
                replica: edge.options.replica.clone(),
            },
            takeover: token.may_take_over(),
        })
    });
    in_time(async { Ok(edge.commit(&token, changes.collect()).await?) }).await?;
    for name in &request.names {
        edge.deployments.changed(name);
    }
    tracing::info!(
        application_uid = request.application_uid.as_str(),
        names = request.names.len(),
        user = token.username.as_deref().unwrap_or_default(),
        "Removed"
    );
    Ok(answer(
        StatusCode::OK,
        &json!({"message": "removed", "names": request.names.len()}),
    ))
}
