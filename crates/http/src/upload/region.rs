//! What another region sends beside files and publishes: what it asks for before it sends, and how its names stand.

use favonius_contract::{
    SnapshotDocument,
    replication::{DigestRequest, FetchRequest, LackingRequest, NamesRequest, OwnedAsset},
};
use favonius_replication::{Receiver, Replicator};
use favonius_storage::{Applied, AssetKey};
use favonius_telemetry::instruments::{Intake, Received as Of};
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Incoming, answer as json_answer, in_time,
    sender::{self, LARGE, Sender},
};
use crate::{
    body::Payload,
    edge::{Ownership, Shared},
    failure::Failure,
    regions::{Received, note_received},
};

/// What can be asked, or told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// What is not here, of what is to be sent.
    Lacking,
    /// How names stand there.
    Names,
    /// How what is here compares with what is there.
    Digest,
    /// An asset.
    Fetch,
}

impl Kind {
    /// By the `type` of an upload.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "lacking" => Some(Self::Lacking),
            "names" => Some(Self::Names),
            "digest" => Some(Self::Digest),
            "fetch" => Some(Self::Fetch),
            _ => None,
        }
    }
}

/// Answers another region.
pub(super) async fn answer(
    edge: &Shared,
    kind: Kind,
    request: &Parts,
    body: &mut Incoming<'_>,
) -> Result<Response<Payload>, Failure> {
    if edge.replication.is_none() {
        return Err(sender::off());
    }
    let (sender, replication) = Sender::region(edge, request)?;
    let answered = match kind {
        Kind::Lacking => lacking(edge, &sender, replication.receiver(), body).await,
        Kind::Names => names(edge, &sender, replication.receiver(), body).await,
        Kind::Digest => digest(edge, &sender, replication.receiver(), body).await,
        Kind::Fetch => fetch(edge, &sender, body).await,
    };
    if let (Kind::Names, Err(failure), Some((replica, _))) = (kind, &answered, sender.as_region()) {
        note_received(edge, replica, Of::Name, &Received::Refused(failure));
    }
    answered
}

async fn lacking(
    edge: &Shared,
    sender: &Sender<'_>,
    receiver: &Receiver,
    body: &mut Incoming<'_>,
) -> Result<Response<Payload>, Failure> {
    let request: LackingRequest = read(edge, sender, body).await?;
    let lacking = in_time(async { Ok(receiver.lacking(&request).await?) }).await?;
    Ok(told(&lacking))
}

async fn names(
    edge: &Shared,
    sender: &Sender<'_>,
    receiver: &Receiver,
    body: &mut Incoming<'_>,
) -> Result<Response<Payload>, Failure> {
    let request: NamesRequest = read(edge, sender, body).await?;
    let answer = in_time(async { Ok(receiver.names(&request).await?) }).await?;
    for record in &request.names {
        edge.deployments.changed(&record.name);
    }
    if let Some((replica, _)) = sender.as_region() {
        note_received(edge, replica, Of::Name, &Received::Names(&request, &answer));
    }
    Ok(told(&answer))
}

async fn digest(
    edge: &Shared,
    sender: &Sender<'_>,
    receiver: &Receiver,
    body: &mut Incoming<'_>,
) -> Result<Response<Payload>, Failure> {
    let request: DigestRequest = read(edge, sender, body).await?;
    let answer = in_time(async { Ok(receiver.digest(&request).await?) }).await?;
    Ok(told(&answer))
}

/// Gives an asset away, if it is that application's: to know a hash is no right to the bytes, in no region.
async fn fetch(
    edge: &Shared,
    sender: &Sender<'_>,
    body: &mut Incoming<'_>,
) -> Result<Response<Payload>, Failure> {
    let FetchRequest { asset } = read(edge, sender, body).await?;
    let OwnedAsset {
        application_uid,
        asset,
    } = asset;
    let unknown = || {
        Failure::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "The asset is not in this region, or is another application's",
        )
    };
    let opened = edge.assets.open(asset, None).await?.ok_or_else(unknown)?;
    let owner = match opened.key {
        // Uploads of another worker have no owner on record.
        AssetKey::Legacy(_) => Ownership::Own,
        AssetKey::Asset(_) => edge.owns(&application_uid, asset).await?,
    };
    match owner {
        Ownership::Own => {}
        Ownership::Foreign => return Err(unknown()),
        // A visitor asks for what is published; another region asks for anything.
        Ownership::Unclear => {
            return Err(Failure::unavailable(
                "storage_unavailable",
                "The store behind this edge cannot tell whose the asset is: try again in a moment",
            ));
        }
    }
    let mut response = Response::new(Payload::stream(opened.bytes, asset.size));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, asset.size.into());
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Stores a snapshot of another region. It gets no name here: names come by themselves, as they stand there.
pub(super) async fn snapshot(
    edge: &Shared,
    replica: &str,
    replication: &Replicator,
    document: SnapshotDocument,
) -> Result<(Response<Payload>, Intake), Failure> {
    let stored = in_time(async { Ok(replication.receiver().snapshot(document).await?) }).await;
    let received = match &stored {
        Ok(applied) => Received::Snapshot(applied),
        Err(failure) => Received::Refused(failure),
    };
    note_received(edge, replica, Of::Snapshot, &received);
    let (message, intake) = match stored? {
        Applied::Done => ("stored", Intake::Stored),
        Applied::Unchanged | Applied::Superseded | Applied::ByHand => {
            ("already stored", Intake::Known)
        }
    };
    let answer = json_answer(StatusCode::OK, &json!({"message": message}));
    Ok((answer, intake))
}

/// Reads what is asked. Large questions are read away from the threads that serve.
async fn read<T: DeserializeOwned + Send + 'static>(
    edge: &Shared,
    sender: &Sender<'_>,
    body: &mut Incoming<'_>,
) -> Result<T, Failure> {
    let document = sender.document(body).await?;
    let is_large = document.json.len() > LARGE;
    let parse = move || serde_json::from_slice(&document.json);
    let parsed = if is_large {
        edge.off_thread(parse).await?
    } else {
        parse()
    };
    parsed.map_err(|problem| favonius_contract::InvalidDocument::from(problem).into())
}

fn told(answer: &impl Serialize) -> Response<Payload> {
    // Names, numbers and lists of them, which cannot fail.
    let answer = serde_json::to_value(answer).unwrap_or(Value::Null);
    json_answer(StatusCode::OK, &answer)
}
