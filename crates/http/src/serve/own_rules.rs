//! The rules that a deployment brings along: where they stand in it, and how they get here.

use favonius_contract::{AssetRef, Snapshot};
use favonius_storage::AssetKey;

use super::{
    Question,
    media_type::file_name,
    pending::{self, Listed},
    resolve,
    rules::{HEADERS_FILE, REDIRECTS_FILE, Rules},
};
use crate::{
    deployments::Live,
    edge::{Ownership, Shared},
    failure::Failure,
};

/// Largest file of rules, in bytes. What is larger has no rules: to cut it off anywhere would change what they mean.
const LARGEST: u64 = 512 * 1024;
/// How many problems of one deployment are told one by one.
const TOLD: usize = 10;

/// Whether a snapshot has files of rules.
pub(crate) fn are_in(snapshot: &Snapshot) -> bool {
    find(snapshot, HEADERS_FILE).is_some() || find(snapshot, REDIRECTS_FILE).is_some()
}

/// Whether this path in a snapshot is that of such a file. They are for the edge, and nobody else gets them: those of other
/// services hold passwords.
pub(super) fn is_file(snapshot: &Snapshot, path: &str) -> bool {
    (path.ends_with(HEADERS_FILE) || path.ends_with(REDIRECTS_FILE))
        && matches!(file_name(path), HEADERS_FILE | REDIRECTS_FILE)
        && {
            let directory = path.strip_suffix(file_name(path)).unwrap_or_default();
            matches!(directory, "" | "client/") || Some(directory) == snapshot.base()
        }
}

/// About how many bytes of memory the rules of a snapshot take.
pub(crate) fn memory_bytes(snapshot: &Snapshot) -> usize {
    let sizes = [HEADERS_FILE, REDIRECTS_FILE]
        .into_iter()
        .filter_map(|name| Some(find(snapshot, name)?.1.size))
        .filter(|size| *size <= LARGEST);
    // Patterns and values, each with what holds them.
    usize::try_from(sizes.sum::<u64>() * 4).unwrap_or(usize::MAX)
}

/// The rules of a deployment. Until they are here it answers nothing: without its headers and redirects it would be half a
/// deployment.
pub(super) async fn of<'a>(
    edge: &Shared,
    live: &'a Live,
    question: Question<'_>,
) -> Result<&'a Rules, Failure> {
    if let Some(rules) = live.rules.get() {
        return Ok(rules);
    }
    question.wait().await;
    Box::pin(load(edge, live)).await
}

async fn load<'a>(edge: &Shared, live: &'a Live) -> Result<&'a Rules, Failure> {
    let headers = read(edge, live, HEADERS_FILE).await?;
    let redirects = read(edge, live, REDIRECTS_FILE).await?;
    let (rules, problems) = edge
        .off_thread(move || Rules::parse(headers.as_deref(), redirects.as_deref()))
        .await?;
    let mut is_first = false;
    let rules = live.rules.get_or_init(|| {
        is_first = true;
        rules
    });
    if is_first {
        let snapshot_id = live.snapshot().snapshot_id.as_str();
        for problem in problems.iter().take(TOLD) {
            tracing::warn!(snapshot_id, problem = %problem, "A rule of a deployment is left out");
        }
        if problems.len() > TOLD {
            let more = problems.len() - TOLD;
            tracing::warn!(snapshot_id, more, "More rules of a deployment are left out");
        }
    }
    Ok(rules)
}

/// The bytes of a file of rules, if there is one.
async fn read(edge: &Shared, live: &Live, name: &str) -> Result<Option<bytes::Bytes>, Failure> {
    let Some((path, asset)) = find(live.snapshot(), name) else {
        return Ok(None);
    };
    if asset.size > LARGEST {
        tracing::warn!(
            snapshot_id = live.snapshot().snapshot_id.as_str(),
            file = name,
            limit = LARGEST,
            "A file of rules is too large, and left out"
        );
        return Ok(None);
    }
    let look = || look(edge, live, asset, name);
    let listed = Listed {
        snapshot: live.snapshot(),
        path,
        asset,
    };
    pending::or_from_elsewhere(edge, listed, std::future::ready(()), look)
        .await
        .map(Some)
}

/// The same with what is in this region.
async fn look(
    edge: &Shared,
    live: &Live,
    asset: AssetRef,
    name: &str,
) -> Result<bytes::Bytes, Failure> {
    // What it says shows in headers, so another application's file is not read either.
    if let Some(held) = edge.memory.asset(asset).await?
        && may_read(edge, live, asset, held.key).await?
    {
        return Ok(held.bytes.clone());
    }
    Err(pending::failure(format!(
        "The file {name} of this version has not arrived on this edge yet: try again in a moment"
    )))
}

async fn may_read(
    edge: &Shared,
    live: &Live,
    asset: AssetRef,
    at: AssetKey,
) -> Result<bool, Failure> {
    if matches!(at, AssetKey::Legacy(_)) {
        return Ok(true);
    }
    let application = &live.snapshot().application_uid;
    Ok(edge.owns(application, asset).await? != Ownership::Foreign)
}

/// At the root of what browsers see, or in the directory that the build was made for.
fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Option<(&'a str, AssetRef)> {
    let at = |path: &str| {
        let (index, _) = resolve::exact(snapshot, path)?;
        snapshot.asset_at(index)
    };
    at(name).or_else(|| at(&format!("{}{name}", snapshot.base()?)))
}
