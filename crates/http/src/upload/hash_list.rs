//! Which assets a client need not upload again.

use favonius_contract::ApplicationUid;
use http::{Response, StatusCode};
use serde_json::json;

use super::{Query, answer};
use crate::{body::Payload, edge::Shared, failure::Failure};

/// Lists the hashes of all assets that the application itself uploaded. Asks for no token, because clients send none.
pub(super) async fn answer_hashes(
    edge: &Shared,
    query: &Query<'_>,
) -> Result<Response<Payload>, Failure> {
    let application: ApplicationUid = query.required("application_uid")?.parse()?;
    let mut hashes: Vec<_> = edge
        .records
        .known_assets(&application)
        .await?
        .into_iter()
        .map(|asset| asset.hash)
        .collect();
    // Two sizes under one hash are two assets to us and one to the client.
    hashes.sort_unstable();
    hashes.dedup();
    Ok(answer(StatusCode::OK, &json!({"hashes": hashes})))
}
