//! The engine in its place, cut and restored anywhere: the same records under the same seqs.

use wh_schemas::json::Text;
use wh_schemas::position::SeqPosition;
use wh_schemas::time::{DAY, HOUR};
use wh_schemas::{Alert, Cents, Micros, TransactionType};

use super::*;

const MONDAY: i64 = 1_767_571_200_000_000;

/// Money that goes round three accounts, moved by two users, `rounds` times over accounts of their own; then a day later one more event each.
fn input(rounds: u64) -> Vec<Stored> {
    let mut rows: Vec<(i64, u32, TransactionType, String, Option<String>)> = Vec::new();
    for day in (0..=9).step_by(3) {
        for user in 0..2 {
            rows.push((day * DAY + i64::from(user), user, TransactionType::Billing, format!("own {user}"), None));
        }
    }
    for round in 0..rounds {
        for (hop, (from, to)) in [("A", "B"), ("B", "C"), ("C", "A")].into_iter().enumerate() {
            let at = 9 * DAY + i64::try_from(round).unwrap() * HOUR + i64::try_from(hop).unwrap() * HOUR / 4;
            rows.push((at + 60, u32::from(hop == 1), TransactionType::Transfer, format!("{from} {round}"), Some(format!("{to} {round}"))));
        }
    }
    for user in 0..2 {
        rows.push((11 * DAY, user, TransactionType::Billing, format!("own {user}"), None));
    }
    let mut newest = [MONDAY; 2];
    let stored = |(offset, (at, user, kind, account, counterparty)): (u64, (i64, u32, TransactionType, String, Option<String>))| {
        let newest = &mut newest[user as usize];
        *newest = (*newest).max(MONDAY + at);
        let activity = Activity {
            schema_version: 1,
            transaction_id: Text::from(format!("t-{offset}")),
            timestamp: Micros(MONDAY + at),
            user_id: Text::from(format!("U{user}")),
            account_id: Text::from(account),
            counterparty_account: counterparty.map(Text::from),
            department: Text::from("Finance"),
            transaction_type: kind,
            amount: Cents(950_000),
            risk_score: 10,
            partition: user,
            seq: offset,
            stream_time: Micros(*newest),
            implausible: false,
        };
        Stored { offset, append_time: 0, key: None, value: serde_json::to_vec(&activity).unwrap().into(), headers: Vec::new() }
    };
    (0..).zip(rows).map(stored).collect()
}

fn begun(standing: Standing, next_seq: Seq) -> Running {
    Running::begun(AccountRules::default(), "log".to_owned(), standing, next_seq, 0, 2)
}

/// What a checkpoint of it now reads back as.
fn kept(running: &mut Running, unsaved: &mut Unsaved, before: &PatternCheckpoint) -> PatternCheckpoint {
    running.changed(unsaved);
    let delta = unsaved.delta(1, running.position, running.record.clone());
    let mut accounts: BTreeMap<String, Vec<u8>> = before.accounts.iter().cloned().collect();
    accounts.retain(|name, _| !delta.removed.contains(name));
    accounts.extend(delta.accounts);
    unsaved.clear();
    PatternCheckpoint { position: delta.position, record: delta.record, header: delta.header, accounts: accounts.into_iter().collect() }
}

fn standing_of(records: &[Record]) -> Standing {
    let ids = records.iter().map(|record| (position(record).seq, record.key.clone().unwrap())).collect();
    Standing { ids, end: records.len() as u64 }
}

fn position(record: &Record) -> SeqPosition {
    serde_json::from_slice::<Alert<'_>>(&record.value).unwrap().position.unwrap()
}

#[test]
fn a_round_trip_over_two_partitions_is_found_and_numbered() {
    let mut running = begun(Standing::default(), 0);
    let out = running.take(&input(3));
    assert!(out.records.len() >= 3 && out.unreadable.is_empty(), "{} patterns", out.records.len());
    let seqs: Vec<u64> = out.records.iter().map(|record| position(record).seq).collect();
    assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>());
    let counts = running.record.counts;
    assert_eq!((counts.taken, counts.patterns, running.awaited()), (input(3).len() as u64, out.records.len() as u64, 2));
    let is_round_trip = |record: &&Record| serde_json::from_slice::<Alert<'_>>(&record.value).unwrap().alert_type.as_str() == "round_trip";
    assert_eq!(out.records.iter().filter(is_round_trip).count(), 3);
}

#[test]
fn what_is_restored_anywhere_emits_the_same_and_nothing_twice() {
    let records = input(3);
    let wanted = begun(Standing::default(), 0).take(&records).records;
    for cut in 0..records.len() {
        for crash in [cut, (cut + 3).min(records.len())] {
            let (mut first, mut unsaved) = (begun(Standing::default(), 0), Unsaved::default());
            let mut log = first.take(&records[..cut]).records;
            let checkpoint = kept(&mut first, &mut unsaved, &PatternCheckpoint::default());
            // Goes on without a checkpoint, and is killed.
            log.extend(first.take(&records[cut..crash]).records);
            let mut second = Running::restored(AccountRules::default(), checkpoint, standing_of(&log), 2).unwrap();
            log.extend(second.take(&records[cut..]).records);
            assert_eq!(log, wanted, "checkpoint behind {cut}, killed behind {crash}");
        }
    }
}

#[test]
fn a_decision_is_taken_at_the_same_record_by_whoever_goes_on() {
    // The second partition brings nothing for long: it is let go in the middle.
    let records = input(3);
    let at = records.len() - 2;
    let run = |mut running: Running| {
        let mut emitted = running.decide().records;
        emitted.extend(running.take(&records[at..]).records);
        emitted
    };
    let (mut first, mut unsaved) = (begun(Standing::default(), 0), Unsaved::default());
    let before = first.take(&records[..at]).records;
    first.record.pending = vec![Decision { partition: 1, awaited: false }];
    let checkpoint = kept(&mut first, &mut unsaved, &PatternCheckpoint::default());
    let wanted = run(first);
    let restored = Running::restored(AccountRules::default(), checkpoint.clone(), standing_of(&before), 2).unwrap();
    assert_eq!(run(restored), wanted);
    // All of it stood already.
    let all = [before, wanted].concat();
    let restored = Running::restored(AccountRules::default(), checkpoint, standing_of(&all), 2).unwrap();
    assert!(run(restored).is_empty());
}

#[test]
fn a_state_that_was_lost_is_rebuilt_and_what_stands_is_not_emitted_again() {
    let records = input(3);
    let wanted = begun(Standing::default(), 0).take(&records).records;
    let mut anew = begun(standing_of(&wanted[..2]), 1);
    assert!(anew.record.rebuilding && anew.position.next_seq == 2);
    let emitted = anew.take(&records).records;
    assert_eq!(emitted, wanted[2..]);
    assert!(!anew.record.rebuilding && anew.record.output_offset == 2);
    // Where even the output is gone, the group's note says what comes next.
    assert_eq!(begun(Standing::default(), 7).position.next_seq, 7);
}

#[test]
fn where_something_else_stands_it_goes_on_behind() {
    let records = input(3);
    let wanted = begun(Standing::default(), 0).take(&records).records;
    let mut other = begun(Standing::default(), 0);
    let checkpoint = kept(&mut other, &mut Unsaved::default(), &PatternCheckpoint::default());
    let mut standing = standing_of(&wanted);
    standing.ids.insert(0, Bytes::from_static(b"another"));
    let mut restored = Running::restored(AccountRules::default(), checkpoint, standing, 2).unwrap();
    let emitted = restored.take(&records).records;
    // The first one stands nowhere, the others do.
    assert_eq!(emitted.iter().map(|record| (position(record).seq, record.key.clone())).collect::<Vec<_>>(), [(wanted.len() as u64, wanted[0].key.clone())]);
}

#[test]
fn copies_and_strangers_are_told_apart() {
    let mut running = begun(Standing::default(), 0);
    let mut records = input(1);
    let count = records.len() as u64;
    let copy = records[2].clone();
    records.push(Stored { offset: count, ..copy.clone() });
    records.push(Stored { offset: count + 1, value: Bytes::from_static(b"nothing"), ..copy.clone() });
    let mut foreign: Activity<'_> = serde_json::from_slice(&copy.value).unwrap();
    foreign.partition = 9;
    // One offset was left out.
    records.push(Stored { offset: count + 3, value: serde_json::to_vec(&foreign).unwrap().into(), ..copy.clone() });
    let out = running.take(&records);
    let counts = running.record.counts;
    assert_eq!((counts.taken, counts.copies, counts.dead_letters, counts.missing, out.unreadable.len()), (count, 1, 2, 1, 2));
    assert_eq!(counts.taken + counts.copies + counts.dead_letters + counts.missing, running.position.next_offset);
    assert_eq!(running.take(&records).records.len(), 0, "what was taken before is passed over");
}
