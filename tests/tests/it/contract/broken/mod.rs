//! Adapters that break the contract on purpose, and the proof that the suites find out: each check fails at least once.

mod baselines;
mod logs;
mod stores;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::baselines::CheckpointAdapter;
use super::log::LogAdapter;
use super::sinks::SinkAdapter;
use super::{Check, caught, sink_checks};
use crate::content::Role;
use stores::{BrokenSinks, Fault};

/// Asserts that every check of a suite is among those that were seen to fail.
fn covers<A>(checks: &[Check<A>], seen: impl IntoIterator<Item = &'static str>) {
    let seen: BTreeSet<&str> = seen.into_iter().collect();
    let unseen: Vec<&str> = checks.iter().map(|(name, _)| *name).filter(|name| !seen.contains(name)).collect();
    assert!(unseen.is_empty(), "no broken adapter shows that these checks can fail: {unseen:?}");
}

async fn sinks_catch(faults: &[(&'static str, Fault, &[Role])]) {
    for (check, fault, roles) in faults {
        for role in *roles {
            let adapter: Arc<dyn SinkAdapter> = Arc::new(BrokenSinks { role: *role, fault: *fault });
            caught(&adapter, sink_checks::CHECKS, check, &format!("{} {fault:?}", role.name())).await;
        }
    }
}

/// What each fault of a store makes fail, on which roles.
const STORES: [(&str, Fault, &[Role]); 26] = [
    ("the_log_that_a_store_is_filled_from_is_kept_and_no_other_takes_its_place", Fault::ForgetsItsLog, &Role::ALL),
    ("patterns_by_account_reach_the_stores_that_keep_them", Fault::PassesOverGaps, &[Role::Ledger, Role::Search]),
    ("replay_restores_lost_pattern_alerts", Fault::IgnoresReplays, &[Role::Ledger, Role::Search]),
    ("rows_and_position_become_visible_together", Fault::DropsARow, &Role::ALL),
    ("rows_and_position_become_visible_together", Fault::AcknowledgesEarly, &Role::ALL),
    ("writing_a_batch_again_changes_nothing", Fault::CountsCopies, &[Role::Ledger]),
    ("batches_cut_in_any_way_give_the_same_content", Fault::DropsARow, &[Role::Metrics]),
    ("a_lower_seq_is_a_copy_and_dropped", Fault::CountsCopies, &[Role::Ledger]),
    ("a_gap_is_fatal_and_leaves_the_store_as_it_was", Fault::HalfApplies, &Role::ALL),
    ("a_gap_is_fatal_and_leaves_the_store_as_it_was", Fault::PassesOverGaps, &[Role::Ledger]),
    ("an_unreadable_record_is_refused_and_once_buried_the_rest_goes_on", Fault::HalfApplies, &Role::ALL),
    ("an_unreadable_record_is_refused_and_once_buried_the_rest_goes_on", Fault::IgnoresRefusals, &[Role::Documents]),
    ("an_unreadable_record_may_end_its_batch", Fault::DropsARow, &[Role::Ledger]),
    ("a_record_of_another_partition_is_refused", Fault::IgnoresRefusals, &[Role::Metrics]),
    ("what_became_of_each_seq_adds_up", Fault::MiscountsDuplicates, &[Role::Ledger, Role::Search]),
    ("a_conflicting_transaction_id_is_refused", Fault::IgnoresRefusals, &[Role::Ledger, Role::Documents]),
    ("a_conflicting_transaction_id_is_refused", Fault::HalfApplies, &[Role::Ledger]),
    ("awkward_values_read_back_unchanged", Fault::CutsValues, &[Role::Ledger, Role::Documents, Role::Search]),
    ("reopening_goes_on_from_the_published_position", Fault::AcknowledgesEarly, &Role::ALL),
    ("what_was_not_published_may_come_again", Fault::AcknowledgesEarly, &[Role::Documents, Role::Search]),
    ("partitions_do_not_mix", Fault::DropsARow, &[Role::Search]),
    ("replay_restores_lost_rows_and_moves_no_position", Fault::IgnoresReplays, &Role::ALL),
    ("replay_adds_nothing_to_profiles", Fault::SpoilsProfiles, &[Role::Ledger]),
    ("a_buried_row_that_is_written_later_is_counted_once", Fault::IgnoresReplays, &[Role::Ledger]),
    ("writing_a_batch_again_changes_nothing", Fault::DropsARow, &[Role::Documents]),
    ("reopening_goes_on_from_the_published_position", Fault::DropsARow, &[Role::Metrics]),
];

fn of(fault: Fault) -> Vec<(&'static str, Fault, &'static [Role])> {
    STORES.iter().filter(|(_, found, _)| *found == fault).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_drops_a_row_is_found_out() {
    sinks_catch(&of(Fault::DropsARow)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_acknowledges_early_is_found_out() {
    sinks_catch(&of(Fault::AcknowledgesEarly)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_a_conflict_is_found_out() {
    sinks_catch(&of(Fault::IgnoresRefusals)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_half_applies_a_batch_is_found_out() {
    sinks_catch(&of(Fault::HalfApplies)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_with_other_faults_are_found_out() {
    for fault in [Fault::ForgetsItsLog, Fault::CountsCopies, Fault::PassesOverGaps, Fault::MiscountsDuplicates, Fault::CutsValues, Fault::IgnoresReplays, Fault::SpoilsProfiles] {
        sinks_catch(&of(fault)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_logs_are_found_out() {
    for (check, fault) in logs::FAULTS {
        let adapter: Arc<dyn LogAdapter> = Arc::new(logs::BrokenLogs(*fault));
        caught(&adapter, super::log::CHECKS, check, &format!("{fault:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_baselines_are_found_out() {
    for (check, fault) in baselines::FAULTS {
        let adapter: Arc<dyn CheckpointAdapter> = Arc::new(baselines::BrokenCheckpoints(*fault));
        caught(&adapter, super::baselines::CHECKS, check, &format!("{fault:?}")).await;
    }
    for (check, fault) in baselines::PATTERN_FAULTS {
        let adapter: Arc<dyn CheckpointAdapter> = Arc::new(baselines::BrokenCheckpoints(*fault));
        caught(&adapter, super::pattern_checkpoints::CHECKS, check, &format!("{fault:?}")).await;
    }
}

#[test]
fn every_check_of_every_suite_is_seen_to_fail() {
    covers(sink_checks::CHECKS, STORES.iter().map(|(check, _, _)| *check));
    covers(super::log::CHECKS, logs::FAULTS.iter().map(|(check, _)| *check));
    covers(super::baselines::CHECKS, baselines::FAULTS.iter().map(|(check, _)| *check));
    covers(super::pattern_checkpoints::CHECKS, baselines::PATTERN_FAULTS.iter().map(|(check, _)| *check));
}
