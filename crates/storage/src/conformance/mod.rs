//! The suite that every record store must pass.
//!
//! A case is an async function that takes a store of its own and panics when the store does not keep its promises. A
//! back end runs each as a test with [`record_store_suite!`](crate::record_store_suite), or all of them one after the
//! other with [`run_all`], for instance to run them over TLS as well.
//!
//! ```no_run
//! use favonius_storage::EmbeddedRecords;
//!
//! /// A store that nobody else uses, and whatever must live as long as it.
//! async fn fresh() -> (EmbeddedRecords, ()) {
//!     (EmbeddedRecords::in_memory().unwrap(), ())
//! }
//!
//! favonius_storage::record_store_suite!(fresh);
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite of tests: what goes wrong here is a failed test"
)]

pub mod assets;
pub mod atomic;
pub mod bytes;
pub mod changes;
pub mod naming;
pub mod ordering;
pub mod ownership;
pub mod publishing;
mod sample;
pub mod snapshots;

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt, future::BoxFuture};

use crate::RecordStore;

/// A store under test.
pub type Store = Arc<dyn RecordStore>;

type Case = fn(Store) -> BoxFuture<'static, ()>;

/// Hands the list of cases to a macro: the one place where they are listed.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_store_cases {
    ($($then:ident)::+ ! $($arguments:tt)*) => {
        $($then)::+! { $($arguments)*
            assets::each_application_knows_what_it_uploaded
            assets::an_asset_is_known_until_it_is_lost
            assets::asset_changes_of_one_commit_see_each_other
            assets::many_assets_are_listed_in_full
            snapshots::a_snapshot_is_kept_byte_for_byte
            snapshots::what_is_absent_is_none
            snapshots::the_same_bytes_again_change_nothing
            snapshots::other_bytes_under_the_same_id_are_refused
            snapshots::a_large_snapshot_is_served_whole
            snapshots::versions_come_newest_first
            publishing::a_name_answers_with_what_was_published
            publishing::all_names_of_a_commit_change_together
            publishing::an_unknown_snapshot_cannot_be_published
            publishing::publishing_the_same_again_changes_nothing
            publishing::a_manifest_belongs_to_one_publish
            publishing::an_older_snapshot_can_be_published_again
            publishing::history_is_newest_first_and_bounded
            publishing::later_changes_see_earlier_ones
            publishing::an_empty_commit_is_allowed
            ownership::a_name_belongs_to_who_published_first
            ownership::a_takeover_moves_a_name
            ownership::a_version_name_never_changes
            ownership::a_name_that_became_a_version_stays_one
            ordering::local_time_never_goes_back
            ordering::times_beyond_any_clock_stay_exact
            ordering::a_replicated_publish_counts_only_if_newer
            ordering::a_superseded_publish_is_dropped_before_anything_else_is_asked
            ordering::every_order_of_arrival_ends_the_same
            atomic::a_refused_commit_leaves_no_trace
            atomic::commits_at_the_same_time_do_not_mix
            atomic::one_of_two_wins_an_identity
            naming::odd_names_stay_apart
            naming::odd_snapshot_ids_stay_apart
            naming::odd_replica_names_are_kept
            naming::made_up_names_are_kept
            changes::commits_are_told
            changes::every_reader_is_told
            changes::a_store_that_works_passes_its_check
        }
    };
}

/// Makes a test of each case: `record_store_suite!(#[attribute] fresh)`, where `fresh` is an async function that gives a
/// store and whatever must live as long as it. The caller depends on tokio with its test macros.
#[macro_export]
macro_rules! record_store_suite {
    ($(#[$attribute:meta])* $fresh:path) => {
        $crate::__record_store_cases! {
            $crate::record_store_suite! @each [$(#[$attribute])*] $fresh;
        }
    };
    (@each $attributes:tt $fresh:path; $($module:ident :: $case:ident)+) => {
        $($crate::record_store_suite! { @case $attributes $fresh; $module $case })+
    };
    (@case [$(#[$attribute:meta])*] $fresh:path; $module:ident $case:ident) => {
        $(#[$attribute])*
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let (store, _keep) = $fresh().await;
            $crate::conformance::$module::$case(::std::sync::Arc::new(store)).await;
        }
    };
}

macro_rules! list_cases {
    ($($module:ident :: $case:ident)+) => {
        [$((concat!(stringify!($module), "::", stringify!($case)), |store| $module::$case(store).boxed())),+]
    };
}

/// Runs all cases one after the other, each with a store of its own.
pub async fn run_all<S: RecordStore>(fresh: impl AsyncFn() -> S) {
    let cases: &[(&str, Case)] = &__record_store_cases!(list_cases!);
    for (name, case) in cases {
        let store = Arc::new(fresh().await);
        let outcome = AssertUnwindSafe(case(store)).catch_unwind().await;
        // What failed is in the message that the panic itself printed.
        assert!(outcome.is_ok(), "case `{name}` failed, see above");
    }
}
