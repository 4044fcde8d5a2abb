//! Records in, lines out.

use std::collections::BTreeSet;
use std::sync::Arc;

use wh_eventlog::{Bytes, Stored};
use wh_schemas::topics::RISK_SCORES;

use super::*;

const FOR_EVER: i64 = i64::MIN;

fn record(seq: u64, timestamp: &str, department: &str, score: u8) -> Stored {
    let level = RiskLevel::of(score).as_str();
    let department = serde_json::to_string(department).unwrap();
    let value = format!(
        r#"{{"partition":2,"seq":{seq},"timestamp":"{timestamp}","department":{department},"transaction_type":"billing","amount":1.50,"risk_score":{score},"risk_level":"{level}","other":[1]}}"#
    );
    Stored { offset: seq + 10, append_time: 0, key: None, value: Bytes::from(value), headers: Vec::new() }
}

fn batch(records: Vec<Stored>) -> Batch {
    Batch { topic: RISK_SCORES.into(), partition: 2, records: Arc::new(records), buried: BTreeSet::new() }
}

fn at(next_seq: u64) -> StorePosition {
    StorePosition { partition: 2, next_seq, next_offset: next_seq + 10, ..StorePosition::default() }
}

fn text(lines: &Lines) -> String {
    String::from_utf8(lines.part(&(0..lines.len())).to_vec()).unwrap()
}

fn summed(records: Vec<Stored>) -> String {
    let mut lines = Lines::default();
    for block in take_again(&batch(records), FOR_EVER).0 {
        block.write(true, &mut lines);
    }
    text(&lines)
}

#[test]
fn a_point_is_the_sum_of_its_second_in_its_block() {
    let at_noon = "2026-01-01T12:00:00.5Z";
    let records = vec![record(17_000, at_noon, "A, B=C", 10), record(17_001, "2026-01-01T12:00:00.9Z", "A, B=C", 30), record(17_002, at_noon, "", 90)];
    assert_eq!(
        summed(records),
        "throughput,department=%,partition=2,risk_level=high,transaction_type=billing alerts=1i,amount_sum=150i,score_max=90i,score_sum=90i,transactions=1i 1767268800000000017\n\
         throughput,department=A\\,\\ B\\=C,partition=2,risk_level=low,transaction_type=billing alerts=0i,amount_sum=300i,score_max=30i,score_sum=40i,transactions=2i 1767268800000000017\n"
    );
}

#[test]
fn years_without_a_time_of_their_own_keep_their_second() {
    let lines = summed(vec![record(0, "0001-01-01T00:00:01Z", "IT", 1), record(1, "0001-01-01T00:00:00Z", "IT", 1), record(2, "9999-12-31T23:59:59Z", "IT", 1)]);
    let found: Vec<&str> = lines.lines().collect();
    assert!(
        found[0].starts_with("throughput_out_of_range,department=IT,") && found[0].contains(" second=-62135596800i,block=0i,") && found[0].ends_with(" -9223372036000000000"),
        "{lines}"
    );
    assert!(found[1].contains("second=-62135596799i") && found[1].ends_with(" -9223372035999999999"), "{lines}");
    assert!(found[2].contains("second=253402300799i") && found[2].ends_with(" 9223371035000000000"), "{lines}");
}

#[test]
fn only_what_is_new_is_written_of_an_open_block() {
    let mut block = Block::of(2, 0);
    let write = |block: &Block, all: bool| {
        let mut lines = Lines::default();
        block.write(all, &mut lines);
        lines.len()
    };
    let rows = [
        record(0, "2026-01-01T00:00:00Z", "IT", 1),
        record(1, "0001-01-02T00:00:00Z", "IT", 1),
        record(2, "2026-01-01T00:00:01Z", "IT", 1),
        record(3, "0001-01-01T00:00:00Z", "IT", 1),
    ];
    let row = |at: usize| serde_json::from_slice::<Row<'_>>(&rows[at].value).unwrap();
    block.add(&row(0));
    block.add(&row(1));
    assert_eq!((write(&block, false), write(&block, true)), (2, 2));
    block.mark(false);
    assert_eq!((write(&block, false), write(&block, true)), (0, 2));
    block.add(&row(2));
    assert_eq!(write(&block, false), 1);
    block.mark(false);
    // It comes before the other one out of range, which moves.
    block.add(&row(3));
    assert_eq!(write(&block, false), 2);
}

#[test]
fn a_batch_closes_blocks_and_moves_the_position_to_their_ends() {
    let records: Vec<Stored> = (998..1_003).map(|seq| record(seq, "2026-01-01T00:00:00Z", "IT", 1)).collect();
    let records = batch(records);
    let taken = take(&records, &at(998), 0, FOR_EVER).unwrap();
    let closed: Vec<usize> = taken.steps.iter().enumerate().filter(|(_, step)| matches!(step, Step::Close(_))).map(|(at, _)| at).collect();
    assert_eq!((closed.as_slice(), taken.steps.len(), taken.reading.next_seq, taken.reading.tally.stored), ([2].as_slice(), 6, 1_003, 5));
    let Some(Step::Close(position)) = taken.steps.get(2) else { panic!("it closes") };
    assert_eq!((position.next_seq, position.next_offset, position.tally.stored), (1_000, 1_010, 2));
}

#[test]
fn a_block_is_closed_by_the_first_row_of_a_later_one_whatever_was_buried_between() {
    let records = batch(vec![record(1_001, "2026-01-01T00:00:00Z", "IT", 1)]);
    // Seq 1,000 was buried at the end of the batch before.
    let taken = take(&records, &at(1_001), 0, FOR_EVER).unwrap();
    assert!(matches!(taken.steps.as_slice(), [Step::Close(position), Step::Add(_)] if position.next_seq == 1_001));
}

#[test]
fn rows_beyond_retention_are_left_out_on_purpose() {
    let records = batch(vec![record(0, "2020-01-01T00:00:00Z", "IT", 1), record(1, "2026-01-01T00:00:00Z", "IT", 1)]);
    let taken = take(&records, &at(0), 0, 1_700_000_000).unwrap();
    assert_eq!((taken.steps.len(), taken.reading.tally), (1, Tally { stored: 1, discarded: 1, ..Tally::default() }));
}

#[test]
fn a_department_that_fits_no_tag_is_refused() {
    let records = batch(vec![record(0, "2026-01-01T00:00:00Z", &"x".repeat(20_000), 1)]);
    let Err(Halt::Refused(refused)) = take(&records, &at(0), 0, FOR_EVER) else { panic!("it is refused") };
    assert_eq!((refused.offset, refused.class), (10, "department:too_long"));
}

#[test]
fn what_comes_twice_is_summed_once() {
    let one = record(5, "2026-01-01T00:00:00Z", "IT", 1);
    let again = Stored { offset: 99, ..one.clone() };
    assert!(summed(vec![one, again]).contains("transactions=1i"));
}

#[test]
fn lines_are_cut_where_they_end() {
    let mut lines = Lines::default();
    for n in 0..5 {
        lines.push(|line| writeln!(line, "l{n}"));
    }
    assert_eq!((lines.part(&(1..3)), lines.part(&(0..0)), lines.part(&(4..5))), (b"l1\nl2\n".as_slice(), b"".as_slice(), b"l4\n".as_slice()));
    let first = lines.split_first(2);
    assert_eq!((text(&first).as_str(), text(&lines).as_str()), ("l0\nl1\n", "l2\nl3\nl4\n"));
    lines.append(&first);
    assert_eq!((text(&lines).as_str(), lines.part(&(3..4))), ("l2\nl3\nl4\nl0\nl1\n", b"l0\n".as_slice()));
    assert_eq!((lines.split_first(9).len(), lines.is_empty()), (5, true));
}
