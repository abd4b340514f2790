//! Version skew: a page that was loaded before a publish asks for the chunks of the build that it came from.
//!
//! Only what stands under a name of its own in that build is given: nothing by which a browser learns of a deployment (pages,
//! manifests, service workers), which would bring the old one back.

use std::sync::Arc;

use favonius_storage::StorageError;

use super::{Question, resolve};
use crate::{deployments::Live, edge::Shared};

/// The newest deployment before this one that has the path, with the index of the asset there.
///
/// Where the record store cannot tell, the present is all there is: a file that is missing is then missing, and not an outage.
pub(super) async fn find(
    edge: &Shared,
    live: &Arc<Live>,
    path: &str,
    question: Question<'_>,
) -> Option<(Arc<Live>, usize)> {
    if path.is_empty() || path.ends_with('/') {
        return None;
    }
    let read;
    let past = if let Some(past) = live.past() {
        past
    } else {
        question.wait().await;
        read = Box::pin(edge.deployments.past(live))
            .await
            .inspect_err(|error| cannot_tell(live, error))
            .ok()?;
        &*read
    };
    for id in past {
        let mut old = edge.deployments.known_version(id);
        if old.is_none() {
            question.wait().await;
            old = Box::pin(edge.deployments.version(id))
                .await
                .inspect_err(|error| cannot_tell(live, error))
                .ok()
                .flatten();
        }
        let Some(old) = old else {
            continue;
        };
        let index = resolve::exact(old.snapshot(), path).filter(|&(index, asset_path)| {
            old.build
                .facts(index, asset_path)
                .is_some_and(|facts| !facts.changes_under_its_name())
        });
        if let Some((index, _)) = index {
            return Some((old, index));
        }
    }
    None
}

fn cannot_tell(live: &Live, error: &StorageError) {
    tracing::debug!(
        snapshot_id = live.snapshot().snapshot_id.as_str(),
        error = error as &dyn std::error::Error,
        "The deployments before this one cannot be read"
    );
}
