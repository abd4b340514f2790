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
//!
//! Stores that other regions are told of pass [`replicated_store_suite!`](crate::replicated_store_suite) as well, where
//! `fresh` gives a store that announces.
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
pub mod once;
pub mod ordering;
pub mod outbox;
pub mod ownership;
pub mod publishing;
pub mod queues;
pub mod removal;
mod sample;
pub mod snapshots;
pub mod states;

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt, future::BoxFuture};

use crate::{RecordStore, ReplicatedRecords};

/// A store under test.
pub type Store = Arc<dyn RecordStore>;
/// A store under test that announces.
pub type ReplicatedStore = Arc<dyn ReplicatedRecords>;

type Case<S> = fn(S) -> BoxFuture<'static, ()>;

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
            ownership::a_version_name_moves_when_it_moved_elsewhere
            ownership::a_name_that_became_a_version_stays_one
            ordering::local_time_never_goes_back
            ordering::times_beyond_any_clock_stay_exact
            ordering::a_replicated_publish_counts_only_if_newer
            ordering::a_superseded_publish_is_dropped_before_anything_else_is_asked
            ordering::every_order_of_arrival_ends_the_same
            removal::a_removed_name_answers_with_nothing
            removal::removing_what_is_not_there_changes_nothing
            removal::only_its_owner_removes_a_name
            removal::a_removed_name_belongs_to_nobody
            removal::local_time_never_goes_back_over_a_removal
            removal::a_replicated_removal_counts_only_if_newer
            removal::a_removal_is_remembered_where_there_was_no_name
            removal::changes_of_one_commit_see_removals
            removal::a_refused_commit_removes_nothing
            removal::publishes_and_removals_end_the_same_in_every_order
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

/// Like the one above, for stores that announce.
#[doc(hidden)]
#[macro_export]
macro_rules! __replicated_store_cases {
    ($($then:ident)::+ ! $($arguments:tt)*) => {
        $($then)::+! { $($arguments)*
            outbox::a_commit_is_one_event
            outbox::an_event_says_what_was_written
            outbox::what_changes_nothing_is_not_told
            outbox::what_another_region_told_is_not_told_on
            outbox::a_name_that_changes_twice_ends_as_it_is
            outbox::commits_at_the_same_time_are_events_of_their_own
            queues::each_target_has_its_own_queue
            queues::a_target_that_is_opened_later_is_told_of_what_is_kept
            queues::nothing_is_in_a_queue_that_is_not_open
            queues::two_takers_share_a_queue
            queues::what_was_taken_is_given_to_nobody_else
            queues::what_is_acknowledged_is_gone
            queues::a_dead_letter_keeps_its_event
            queues::dead_letters_can_be_retried
            queues::what_is_queued_for_one_target_is_for_no_other
            queues::a_queue_tells_how_it_stands
            queues::what_nobody_needs_is_not_lost
            queues::what_is_too_old_is_lost
            states::everything_that_was_written_is_a_state
            states::what_another_region_told_is_a_state_as_it_was_told
            states::many_states_are_all_told
            states::removals_are_forgotten_by_their_age
            once::a_one_time_name_is_used_once
            once::one_of_many_uses_a_name
            once::a_one_time_name_is_forgotten_in_time
            once::one_at_a_time_has_a_role
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

/// Like [`record_store_suite!`](crate::record_store_suite), of the cases for stores that announce.
#[macro_export]
macro_rules! replicated_store_suite {
    ($(#[$attribute:meta])* $fresh:path) => {
        $crate::__replicated_store_cases! {
            $crate::record_store_suite! @each [$(#[$attribute])*] $fresh;
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
    let cases: &[(&str, Case<Store>)] = &__record_store_cases!(list_cases!);
    for (name, case) in cases {
        finish(name, case(Arc::new(fresh().await))).await;
    }
}

/// Like [`run_all`], of the cases for stores that announce.
pub async fn run_all_replicated<S: ReplicatedRecords>(fresh: impl AsyncFn() -> S) {
    let cases: &[(&str, Case<ReplicatedStore>)] = &__replicated_store_cases!(list_cases!);
    for (name, case) in cases {
        finish(name, case(Arc::new(fresh().await))).await;
    }
}

async fn finish(name: &str, case: BoxFuture<'static, ()>) {
    let outcome = AssertUnwindSafe(case).catch_unwind().await;
    // What failed is in the message that the panic itself printed.
    assert!(outcome.is_ok(), "case `{name}` failed, see above");
}
