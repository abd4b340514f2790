//! An asset that was found for a request: what is said of it, and whether it may be given.

use favonius_contract::AssetRef;
use favonius_storage::AssetKey;
use http::{HeaderMap, HeaderValue};

use super::{
    Question,
    cache_policy::Policy,
    conditional::LastModified,
    facts::Facts,
    head::{Carried, Particulars},
    pending,
    resolve::Role,
    rules::{self, Rules},
};
use crate::{
    deployments::Live,
    edge::{Ownership, Shared},
    failure::Failure,
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
    /// When it was built, if that can be told.
    pub(super) modified: Option<(LastModified, &'a HeaderValue)>,
    /// What stands before paths on this origin.
    pub(super) prefix: &'a str,
    pub(super) question: Question<'a>,
    /// What the deployment says of its headers, and the path that it says it for.
    pub(super) rules: (&'a Rules, &'a str),
}

impl Found<'_> {
    /// The header of an answer with this, and with what the application adds to it.
    pub(super) fn head(&self, etag: &HeaderValue, carried: Carried<'_>) -> HeaderMap {
        let policy = match self.role {
            Role::NotFoundPage => Policy::Discard,
            // It stands for a path that is not its own, whose name says nothing of what is there.
            Role::Shell => Policy::Revalidate,
            Role::Named => self.facts.policy(self.version_name),
        };
        let mut headers = self.facts.kind().heads.head(
            policy,
            &Particulars {
                carried,
                etag,
                modified: self.modified.map(|(_, modified)| modified),
                deployment: &self.live.build.shown_id,
            },
        );
        self.apply_rules(&mut headers);
        headers
    }

    fn apply_rules(&self, headers: &mut HeaderMap) {
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
            Some(key) => self.is_known_to_be_own(key) || self.is_own(edge).await?,
        };
        if is_own { Ok(()) } else { Err(Self::pending()) }
    }

    /// Whether that the asset is the application's own need not be asked.
    pub(super) fn is_known_to_be_own(&self, key: AssetKey) -> bool {
        // Uploads of another worker have no owner on record, and a manifest was made here.
        matches!(key, AssetKey::Legacy(_))
            || self.facts.is_owned()
            || self.live.manifest() == Some(self.asset)
    }

    async fn is_own(&self, edge: &Shared) -> Result<bool, Failure> {
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
