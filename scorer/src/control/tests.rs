//! Accepted, refused, two at once, and a crash between deciding and keeping: the same bytes in each case.

use wh_eventlog::{Bytes, Record};
use wh_schemas::position::ORIGIN_HEADER;
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::validate::{Reading, decode_transaction};

use super::*;
use crate::dedup::{DEFAULT_HORIZON, Ids};
use crate::partition::{Emitted, PartitionRecord, PartitionScorer, Position};

const AT: At = At { partition: 1, partitions: 3, next_seq: 100 };

fn stored(offset: u64, value: Vec<u8>) -> Stored {
    Stored { offset, append_time: 0, key: None, value: Bytes::from(value), headers: Vec::new() }
}

fn control(offset: u64, partition: u32, from_seq: Seq, change: ControlChange) -> Stored {
    let record = ControlRecord {
        schema_version: SCHEMA_VERSION,
        control_id: format!("c{offset}"),
        partition,
        from_seq,
        principal: "local".to_owned(),
        reason: "why not".to_owned(),
        change,
    };
    stored(offset, serde_json::to_vec(&record).unwrap())
}

fn named(name: &str) -> ControlChange {
    ControlChange::Ruleset { ruleset: format!("name = \"{name}\"\n") }
}

fn begun(settings: &Ruleset) -> ControlState {
    let mut state = ControlState::default();
    assert!(begin(&mut state, settings, 0, 0).unwrap().changed, "what it begins under is to be kept");
    state
}

fn nobody(_: &str) -> bool {
    false
}

/// What the last decision says.
fn refusal(state: &ControlState) -> String {
    state.decided.last().unwrap().refused.join("; ")
}

#[test]
fn a_record_beyond_what_is_emitted_is_accepted_and_one_behind_is_refused_with_both_numbers() {
    let mut state = begun(&Ruleset::default());
    assert!(decide(&mut state, AT, &control(0, 1, 100, named("next")), &nobody));
    assert!(state.decided[0].refused.is_empty() && state.by_control);
    assert!(decide(&mut state, AT, &control(1, 1, 99, named("behind")), &nobody));
    assert!(refusal(&state).contains("seq 99") && refusal(&state).contains("seq 100"), "{}", refusal(&state));
    assert_eq!((state.pending.len(), state.next_offset, state.decided[1].next_seq), (1, 2, 100));
    assert!(!decide(&mut state, AT, &control(1, 1, 500, named("again")), &nobody), "read before");
    assert!(!decide(&mut state, AT, &control(2, 0, 500, named("another's")), &nobody));
    assert_eq!((state.pending.len(), state.next_offset), (1, 3));
}

#[test]
fn what_names_no_partition_is_refused_once_by_the_first() {
    let (mut zero, mut one) = (begun(&Ruleset::default()), begun(&Ruleset::default()));
    for (offset, record) in [(0, control(0, 3, 500, named("x"))), (1, stored(1, b"nothing".to_vec()))] {
        assert!(decide(&mut zero, At { partition: 0, ..AT }, &record, &nobody));
        assert!(!decide(&mut one, AT, &record, &nobody));
        assert_eq!((zero.next_offset, one.next_offset), (offset + 1, offset + 1));
    }
    assert!(zero.decided[0].refused[0].contains("partition 3 does not exist") && zero.decided[1].refused[0].contains("no control record"));
}

#[test]
fn an_invalid_ruleset_is_refused_with_its_faults_and_changes_nothing() {
    let mut state = begun(&Ruleset::default());
    let before = (state.in_force.clone(), state.by_control);
    let ruleset = "name = \"x\"\n[caps]\namonut = 20\n".to_owned();
    assert!(decide(&mut state, AT, &control(0, 1, 500, ControlChange::Ruleset { ruleset }), &nobody));
    assert!(refusal(&state).starts_with("3:1: caps.amonut"), "{}", refusal(&state));
    let priors = "name = \"x\"\n".to_owned();
    assert!(decide(&mut state, AT, &control(1, 1, 500, ControlChange::Priors { priors }), &nobody));
    assert!(refusal(&state).contains("nothing but [priors"), "{}", refusal(&state));
    assert_eq!((state.in_force.clone(), state.by_control, state.pending.len()), (before.0, before.1, 0));
}

#[test]
fn two_records_at_one_place_take_effect_in_their_order() {
    let mut state = begun(&Ruleset::default());
    for (offset, from_seq, name) in [(0, 300, "third"), (1, 200, "first"), (2, 200, "second")] {
        assert!(decide(&mut state, AT, &control(offset, 1, from_seq, named(name)), &nobody));
    }
    assert!(state.take_due(199).is_empty());
    let names = |pending: Vec<Pending>| -> Vec<String> {
        let name = |pending: Pending| match pending.change {
            Change::Ruleset { toml } => ruleset_of(&toml).unwrap().name,
            other => panic!("{other:?}"),
        };
        pending.into_iter().map(name).collect()
    };
    assert_eq!(names(state.take_due(250)), ["first", "second"]);
    assert_eq!(state.first_pending(), Some(300));
    assert_eq!(names(state.take_due(u64::MAX)), ["third"]);
}

#[test]
fn a_ruleset_that_is_kept_is_the_same_ruleset() {
    let mut ruleset = Ruleset { name: "it's \"mine\"\n# no comment".to_owned(), below_limit: 0.1 + 0.2, limits: vec![0.1, 1e9 / 3.0], ..Ruleset::default() };
    ruleset.priors.departments.insert("St. Mary \"A\"".to_owned(), ruleset.priors.overall.clone());
    let again = ruleset_of(&text_of(&ruleset)).unwrap();
    assert_eq!(again, ruleset);
    assert_eq!(again.content_hash(), ruleset.content_hash());
    let priors = toml::to_string(&ruleset.priors).unwrap();
    assert_eq!(priors_of(&priors).unwrap(), ruleset.priors);
}

#[test]
fn a_file_that_changes_between_two_starts_counts_from_the_first_fresh_seq_until_a_record_has_spoken() {
    let (one, two) = (Ruleset { name: "one".to_owned(), ..Ruleset::default() }, Ruleset { name: "two".to_owned(), ..Ruleset::default() });
    let mut state = begun(&one);
    assert!(!begin(&mut state, &one, 50, 60).unwrap().changed);
    let next = begin(&mut state, &two, 50, 60).unwrap();
    // What stands in the output, up to 60, is scored again under the first.
    assert_eq!((next.changed, next.ruleset, state.first_pending()), (true, one.clone(), Some(60)));
    assert!(!begin(&mut state, &two, 50, 60).unwrap().changed, "accepted once");
    state.take_due(60);
    assert!(decide(&mut state, AT, &control(0, 1, 500, named("three")), &nobody));
    let later = begin(&mut state, &two, 200, 200).unwrap();
    assert!(!later.changed && later.warning.unwrap().contains("does not count"));
}

#[test]
fn what_another_version_kept_is_told_and_not_guessed() {
    let mut state = begun(&Ruleset::default());
    state.in_force.as_mut().unwrap().hash = "0000000000000000".to_owned();
    let begun = begin(&mut state, &Ruleset::default(), 5, 5).unwrap();
    assert!(begun.changed && begun.warning.unwrap().contains("0000000000000000"));
    assert_eq!(state.in_force.clone().unwrap().hash, Ruleset::default().content_hash());
    state.in_force.as_mut().unwrap().toml = "no_such_setting = 1\n".to_owned();
    assert!(begin(&mut state, &Ruleset::default(), 5, 5).unwrap_err().contains("go back to the version that wrote it"));
}

/// Accepted records of two users; every seventh amount is far from the rest.
fn accepted(count: u64) -> Vec<Stored> {
    let record = |n: u64| {
        let amount = if n % 7 == 6 { 90_000 + n } else { 100 + n % 5 };
        let line = format!(
            r#"{{"transaction_id":"t{n}","timestamp":"2026-01-{:02}T{:02}:00:00Z","user_id":"u{}","account_id":"a","department":"IT","transaction_type":"payment","amount":{amount}}}"#,
            1 + n / 24,
            n % 24,
            n % 2
        );
        let transaction = AcceptedTransaction::new(decode_transaction(line.as_bytes(), &Reading::default()).unwrap());
        let mut stored = stored(n, serde_json::to_vec(&transaction).unwrap());
        stored.headers.push((ORIGIN_HEADER.to_owned(), Bytes::from(format!("hospital-transactions/0/{n}"))));
        stored
    };
    (0..count).map(record).collect()
}

fn scorer(position: Position, mut record: PartitionRecord, users: Vec<(String, crate::engine::UserState)>, ids: Vec<crate::dedup::Seen>, fresh: Seq) -> PartitionScorer {
    let begun = begin(&mut record.control, &Ruleset::default(), position.next_seq, fresh).unwrap();
    let mut seen = Ids::new(DEFAULT_HORIZON);
    ids.into_iter().for_each(|s| seen.remember(s));
    PartitionScorer::new(1, begun.ruleset, position, record, users, seen, "test")
}

fn empty() -> PartitionScorer {
    scorer(Position::default(), PartitionRecord::default(), Vec::new(), Vec::new(), 0)
}

fn process(scorer: &mut PartitionScorer, records: &[Stored]) -> Vec<Record> {
    let mut out = Emitted::default();
    records.iter().for_each(|record| scorer.process(record, &mut out));
    out.scores
}

/// The same scorer, as a checkpoint of it reads back.
fn restored(from: &PartitionScorer, ids: &[crate::dedup::Seen], fresh: Seq) -> PartitionScorer {
    let record: PartitionRecord = serde_json::from_str(&serde_json::to_string(&from.record()).unwrap()).unwrap();
    let users = from.engine().users().map(|(name, state)| (name.to_owned(), state.clone())).collect();
    scorer(from.position().clone(), record, users, ids.to_vec(), fresh)
}

fn field(record: &Record, name: &str) -> serde_json::Value {
    serde_json::from_slice::<serde_json::Value>(&record.value).unwrap()[name].clone()
}

#[test]
fn it_takes_effect_exactly_before_its_seq_and_a_crash_anywhere_changes_nothing() {
    let records = accepted(120);
    let change = control(0, 1, 70, ControlChange::Ruleset { ruleset: "name = \"other\"\n[amount]\npoints_a_scale = 0.0\n".to_owned() });
    let mut calm = empty();
    let mut wanted = process(&mut calm, &records[..40]);
    assert!(calm.decide(&change, 3));
    wanted.extend(process(&mut calm, &records[40..]));
    let hashes: Vec<_> = wanted.iter().map(|record| field(record, "ruleset")).collect();
    assert!(hashes[..70].iter().all(|hash| *hash == hashes[0]) && hashes[70..].iter().all(|hash| *hash == hashes[70]) && hashes[0] != hashes[70]);
    assert_eq!(calm.record().control.in_force.unwrap().from_seq, 70);
    for (decided, kept, killed) in [(40, 40, 41), (40, 40, 69), (40, 40, 70), (40, 40, 120), (40, 65, 100), (40, 70, 71), (69, 69, 120), (70, 70, 110), (40, 90, 91)] {
        let (mut first, mut ids) = (empty(), Vec::new());
        let mut found = process(&mut first, &records[..decided]);
        assert!(first.decide(&change, 3));
        found.extend(process(&mut first, &records[decided..kept]));
        ids.extend(first.take_changes().ids);
        let checkpoint = restored(&first, &ids, killed as u64);
        // It goes on and is killed; whoever goes on from the checkpoint reads the record again and obeys what is kept.
        found.extend(process(&mut first, &records[kept..killed]));
        assert!(found[..] == wanted[..killed], "{decided} {kept} {killed}");
        let mut second = checkpoint;
        let again = process(&mut second, &records[kept..killed]);
        assert!(again[..] == wanted[kept..killed], "{decided} {kept} {killed}");
        assert!(!second.decide(&change, 3), "decided once");
        assert!(process(&mut second, &records[killed..])[..] == wanted[killed..], "{decided} {kept} {killed}");
    }
}

#[test]
fn a_crash_before_it_was_kept_decides_anew_where_nothing_behind_was_emitted() {
    let records = accepted(100);
    let change = control(0, 1, 60, named("other"));
    let mut first = empty();
    process(&mut first, &records[..30]);
    let ids = first.take_changes().ids;
    let checkpoint = restored(&first, &ids, 50);
    assert!(first.decide(&change, 3));
    // Not kept, so nothing from 60 on was emitted; up to 50 was.
    process(&mut first, &records[30..50]);
    let mut second = checkpoint;
    process(&mut second, &records[30..50]);
    assert!(second.decide(&change, 3) && second.control().decided[0].refused.is_empty());
    process(&mut first, &records[50..]);
    process(&mut second, &records[50..]);
    assert_eq!(first.record().control.in_force, second.record().control.in_force);
}

#[test]
fn a_release_is_learnt_once_at_its_place() {
    let records = accepted(200);
    let (mut with, mut without) = (empty(), empty());
    let scored = process(&mut with, &records[..150]);
    process(&mut without, &records[..150]);
    let alerted = scored.iter().rposition(|row| field(row, "user_id") == "u0" && field(row, "risk_score").as_u64() >= Some(70)).unwrap();
    let id = format!("t{alerted}");
    let release = |offset, transaction_id: &str, user: &str| {
        let transaction = String::from_utf8(records[alerted].value.to_vec()).unwrap().replace("\"u0\"", &format!("\"{user}\""));
        control(offset, 1, 161, ControlChange::Release { transaction_id: transaction_id.to_owned(), transaction })
    };
    assert!(with.decide(&release(0, &id, "u0"), 3));
    assert!(with.control().decided[0].refused.is_empty(), "{:?}", with.control().decided);
    for (offset, id, user, word) in [(1, id.as_str(), "u0", "released already"), (2, "other", "u0", "brings")] {
        assert!(with.decide(&release(offset, id, user), 3));
        assert!(with.control().decided.last().unwrap().refused[0].contains(word), "{:?}", with.control().decided);
    }
    let learnt = |scorer: &PartitionScorer| scorer.engine().user("u0").unwrap().learnt;
    process(&mut with, &records[150..161]);
    process(&mut without, &records[150..161]);
    assert_eq!(learnt(&with), learnt(&without), "not before its place");
    // That is the other user's, so that nothing but the release changes this one.
    process(&mut with, &records[161..162]);
    process(&mut without, &records[161..162]);
    assert_eq!(learnt(&with), learnt(&without) + 1);
    assert!(with.control().pending.is_empty() && !with.control().by_control);
    assert!(with.take_changes().users.contains(&"u0".to_owned()), "a checkpoint takes it along");
    let mut stranger = empty();
    assert!(stranger.decide(&release(0, &id, "u0"), 3));
    assert!(stranger.control().decided[0].refused[0].contains("knows nothing of the user"));
}
