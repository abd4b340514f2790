//! One asset: `POST /upload?type=file`.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use favonius_auth::{Scope, WriteToken};
use favonius_contract::{ApplicationUid, AssetHash, AssetRef, MANIFEST_FILE};
use favonius_storage::{Change, Claim, PutError, Stored};
use favonius_telemetry::instruments::{Intake, Received as Of};
use futures::{Stream, StreamExt};
use http::{HeaderMap, Response, StatusCode, request::Parts};
use serde_json::json;
use tokio::sync::Notify;

use super::{Incoming, Query, answer, incoming::BodyError, sender::Sender};
use crate::{
    body::Payload,
    coding::{Content, is_worth_coding},
    edge::Shared,
    failure::Failure,
    regions::{Received, note_received},
    serve::Facts,
};

/// Longest path as a client hashed it, in bytes. It is only hashed, so it may be longer than what a snapshot lists.
const MAX_FILE_NAME: usize = 4096;
/// How long an upload may make no progress. Clients wait 30 s for an answer.
const STALLED_AFTER: Duration = Duration::from_secs(25);

/// Stores an asset whose bytes are what its hash says.
pub(super) async fn store(
    edge: &Shared,
    request: &Parts,
    query: &Query<'_>,
    body: &mut Incoming<'_>,
) -> Result<(Response<Payload>, Intake), Failure> {
    let sender = Sender::of(edge, request)?;
    let stored = take(edge, &sender, query, body).await;
    if let Some((replica, _)) = sender.as_region() {
        let received = match &stored {
            Ok((asset, stored)) => Received::Asset(asset.size, *stored),
            Err(failure) => Received::Refused(failure),
        };
        note_received(edge, replica, Of::Asset, &received);
    }
    let (AssetRef { hash, size }, stored) = stored?;
    let (message, intake) = match stored {
        Stored::New => {
            edge.options.reporter.instruments.stored(size);
            ("stored", Intake::Stored)
        }
        Stored::Known => ("already stored", Intake::Known),
    };
    let answer = answer(
        StatusCode::OK,
        &json!({"hash": hash, "size": size, "message": message}),
    );
    Ok((answer, intake))
}

/// Takes the bytes in.
async fn take(
    edge: &Shared,
    sender: &Sender<'_>,
    query: &Query<'_>,
    body: &mut Incoming<'_>,
) -> Result<(AssetRef, Stored), Failure> {
    let token = &sender.token;
    let application = application(token, query)?;
    let hash: AssetHash = query.required("hash")?.parse()?;
    let path = query.required("filename")?;
    if path.len() > MAX_FILE_NAME {
        return Err(Failure::bad_request(
            "invalid_parameter",
            format!("`filename` is longer than {MAX_FILE_NAME} bytes"),
        ));
    }
    // The client shows the answer, and of its request neither the query nor the file.
    let named = |failure: Failure| failure.with("filename", json!(path));
    let size = body
        .length_within(edge.options.upload_max_bytes)
        .map_err(named)?;
    check_size_header(sender.headers(), size)?;
    sender.admit(None).await?;
    let asset = AssetRef { hash, size };
    let claim = Claim {
        asset,
        path,
        // Another region knows the path in its snapshot, and not how a client hashed it.
        path_is_listed: sender.as_region().is_some() && query.get("listed") == Some("1"),
        content_hash_too: path.rsplit('/').next() == Some(MANIFEST_FILE),
        check: edge.options.hash_check,
    };
    let progress = Arc::new(Notify::new());
    let watched = watched(body, Arc::clone(&progress));
    let work = async {
        let stored = edge
            .assets
            .put(claim, watched)
            .await
            .map_err(|error| refuse(error, asset))?;
        edge.commit(token, vec![Change::AssetStored { application, asset }])
            .await?;
        Ok(stored)
    };
    let stored = while_it_moves(work, &progress).await.map_err(named)?;
    if is_worth_coding(&Facts::of(path), size) {
        edge.press.want(asset, Content::Asset);
    }
    Ok((asset, stored))
}

/// Whose asset it is. Whoever may write for every application says so in the query.
fn application(token: &WriteToken, query: &Query<'_>) -> Result<ApplicationUid, Failure> {
    let asked: Option<ApplicationUid> = query.get("application_uid").map(str::parse).transpose()?;
    let application = match (asked, &token.scope) {
        (Some(asked), _) => asked,
        (None, Scope::Application(own)) => own.clone(),
        (None, Scope::Any | Scope::Operator | Scope::Replica { .. }) => {
            return Err(Failure::bad_request(
                "missing_parameter",
                "The permission is for every application: name the one that uploads as `application_uid` in the query",
            ));
        }
    };
    token.may_write(&application)?;
    Ok(application)
}

/// The size that the client says beside the length, when it says it.
fn check_size_header(headers: &HeaderMap, size: u64) -> Result<(), Failure> {
    let Some(said) = headers.get("x-file-size") else {
        return Ok(());
    };
    if said.to_str().ok().and_then(|said| said.trim().parse().ok()) == Some(size) {
        return Ok(());
    }
    Err(Failure::bad_request(
        "size_mismatch",
        format!("The header x-file-size does not say {size}, which is the length of the body"),
    ))
}

/// The body's pieces, each of which counts as progress.
fn watched<'a, 'b>(
    body: &'a mut Incoming<'b>,
    progress: Arc<Notify>,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + use<'a, 'b> {
    body.by_ref().inspect(move |_| progress.notify_one())
}

/// Gives up when nothing moves: neither the body nor the store.
async fn while_it_moves<T>(
    work: impl Future<Output = Result<T, Failure>>,
    progress: &Notify,
) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = progress.notified() => {}
            () = tokio::time::sleep(STALLED_AFTER) => return Err(Failure::unavailable(
                "storage_unavailable",
                "The store behind this edge did not take the asset in time: try again in a moment",
            )),
        }
    }
}

fn refuse(error: PutError<BodyError>, asset: AssetRef) -> Failure {
    match error {
        PutError::Storage(error) => error.into(),
        PutError::Body(error) => error.into(),
        PutError::WrongHash { actual } => Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "hash_mismatch",
            "The bytes do not have the hash that the request names (SHA-256 over the content and then the path): build again",
        )
        .with("expected", json!(asset.hash))
        .with("actual", json!(actual)),
        PutError::WrongSize { received } => Failure::bad_request(
            "size_mismatch",
            Cow::from(format!("{received} bytes came, and {} were announced", asset.size)),
        ),
    }
}
