//! The contract of a store that a sink writes, check by check. Records are those of the generator, through intake and scorer.

use std::sync::Arc;

use serde_json::{Value, json};
use wh_eventlog::{Bytes, Stored};
use wh_schemas::Reaction;
use wh_schemas::alert::PATTERN_ROWS;
use wh_scorer::dedup::DEFAULT_HORIZON;
use wh_sinks::delivery::{Batch, Tally};

use super::Check;
use super::sinks::{Bench, SinkAdapter, alerts, batch, lasting, tally};
use crate::content::{Content, Role, assert_same, expected};
use crate::records::{alerting, awkward, moved, pattern_stream, score, scored, small_hospital, stream};

type Adapter = Arc<dyn SinkAdapter>;

/// The suite.
pub(super) const CHECKS: &[Check<Adapter>] = checks![
    the_log_that_a_store_is_filled_from_is_kept_and_no_other_takes_its_place,
    rows_and_position_become_visible_together,
    writing_a_batch_again_changes_nothing,
    batches_cut_in_any_way_give_the_same_content,
    a_lower_seq_is_a_copy_and_dropped,
    a_gap_is_fatal_and_leaves_the_store_as_it_was,
    an_unreadable_record_is_refused_and_once_buried_the_rest_goes_on,
    an_unreadable_record_may_end_its_batch,
    a_record_of_another_partition_is_refused,
    what_became_of_each_seq_adds_up,
    a_conflicting_transaction_id_is_refused,
    awkward_values_read_back_unchanged,
    reopening_goes_on_from_the_published_position,
    what_was_not_published_may_come_again,
    partitions_do_not_mix,
    replay_restores_lost_rows_and_moves_no_position,
    replay_adds_nothing_to_profiles,
    a_buried_row_that_is_written_later_is_counted_once,
    patterns_by_account_reach_the_stores_that_keep_them,
    replay_restores_lost_pattern_alerts,
];

/// Makes a record one that no store can read.
fn spoil(record: &mut Stored) {
    record.value = Bytes::from_static(b"{\"seq\":");
}

async fn the_log_that_a_store_is_filled_from_is_kept_and_no_other_takes_its_place(adapter: Adapter) {
    // The largest that there is.
    const MARK: u64 = (1 << 52) - 1;
    let (mut bench, records) = (Bench::new(&adapter).await, stream(0));
    assert_eq!(bench.store().log().await.unwrap(), None);
    assert_eq!(bench.store().bind(MARK).await.unwrap(), MARK);
    assert!(bench.open().await.is_empty() && bench.published().await.is_empty(), "it is no position");
    assert_eq!(bench.store().log().await.unwrap(), Some(MARK));
    assert_eq!(bench.store().bind(7).await.unwrap(), MARK);
    let claimed = bench.write(&records[..30]).await;
    bench.publish().await;
    assert_eq!(bench.published().await, [lasting(claimed)]);
    bench.open().await;
    assert_eq!(bench.store().log().await.unwrap(), Some(MARK), "rows change nothing about it");
    bench.holds(&records[..30]).await;
}

async fn rows_and_position_become_visible_together(adapter: Adapter) {
    let (mut bench, records) = (Bench::new(&adapter).await, stream(0));
    for cut in [0..40, 40..400, 400..1_050] {
        let claimed = bench.write(&records[cut.clone()]).await;
        what_can_be_read_is_what_is_said(&mut bench, &records).await;
        bench.publish().await;
        what_can_be_read_is_what_is_said(&mut bench, &records).await;
        assert_eq!(claimed.visible_seq, cut.end as u64);
        assert_eq!(bench.published().await, [lasting(claimed)]);
    }
}

async fn what_can_be_read_is_what_is_said(bench: &mut Bench, records: &[Stored]) {
    let visible = bench.published().await.first().map_or(0, |position| position.visible_seq);
    bench.holds(&records[..usize::try_from(visible).unwrap()]).await;
}

async fn writing_a_batch_again_changes_nothing(adapter: Adapter) {
    let (mut bench, records) = (Bench::new(&adapter).await, stream(0));
    let first = bench.write(&records[..1_020]).await;
    bench.publish().await;
    let again = bench.write(&records[..1_020]).await;
    bench.publish().await;
    assert_eq!(again, first);
    bench.holds(&records[..1_020]).await;
    // One that overlaps what is there.
    let further = bench.write(&records[500..1_050]).await;
    bench.publish().await;
    assert_eq!((further.visible_seq, further.tally), (1_050, tally(bench.role(), &records, further.next_seq)));
    bench.holds(&records[..1_050]).await;
}

async fn batches_cut_in_any_way_give_the_same_content(adapter: Adapter) {
    let records = stream(0);
    let mut reached = None;
    for size in [1, 7, 1_000] {
        let mut bench = Bench::new(&adapter).await;
        // What is cut lies around the end of a metrics block.
        bench.write(&records[..970]).await;
        for part in records[970..1_030].chunks(size) {
            bench.write(part).await;
        }
        let position = bench.write(&records[1_030..]).await;
        bench.publish().await;
        bench.holds(&records).await;
        assert_eq!(*reached.get_or_insert(position), position, "batches of {size}");
    }
}

async fn a_lower_seq_is_a_copy_and_dropped(adapter: Adapter) {
    let (mut bench, records) = (Bench::new(&adapter).await, stream(0));
    bench.write(&records[..1_010]).await;
    // A scorer that was killed emitted three again before it went on.
    let mut emitted = moved(&records[1_007..1_010], 1_010);
    emitted.extend(moved(&records[1_010..1_030], 1_013));
    let position = bench.write(&emitted).await;
    bench.publish().await;
    assert_eq!((position.visible_seq, position.visible_offset), (1_030, 1_033));
    assert_eq!(position.tally, tally(bench.role(), &records, position.next_seq));
    bench.holds(&records[..1_030]).await;
}

async fn a_gap_is_fatal_and_leaves_the_store_as_it_was(adapter: Adapter) {
    let (mut bench, records) = (Bench::new(&adapter).await, stream(0));
    bench.write(&records[..10]).await;
    bench.publish().await;
    let before = bench.published().await;
    let mut torn = records[10..18].to_vec();
    torn.extend_from_slice(&records[19..22]);
    for gap in [&records[12..20], &torn[..]] {
        let outcome = bench.store().write(batch(gap)).await;
        assert!(matches!(outcome, Err(Reaction::Fatal(_))), "{outcome:?}");
        bench.publish().await;
        assert_eq!(bench.published().await, before);
        bench.holds(&records[..10]).await;
    }
    bench.write(&records[10..100]).await;
    bench.publish().await;
    bench.holds(&records[..100]).await;
}

async fn an_unreadable_record_is_refused_and_once_buried_the_rest_goes_on(adapter: Adapter) {
    let (mut bench, mut records) = (Bench::new(&adapter).await, stream(0)[..1_050].to_vec());
    spoil(&mut records[900]);
    bench.write(&records[..10]).await;
    bench.publish().await;
    let before = bench.published().await;
    let mut rest = batch(&records[10..]);
    assert_eq!(bench.refused(rest.clone()).await.0, 900);
    bench.publish().await;
    assert_eq!(bench.published().await, before, "nothing was written");
    bench.holds(&records[..10]).await;
    rest.buried.insert(900);
    let position = bench.settle(rest).await;
    bench.publish().await;
    records.remove(900);
    let wanted = Tally { dead_letters: 1, ..tally(bench.role(), &records, position.next_seq) };
    assert_eq!((position.visible_seq, position.tally, position.tally.sum()), (1_050, wanted, position.next_seq));
    bench.holds(&records).await;
}

async fn an_unreadable_record_may_end_its_batch(adapter: Adapter) {
    for reopened in [false, true] {
        let (mut bench, mut records) = (Bench::new(&adapter).await, stream(0)[..1_050].to_vec());
        spoil(&mut records[19]);
        let mut first = batch(&records[..20]);
        first.buried.insert(19);
        bench.settle(first).await;
        bench.publish().await;
        let mut next = 20;
        if reopened {
            next = usize::try_from(bench.open().await[0].next_offset).unwrap();
        }
        // The runner buries again what it reads again.
        let mut rest = batch(&records[next..]);
        rest.buried.insert(19);
        let position = bench.settle(rest).await;
        bench.publish().await;
        records.remove(19);
        let wanted = Tally { dead_letters: 1, ..tally(bench.role(), &records, position.next_seq) };
        assert_eq!((position.visible_seq, position.tally), (1_050, wanted), "reopened: {reopened}");
        bench.holds(&records).await;
    }
}

async fn a_record_of_another_partition_is_refused(adapter: Adapter) {
    let (mut bench, mut records) = (Bench::new(&adapter).await, stream(0)[..20].to_vec());
    // A stranger's: it stands for no seq of this partition.
    records.insert(15, stream(1)[15].clone());
    let records = moved(&records, 0);
    let mut all = batch(&records);
    assert_eq!(bench.refused(all.clone()).await.0, 15);
    assert!(bench.published().await.is_empty(), "nothing was written");
    all.buried.insert(15);
    let position = bench.settle(all).await;
    bench.publish().await;
    assert_eq!((position.visible_seq, position.visible_offset), (20, 21));
    bench.holds(&stream(0)[..20]).await;
}

async fn what_became_of_each_seq_adds_up(adapter: Adapter) {
    let (mut bench, records) = (Bench::new(&adapter).await, stream(0));
    for cut in [0..333, 333..1_000, 1_000..1_060] {
        let position = bench.write(&records[cut]).await;
        assert_eq!(position.tally.sum(), position.next_seq);
        assert_eq!(position.tally, tally(bench.role(), &records, position.next_seq));
    }
    bench.publish().await;
    let position = bench.published().await[0];
    assert!(position.tally.duplicates > 10, "duplicates are told apart: {position:?}");
    assert_eq!(position.tally.sum(), position.next_seq);
}

async fn a_conflicting_transaction_id_is_refused(adapter: Adapter) {
    if !matches!(adapter.role(), Role::Ledger | Role::Documents) {
        // Aggregates and alerts are not kept by the id of a transaction.
        return;
    }
    let fresh = small_hospital(5, 3);
    let mut other: Value = serde_json::from_slice(&fresh[0]).unwrap();
    other["amount"] = json!(123_456.78);
    let lines = [&fresh[0], &fresh[1], &serde_json::to_vec(&other).unwrap(), &fresh[2], &fresh[0]].map(Clone::clone);
    // A scorer that remembers one id only: the store's keys decide what it cannot.
    let records = scored(0, &lines, 1);
    let mut bench = Bench::new(&adapter).await;
    let mut all = batch(&records);
    let (offset, class) = bench.refused(all.clone()).await;
    assert_eq!((offset, class.as_str()), (2, "transaction_id:conflict"));
    assert!(bench.published().await.is_empty(), "nothing was written");
    bench.holds(&[]).await;
    all.buried.insert(2);
    let position = bench.settle(all).await;
    bench.publish().await;
    assert_eq!(position.tally, Tally { stored: 3, duplicates: 1, dead_letters: 1, discarded: 0 });
    bench.holds(&[records[0].clone(), records[1].clone(), records[3].clone()]).await;
}

async fn awkward_values_read_back_unchanged(adapter: Adapter) {
    let records: Vec<Stored> = scored(0, &awkward(), DEFAULT_HORIZON).iter().map(alerting).collect();
    let mut bench = Bench::new(&adapter).await;
    bench.write(&records).await;
    bench.publish().await;
    bench.open().await;
    bench.holds(&records).await;
}

async fn reopening_goes_on_from_the_published_position(adapter: Adapter) {
    let (mut bench, records) = (Bench::new(&adapter).await, stream(0));
    let mut next = 0;
    for until in [10, 999, 1_000, 1_040] {
        let claimed = bench.write(&records[next..until]).await;
        bench.publish().await;
        let positions = bench.open().await;
        assert_eq!(positions, [lasting(claimed)]);
        assert_eq!(positions[0].visible_seq, until as u64);
        bench.holds(&records[..until]).await;
        next = usize::try_from(positions[0].next_offset).unwrap();
    }
    bench.write(&records[next..]).await;
    bench.publish().await;
    bench.holds(&records).await;
}

async fn what_was_not_published_may_come_again(adapter: Adapter) {
    let (mut bench, records) = (Bench::new(&adapter).await, stream(0));
    bench.write(&records[..500]).await;
    bench.publish().await;
    bench.write(&records[500..900]).await;
    let position = bench.open().await[0];
    assert!(position.visible_seq >= 500, "what was published stays: {position:?}");
    let position = bench.write(&records[usize::try_from(position.next_offset).unwrap()..]).await;
    bench.publish().await;
    assert_eq!(position.tally, tally(bench.role(), &records, position.next_seq));
    bench.holds(&records).await;
}

async fn partitions_do_not_mix(adapter: Adapter) {
    let (mut bench, zero, one) = (Bench::new(&adapter).await, stream(0), stream(1));
    let of_one = |records: &[Stored]| Batch { partition: 1, ..batch(records) };
    bench.write(&zero[..300]).await;
    bench.settle(of_one(&one[..500])).await;
    bench.publish().await;
    bench.write(&zero[300..600]).await;
    bench.settle(of_one(&one[500..510])).await;
    bench.publish().await;
    bench.holds(&[&zero[..600], &one[..510]].concat()).await;
    let reached: Vec<_> = bench.open().await.iter().map(|position| (position.partition, position.visible_seq)).collect();
    assert_eq!(reached, [(0, 600), (1, 510)]);
}

/// A store that took a thousand records and some, and then lost the rows of its first thousand seqs.
async fn robbed(adapter: &Adapter, records: &[Stored]) -> Bench {
    let mut bench = Bench::new(adapter).await;
    bench.write(records).await;
    bench.publish().await;
    bench.lose(0..1_000).await;
    bench
}

/// The rows that have a key of their own. A profile is an aggregate, which no key protects.
fn keyed(mut content: Content) -> Content {
    content.retain(|(id, _)| !id.starts_with("profile "));
    content
}

async fn replay_restores_lost_rows_and_moves_no_position(adapter: Adapter) {
    let records = stream(0);
    let mut bench = robbed(&adapter, &records).await;
    let before = bench.published().await;
    let wanted = keyed(expected(bench.role(), &records));
    assert!(bench.content().await.len() < wanted.len(), "rows were lost");
    for round in 0..2 {
        let written = bench.store().replay(batch(&records[..1_000])).await.unwrap();
        bench.publish().await;
        if matches!(bench.role(), Role::Ledger | Role::Documents) {
            let lost = tally(bench.role(), &records, 1_000).stored;
            assert_eq!(written, if round == 0 { lost } else { 0 }, "only what was lost is written");
        }
        assert_same(&keyed(bench.content().await), &wanted, adapter.name());
        assert_eq!(bench.published().await, before, "a replay moves no position");
    }
    assert_eq!(bench.open().await, before, "a replay moves no position");
}

async fn replay_adds_nothing_to_profiles(adapter: Adapter) {
    if adapter.role() != Role::Ledger {
        return;
    }
    let records = stream(0);
    let mut bench = robbed(&adapter, &records).await;
    bench.store().replay(batch(&records[..1_000])).await.unwrap();
    bench.publish().await;
    bench.holds(&records).await;
}

async fn a_buried_row_that_is_written_later_is_counted_once(adapter: Adapter) {
    if adapter.role() != Role::Ledger {
        return;
    }
    let (mut bench, records) = (Bench::new(&adapter).await, stream(0));
    let at = records.iter().rposition(|record| score(record).risk_score.is_some()).unwrap();
    let mut all = batch(&records);
    all.buried.insert(records[at].offset);
    let position = bench.settle(all).await;
    assert_eq!(position.tally.dead_letters, 1);
    // Its dead letter is sent again, and once more.
    let mut letter = batch(&records[at..=at]);
    letter.buried.insert(records[at].offset);
    for written in [1, 0] {
        assert_eq!(bench.store().replay(letter.clone()).await.unwrap(), written);
        bench.publish().await;
        bench.holds(&records).await;
    }
}

async fn patterns_by_account_reach_the_stores_that_keep_them(adapter: Adapter) {
    if !adapter.role().takes_patterns() {
        return;
    }
    let (mut bench, records) = (Bench::new(&adapter).await, pattern_stream());
    assert!(bench.patterns().await.is_empty(), "a new store stands nowhere");
    // A fifth is below an alert's score: a row of the ledger, and nothing to search for.
    let wanted = if adapter.role() == Role::Search { Tally { stored: 32, discarded: 8, ..Tally::default() } } else { Tally { stored: 40, ..Tally::default() } };
    // Alerts of transactions stand between: they have no seq, and are in no store by themselves.
    for cut in [0..11, 11..12, 12..records.len()] {
        let position = bench.settle(alerts(&records[cut.clone()])).await;
        bench.publish().await;
        bench.holds_patterns(&records[..cut.end]).await;
        assert_eq!((position.next_offset, position.tally.sum()), (cut.end as u64, position.next_seq));
    }
    let position = bench.patterns().await[0];
    assert_eq!((position.partition, position.visible_seq, position.tally), (0, 40, wanted));
    // Copies change nothing, and reopening goes on from there.
    bench.settle(alerts(&moved(&records[20..], records.len() as u64))).await;
    bench.publish().await;
    bench.holds_patterns(&records).await;
    bench.open().await;
    assert_eq!(bench.patterns().await[0].next_seq, 40);
    assert!(bench.published().await.is_empty(), "the scored stream stands nowhere");
    // A gap stops.
    let (mut fresh, patterns) = (Bench::new(&adapter).await, records.iter().filter(|record| expected_pattern(record)).cloned().collect::<Vec<_>>());
    fresh.settle(alerts(&patterns[..2])).await;
    let outcome = fresh.store().write(alerts(&patterns[3..])).await;
    assert!(matches!(outcome, Err(Reaction::Fatal(_))), "{outcome:?}");
    // What cannot be read is refused, and the rest goes on once it is buried.
    let mut spoilt = patterns[2..].to_vec();
    spoil(&mut spoilt[1]);
    let mut rest = alerts(&spoilt);
    let (offset, class) = fresh.refused(rest.clone()).await;
    assert_eq!((offset, class.as_str()), (spoilt[1].offset, "record:unreadable"));
    rest.buried.insert(offset);
    let position = fresh.settle(rest).await;
    assert_eq!((position.next_seq, position.tally.dead_letters), (40, 1));
}

fn expected_pattern(record: &Stored) -> bool {
    serde_json::from_slice::<Value>(&record.value).unwrap().get("pattern").is_some()
}

async fn replay_restores_lost_pattern_alerts(adapter: Adapter) {
    if !adapter.role().takes_patterns() {
        return;
    }
    let (mut bench, records) = (Bench::new(&adapter).await, pattern_stream());
    bench.settle(alerts(&records)).await;
    bench.publish().await;
    let before = bench.patterns().await;
    bench.lose_of(PATTERN_ROWS, 0..20).await;
    for _ in 0..2 {
        bench.store().replay(alerts(&records)).await.unwrap();
        bench.publish().await;
        bench.holds_patterns(&records).await;
        assert_eq!(bench.patterns().await, before, "a replay moves no position");
    }
}
