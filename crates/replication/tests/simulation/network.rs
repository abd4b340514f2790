//! Regions over the simulated network: one request a connection, as JSON with its length before it.

use std::{
    fmt,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use favonius_contract::{
    SnapshotDocument,
    replication::{
        DigestAnswer, DigestRequest, Lacking, LackingRequest, NamesAnswer, NamesRequest, OwnedAsset,
    },
};
use favonius_replication::{
    IncomingBody, LinkError, OutgoingBody, ReceiveError, Receiver, RegionLink, ReplicationStores,
};
use favonius_storage::{Claim, ErrorKind, HashCheck, PutError};
use futures::{TryStreamExt, stream};
use rand::{RngExt, rngs::StdRng};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};
use turmoil::net::{TcpListener, TcpStream};

/// Where workers listen.
const PORT: u16 = 8080;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Serialize, Deserialize)]
enum Question {
    Lacking(LackingRequest),
    Asset(OwnedAsset, String, String),
    Snapshot(String),
    Names(NamesRequest),
    Digest(DigestRequest),
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Done(Value),
    Incomplete(Lacking),
    Refused(String),
    Failed(String),
}

/// The way to a region: to one of its workers, whichever.
pub(crate) struct SimLink {
    pub(crate) workers: Vec<String>,
    pub(crate) random: Arc<Mutex<StdRng>>,
}

impl fmt::Debug for SimLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimLink").field(&self.workers).finish()
    }
}

impl SimLink {
    async fn ask<T: DeserializeOwned>(&self, question: &Question) -> Result<T, LinkError> {
        let json = serde_json::to_vec(question).unwrap();
        let (worker, doubled_after) = {
            let mut random = self.random.lock().unwrap();
            let worker = self.workers[random.random_range(0..self.workers.len())].clone();
            let doubled = random.random_bool(0.05);
            (worker, doubled.then(|| random.random_range(0..3_000)))
        };
        if let Some(after) = doubled_after {
            // The same request comes again, from a network that kept it or from a sender whose answer was lost.
            let (worker, json) = (worker.clone(), json.clone());
            tokio::spawn(async move {
                sleep(Duration::from_millis(after)).await;
                drop(timeout(PATIENCE, exchange(&worker, &json)).await);
            });
        }
        let answer = match timeout(PATIENCE, exchange(&worker, &json)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(LinkError::unavailable(error.to_string())),
            Err(_) => return Err(LinkError::unavailable("no answer")),
        };
        match serde_json::from_slice(&answer).unwrap() {
            Answer::Done(value) => Ok(serde_json::from_value(value).unwrap()),
            Answer::Incomplete(lacking) => Err(LinkError::Incomplete(lacking)),
            Answer::Refused(why) => Err(LinkError::Refused(why)),
            Answer::Failed(why) => Err(LinkError::unavailable(why)),
        }
    }
}

async fn exchange(worker: &str, json: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((worker, PORT)).await?;
    write(&mut stream, json).await?;
    read(&mut stream).await
}

async fn write(stream: &mut TcpStream, json: &[u8]) -> std::io::Result<()> {
    stream.write_u32(u32::try_from(json.len()).unwrap()).await?;
    stream.write_all(json).await?;
    stream.flush().await
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut json = vec![0; length as usize];
    stream.read_exact(&mut json).await?;
    Ok(json)
}

#[async_trait]
impl RegionLink for SimLink {
    async fn lacking(&self, request: &LackingRequest) -> Result<Lacking, LinkError> {
        // Regions may be wrong about what they have: it must not be what a name is published on.
        if self.random.lock().unwrap().random_bool(0.05) {
            return Ok(Lacking::default());
        }
        self.ask(&Question::Lacking(request.clone())).await
    }

    async fn send_asset(
        &self,
        asset: &OwnedAsset,
        path: &str,
        body: OutgoingBody,
    ) -> Result<(), LinkError> {
        let pieces: Vec<Bytes> = body
            .try_collect()
            .await
            .map_err(|error| LinkError::unavailable(error.to_string()))?;
        let text = String::from_utf8(pieces.concat()).unwrap();
        self.ask(&Question::Asset(asset.clone(), path.to_owned(), text))
            .await
    }

    async fn send_snapshot(&self, document: &SnapshotDocument) -> Result<(), LinkError> {
        let json = String::from_utf8(document.json().to_vec()).unwrap();
        self.ask(&Question::Snapshot(json)).await
    }

    async fn names(&self, request: &NamesRequest) -> Result<NamesAnswer, LinkError> {
        self.ask(&Question::Names(request.clone())).await
    }

    async fn digest(&self, request: &DigestRequest) -> Result<DigestAnswer, LinkError> {
        self.ask(&Question::Digest(request.clone())).await
    }

    async fn fetch(&self, _: &OwnedAsset) -> Result<Option<IncomingBody>, LinkError> {
        Ok(None)
    }
}

/// Receives for ever.
pub(crate) async fn serve(stores: ReplicationStores, receiver: Receiver) -> turmoil::Result {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let (stores, receiver) = (stores.clone(), receiver.clone());
        tokio::spawn(async move {
            let answering = async {
                let question = read(&mut stream).await?;
                let question = serde_json::from_slice(&question).unwrap();
                let answer = match receive(&stores, &receiver, question).await {
                    Ok(value) => Answer::Done(value),
                    Err(ReceiveError::Missing(lacking)) => Answer::Incomplete(lacking),
                    Err(error @ (ReceiveError::Rejected(_) | ReceiveError::Invalid(_))) => {
                        Answer::Refused(error.to_string())
                    }
                    Err(error @ ReceiveError::Storage(_)) => Answer::Failed(error.to_string()),
                };
                write(&mut stream, &serde_json::to_vec(&answer).unwrap()).await
            };
            // Who asked may have left.
            drop(timeout(PATIENCE * 4, answering).await);
        });
    }
}

async fn receive(
    stores: &ReplicationStores,
    receiver: &Receiver,
    question: Question,
) -> Result<Value, ReceiveError> {
    let answer = match question {
        Question::Lacking(request) => serde_json::to_value(receiver.lacking(&request).await?),
        Question::Names(request) => serde_json::to_value(receiver.names(&request).await?),
        Question::Digest(request) => serde_json::to_value(receiver.digest(&request).await?),
        Question::Snapshot(json) => {
            let document = SnapshotDocument::parse(json.into_bytes()).unwrap();
            receiver.snapshot(document).await?;
            Ok(Value::Null)
        }
        Question::Asset(owned, path, text) => {
            let claim = Claim {
                asset: owned.asset,
                path: &path,
                path_is_listed: true,
                content_hash_too: false,
                check: HashCheck::Strict,
            };
            let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(text))]);
            match stores.assets.put(claim, body).await {
                Ok(_) => {}
                Err(PutError::Storage(error)) if error.kind() == ErrorKind::Unavailable => {
                    return Err(error.into());
                }
                Err(error) => return Err(ReceiveError::Invalid(error.to_string())),
            }
            receiver.asset_stored(&owned).await?;
            Ok(Value::Null)
        }
    };
    Ok(answer.unwrap())
}
