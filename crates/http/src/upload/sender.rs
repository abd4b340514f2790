//! Who sends something to be written, and whether they may.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use favonius_auth::{Forbidden, Refusal, Unauthenticated, WriteToken, request_digest};
use favonius_replication::Replicator;
use http::{HeaderMap, StatusCode, request::Parts};

use super::{Incoming, incoming::Document};
use crate::{bearer::bearer, edge::Shared, failure::Failure};

/// Bodies beyond this are hashed and parsed away from the threads that serve.
pub(super) const LARGE: usize = 256 * 1024;
/// For how much longer than it is valid the id of a token is remembered: the store may be slow to tell whether it was used, and
/// workers of a region read different clocks.
const REMEMBERED_LONGER: Duration = Duration::from_mins(1);

/// Verifies who sends a request.
pub(crate) fn authenticate(edge: &Shared, headers: &HeaderMap) -> Result<WriteToken, Failure> {
    let given = ["can_write_jwt", "can-write-jwt"]
        .into_iter()
        .find_map(|name| headers.get(name));
    let token = match given {
        Some(value) => Some(value.as_bytes()),
        None => bearer(headers),
    };
    let Some(token) = token else {
        return Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "The request has no can_write_jwt header. The usual cause is a proxy that drops headers with an underscore: \
             allow them there, or send can-write-jwt or Authorization: Bearer",
        )
        .refusal(Unauthenticated::Missing.as_str()));
    };
    // What is no text is no token: the verifier refuses it like any other wrong one.
    let token = str::from_utf8(token).unwrap_or_default();
    Ok(edge.verifier.verify(token.trim(), now_s(edge))?)
}

fn now_s(edge: &Shared) -> u64 {
    edge.clock.now_ms() / 1000
}

/// Who sends an upload.
pub(super) struct Sender<'a> {
    pub(super) token: WriteToken,
    /// What takes part in replication, where the token is another region's for this request.
    replication: Option<&'a Replicator>,
    edge: &'a Shared,
    request: &'a Parts,
}

impl<'a> Sender<'a> {
    /// Whoever the token stands for. If that is another region, for one request, it is admitted only when the request is known
    /// whole: with [`document`](Self::document) or [`admit`](Self::admit).
    pub(super) fn of(edge: &'a Shared, request: &'a Parts) -> Result<Self, Failure> {
        let sender = Self::known(edge, request)?;
        let checked = sender.token.check_many_times(now_s(edge));
        checked.map_err(Refusal::from)?;
        Ok(sender)
    }

    fn known(edge: &'a Shared, request: &'a Parts) -> Result<Self, Failure> {
        let token = authenticate(edge, &request.headers)?;
        let mut replication = None;
        if token.is_one_time() {
            let ours = edge.replication.as_ref().ok_or_else(off)?;
            token
                .check_one_time(&ours.options().replica, now_s(edge))
                .map_err(Refusal::from)?;
            replication = Some(ours);
        }
        Ok(Self {
            token,
            replication,
            edge,
            request,
        })
    }

    /// Another region, with a token for this request.
    pub(super) fn region(
        edge: &'a Shared,
        request: &'a Parts,
    ) -> Result<(Self, &'a Replicator), Failure> {
        let sender = Self::known(edge, request)?;
        if sender.token.replica().is_none() {
            return Err(Forbidden::NotReplica.into());
        }
        match sender.replication {
            Some(replication) => Ok((sender, replication)),
            None => Err(Refusal::from(Unauthenticated::NotBound).into()),
        }
    }

    /// The name of the region's replica and what takes part in replication, if it is another region with a token for this request.
    pub(super) fn as_region(&self) -> Option<(&str, &'a Replicator)> {
        Some((self.token.replica()?, self.replication?))
    }

    pub(super) fn headers(&self) -> &'a HeaderMap {
        &self.request.headers
    }

    /// Reads the whole body, which is JSON, and admits the sender.
    pub(super) async fn document(&self, body: &mut Incoming<'_>) -> Result<Document, Failure> {
        let limit = self.edge.options.snapshot_max_bytes;
        let document = body.whole(limit, &self.edge.document_memory).await?;
        if self.replication.is_none() {
            return Ok(document);
        }
        let hashed = move || {
            let hash = hex::encode(digest(&SHA256, &document.json));
            (document, hash)
        };
        let (document, hash) = if body.taken() > LARGE as u64 {
            self.edge.off_thread(hashed).await?
        } else {
            hashed()
        };
        self.admit(Some(&hash)).await?;
        Ok(document)
    }

    /// The last check: the token is for this request, whose body has this SHA-256 where that is part of it, and nobody has used it.
    ///
    /// It has to be valid still: a body may come slowly, and when the token has expired its id is forgotten soon.
    pub(super) async fn admit(&self, body_sha256: Option<&str>) -> Result<(), Failure> {
        let (Some(replication), Some(id)) = (self.replication, &self.token.token_id) else {
            return Ok(());
        };
        let uri = &self.request.uri;
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
        let digest = request_digest(self.request.method.as_str(), path_and_query, body_sha256);
        let now_s = now_s(self.edge);
        let checked = self.token.check_request(&digest);
        let checked = checked.and_then(|()| self.token.check_unexpired(now_s));
        checked.map_err(Refusal::from)?;
        let remember = self.token.valid_for(now_s) + REMEMBERED_LONGER;
        if replication.receiver().use_once(id, remember).await? {
            Ok(())
        } else {
            Err(Refusal::from(Unauthenticated::Replayed).into())
        }
    }
}

/// Another region sends, and nothing is exchanged with others here.
pub(super) fn off() -> Failure {
    Failure::new(
        StatusCode::NOT_IMPLEMENTED,
        "unsupported_upload_type",
        "This edge takes nothing from other regions: give it a name with ZE_WORKER_REPLICA_NAME",
    )
}

/// On the port of a relay only other regions send.
pub(super) fn refuse_people(edge: &Shared, headers: &HeaderMap) -> Result<(), Failure> {
    let token = authenticate(edge, headers)?;
    if token.replica().is_none() {
        return Err(Forbidden::NotReplica.into());
    }
    Ok(())
}
