//! The suite for what [`Assets`] stand on: any `ObjectStore`.
//!
//! A case is an async function that takes an empty store and panics when assets in it do not keep their promises. A back
//! end runs each as a test with [`assets_suite!`](crate::assets_suite), or all of them one after the other with
//! [`run_all`].
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use object_store::{ObjectStore, memory::InMemory};
//!
//! /// A store that nobody else uses, and whatever must live as long as it.
//! fn fresh() -> (Arc<dyn ObjectStore>, ()) {
//!     (Arc::new(InMemory::new()), ())
//! }
//!
//! favonius_storage::assets_suite!(fresh);
//! ```

mod derived;
mod reading;
mod refusing;
mod storing;

use std::{
    collections::HashSet, convert::Infallible, ops::Range, panic::AssertUnwindSafe, sync::Arc,
};

use bytes::Bytes;
use favonius_contract::{AssetHash, AssetRef};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, future::BoxFuture, stream};
use object_store::ObjectStore;
use tokio_util::task::TaskTracker;

pub use derived::*;
pub use reading::*;
pub use refusing::*;
pub use storing::*;

use crate::{Assets, Claim, HashCheck, PutError, StorageError, Stored};

/// An empty store.
pub type Store = Arc<dyn ObjectStore>;

/// Larger than one part.
const LARGE: usize = 9 * 1024 * 1024;

/// Hands the list of cases to a macro: the one place where they are listed.
#[doc(hidden)]
#[macro_export]
macro_rules! __assets_cases {
    ($($then:ident)::+ ! $($arguments:tt)*) => {
        $($then)::+! { $($arguments)*
            what_is_stored_comes_back
            large_assets_come_back
            anything_in_any_pieces_comes_back
            wrong_bytes_leave_nothing
            wrong_bytes_of_a_large_asset_leave_nothing
            a_body_that_fails_leaves_nothing
            an_upload_that_is_dropped_leaves_nothing
            the_same_hash_with_another_size_is_another_asset
            known_assets_are_checked_all_the_same
            what_was_stored_first_stays
            a_large_asset_that_was_stored_first_stays
            a_hash_of_the_content_alone_may_be_allowed
            bytes_of_our_own_are_stored_once
            ranges_are_those_bytes
            an_object_of_another_length_is_corrupt
            an_object_under_the_hash_alone_is_found
            what_is_missing_is_told
            everything_is_listed_and_can_be_removed
            a_store_that_works_passes_its_check
            forms_stand_beside_their_assets
            a_form_is_replaced
            forms_go_with_their_asset
        }
    };
}

/// Makes a test of each case: `assets_suite!(#[attribute] fresh)`, where `fresh` is a function that gives an empty
/// store and whatever must live as long as it. The caller depends on tokio with its test macros.
#[macro_export]
macro_rules! assets_suite {
    ($(#[$attribute:meta])* $fresh:path) => {
        $crate::__assets_cases! { $crate::assets_suite! @each [$(#[$attribute])*] $fresh; }
    };
    (@each $attributes:tt $fresh:path; $($case:ident)+) => {
        $($crate::assets_suite! { @case $attributes $fresh; $case })+
    };
    (@case [$(#[$attribute:meta])*] $fresh:path; $case:ident) => {
        $(#[$attribute])*
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let (store, _keep) = $fresh();
            $crate::conformance::bytes::$case(store).await;
        }
    };
}

macro_rules! list_cases {
    ($($case:ident)+) => {
        [$((stringify!($case), |store| $case(store).boxed())),+]
    };
}

/// Runs all cases one after the other, each with an empty store: for servers that are slow to start.
pub async fn run_all(fresh: impl AsyncFn() -> Store) {
    type Case = fn(Store) -> BoxFuture<'static, ()>;
    let cases: &[(&str, Case)] = &__assets_cases!(list_cases!);
    for (name, case) in cases {
        let outcome = AssertUnwindSafe(case(fresh().await)).catch_unwind().await;
        // What failed is in the message that the panic itself printed.
        assert!(outcome.is_ok(), "case `{name}` failed, see above");
    }
}

fn assets_in(store: &Store) -> (Assets, TaskTracker) {
    let tasks = TaskTracker::new();
    (Assets::new(Arc::clone(store), tasks.clone()), tasks)
}

fn asset(content: &[u8], path: &str) -> AssetRef {
    AssetRef {
        hash: AssetHash::of(content, path),
        size: content.len() as u64,
    }
}

/// Bytes that differ at every place.
fn content(size: usize, seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

fn claim(asset: AssetRef, path: &str) -> Claim<'_> {
    Claim {
        asset,
        path,
        path_is_listed: false,
        content_hash_too: false,
        check: HashCheck::Strict,
    }
}

fn unchecked(asset: AssetRef, path: &str) -> Claim<'_> {
    Claim {
        check: HashCheck::Off,
        ..claim(asset, path)
    }
}

/// A body in pieces of at most this size.
fn body(content: &[u8], piece: usize) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let pieces: Vec<_> = content.chunks(piece).map(Bytes::copy_from_slice).collect();
    stream::iter(pieces).map(Ok)
}

async fn put(
    assets: &Assets,
    claim: Claim<'_>,
    content: &[u8],
) -> Result<Stored, PutError<Infallible>> {
    assets.put(claim, body(content, 100_000)).await
}

async fn read(
    assets: &Assets,
    asset: AssetRef,
    range: Option<Range<u64>>,
) -> Result<Option<Vec<u8>>, StorageError> {
    let Some(found) = assets.open(asset, range.clone()).await? else {
        return Ok(None);
    };
    assert_eq!(found.range, range.unwrap_or(0..asset.size));
    let pieces: Vec<Bytes> = found.bytes.try_collect().await?;
    Ok(Some(pieces.concat()))
}

/// The keys in the store, also those that are no assets.
async fn keys(store: &Store) -> HashSet<String> {
    let all: Vec<_> = store.list(None).try_collect().await.unwrap();
    all.into_iter()
        .map(|meta| meta.location.to_string())
        .collect()
}
