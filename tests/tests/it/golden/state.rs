//! What the scorer and patterns by account keep: states, snapshots, the file of the baselines.
//!
//! A state is what the engine makes of rows, which it is free to change. Its golden file is made once; what is written of it later is what
//! was read of it, written again.

use std::fmt::Write;

use wh_eventlog::Record;
use wh_schemas::json::Text;
use wh_schemas::topics::SCORER_STATE;
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::{Activity, Cents, Micros, TransactionType};
use wh_scorer::control::{self, Change, ControlState, Decided, InForce, Pending};
use wh_scorer::dedup::{DEFAULT_HORIZON, Seen};
use wh_scorer::engine::{Ruleset, UserState};
use wh_scorer::partition::{Counts, Emitted, PartitionRecord, PartitionScorer, Position};
use wh_scorer::patterns::{AccountEngine, AccountRules};
use wh_scorer::state::patterns::{Decision, PatternCheckpoints, PatternCounts, PatternDelta, PatternPosition, PatternRecord};
use wh_scorer::state::rebuild::{self, Owner, Users, last_snapshot, owner};
use wh_scorer::state::sqlite::SqliteCheckpoints;
use wh_scorer::state::users::{SHOWN, shown};
use wh_scorer::state::{Checkpoint, CheckpointStore, Committed, Delta};

use super::wire::AT;
use super::{Format, committed, log, record_text, sqlite_text, wait};
use crate::records::{accepted, scorer, small_hospital};

pub(super) const USER: Format = Format::new("user-state.bin", 1, write_user, read_user);
pub(super) const RULESET: Format = Format { lasting: without_trees, ..Format::new("ruleset-in-force.toml", 1, write_ruleset, read_ruleset) };
pub(super) const SNAPSHOT: Format = Format::new("scorer-state.records", 1, || record_text::write(&snapshot()), read_snapshot);
pub(super) const ACCOUNTS: Format = Format::new("account-state.records", 1, write_accounts, read_accounts);
pub(super) const BASELINES: Format = Format::new("baselines.sql", 1, write_baselines, read_baselines);

/// What the clock had a part in.
const MASKS: &str = "UPDATE checkpoints SET updated_at = 1772350200000000; UPDATE pattern_checkpoint SET updated_at = 1772350200000000;";
/// What the key of an account's state begins with here.
const ACCOUNT: &str = "account ";

/// A scorer that has seen these rows.
fn seen(lines: &[Vec<u8>]) -> PartitionScorer {
    let (mut scorer, mut emitted) = (scorer(0, DEFAULT_HORIZON), Emitted::default());
    for record in &accepted(lines) {
        scorer.process(record, &mut emitted);
    }
    scorer
}

/// A user with alerts, rows in quarantine, and one whose time is not certain yet: as full a state as there is.
fn made_by_the_engine() -> UserState {
    let mut lines = small_hospital(7, 1_500);
    let before = seen(&lines);
    let (user, _) = before.engine().users().filter(|(_, state)| state.alerts > 0).max_by_key(|(user, state)| (state.to_bytes().unwrap().len(), user.to_string())).unwrap();
    let ahead = Micros(before.engine().stream_time().newest().unwrap().0 + 3 * 24 * 3_600_000_000);
    let line = format!(
        r#"{{"transaction_id":"T-ahead","timestamp":"{ahead}","user_id":"{user}","account_id":"ACC-1","department":"IT","transaction_type":"billing","amount":12.34,"counterparty_account":"C-1"}}"#
    );
    lines.push(line.into_bytes());
    let state = seen(&lines).engine().user(user).unwrap().clone();
    let fields = serde_json::to_value(&state).unwrap();
    assert!(fields["waiting"].is_object() && fields["quarantined"].as_array().is_some_and(|rows| !rows.is_empty()), "the state is too plain to stand for others: {fields}");
    state
}

fn write_user() -> Vec<u8> {
    let kept = committed::last(USER.version, USER.name);
    kept.map_or_else(made_by_the_engine, |bytes| UserState::from_bytes(&bytes).unwrap()).to_bytes().unwrap()
}

fn read_user(bytes: &[u8]) -> String {
    serde_json::to_string_pretty(&UserState::from_bytes(bytes).unwrap()).unwrap() + "\n"
}

fn write_ruleset() -> Vec<u8> {
    let kept = committed::last(RULESET.version, RULESET.name);
    let ruleset = kept.map_or_else(Ruleset::default, |bytes| control::ruleset_of(std::str::from_utf8(&bytes).unwrap()).unwrap());
    control::text_of(&ruleset).into_bytes()
}

/// Which trees are built in stands in it, and is this version's.
fn without_trees(bytes: &[u8]) -> Vec<u8> {
    let lines = std::str::from_utf8(bytes).unwrap().lines().filter(|line| !line.starts_with("trees = "));
    lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}

fn read_ruleset(bytes: &[u8]) -> String {
    let ruleset = control::ruleset_of(std::str::from_utf8(bytes).unwrap()).unwrap();
    String::from_utf8(without_trees(control::text_of(&ruleset).as_bytes())).unwrap()
}

/// A state of a few fields.
fn small_state() -> UserState {
    let mut state = UserState::new(Micros(AT));
    (state.events, state.alerts, state.learnt, state.last) = (3, 1, 2, AT + 1);
    (state.home_department, state.log_amount_sum) = ("Pharmacy".to_owned(), 9.5);
    state
}

/// A partition's record with everything in it.
fn partition_record() -> PartitionRecord {
    let pending = |from_seq, change| Pending { from_seq, control_id: (from_seq == 50).then(|| "c-50".to_owned()), change };
    PartitionRecord {
        origins: [(0, 7), (2, 9)].into(),
        counts: Counts { scored: 40, duplicates: 2, copies: 3, dead_letters: 1, alerts: 5 },
        stream_time: serde_json::from_str(r#"{"newest":1772350200000000,"candidate":[1772350200000001,2],"ahead":[1772450200000000,99]}"#).unwrap(),
        ruleset: "0123456789abcdef".to_owned(),
        log: "0123456789abcdef0123456789abcdef".to_owned(),
        control: ControlState {
            next_offset: 4,
            in_force: Some(InForce { hash: "0123456789abcdef".to_owned(), toml: "name = \"x\"\n".to_owned(), from_seq: 10, control_id: Some("c-10".to_owned()) }),
            settings: "fedcba9876543210".to_owned(),
            by_control: true,
            pending: vec![
                pending(50, Change::Ruleset { toml: "name = \"y\"\n".to_owned() }),
                pending(51, Change::Priors { toml: "[overall]\n".to_owned() }),
                pending(52, Change::Release { transaction: "{\"transaction_id\":\"T-1\"}".to_owned() }),
            ],
            decided: vec![Decided {
                offset: Some(3),
                control_id: "c-9".to_owned(),
                kind: "priors".to_owned(),
                subject: "00000000000000aa".to_owned(),
                principal: "local".to_owned(),
                reason: "asked for by audit".to_owned(),
                from_seq: 9,
                next_seq: 12,
                refused: vec!["it is too late".to_owned()],
                told: true,
            }],
            released: vec![u64::MAX, 1],
        },
        last: None,
    }
}

/// A whole snapshot of an owner: one user, one that is forgotten, the partition's own record.
fn snapshot() -> Vec<Record> {
    let users = Users { states: vec![("u-17 Müller".to_owned(), small_state())], forgotten: vec!["u-18".to_owned()], whole: true };
    let position = Position { next_seq: 42, next_offset: 46, state_epoch: 1 };
    rebuild::records(Owner { generation: 1, epoch: 7 }, &position, &partition_record(), &users).unwrap()
}

fn checkpoint_text(checkpoint: &Checkpoint) -> String {
    let mut text = format!("{:?}\n{}\n", checkpoint.position, serde_json::to_string_pretty(&checkpoint.record).unwrap());
    for (user, state) in &checkpoint.users {
        let said: Vec<String> = SHOWN.iter().zip(shown(state)).map(|(name, value)| format!("{name} {}", value.unwrap_or_default())).collect();
        writeln!(text, "{user}: {}, the same as was written: {}", said.join(", "), *state == small_state()).unwrap();
    }
    writeln!(text, "{:?}", checkpoint.ids).unwrap();
    text
}

fn read_snapshot(bytes: &[u8]) -> String {
    let records = record_text::read(bytes);
    wait(async {
        let (_folder, log) = log::holding(SCORER_STATE, &records).await;
        let next_owner = owner(&*log, 0, 3).await.unwrap();
        let found = last_snapshot(&*log, 0, 100).await.unwrap().unwrap();
        checkpoint_text(&found) + &format!("the next owner: {next_owner:?}\n")
    })
}

/// Money that goes round three accounts, and a row of a partition that is ahead.
fn activities() -> Vec<Activity<'static>> {
    let hops = [("A", "B", 0_u32), ("B", "C", 0), ("C", "A", 0), ("A", "D", 1)];
    let made = |(hop, (from, to, partition)): (u64, (&'static str, &'static str, u32))| {
        let at = Micros(AT + i64::try_from(hop).unwrap() * 3_600_000_000);
        Activity {
            schema_version: SCHEMA_VERSION,
            transaction_id: Text::from(format!("T-{hop}")),
            timestamp: at,
            user_id: Text::from("u-17 Müller"),
            account_id: Text::from(from),
            counterparty_account: Some(Text::from(to)),
            department: Text::from("Finance"),
            transaction_type: TransactionType::Transfer,
            amount: Cents(950_000),
            risk_score: 60,
            partition,
            seq: hop,
            stream_time: at,
            implausible: false,
        }
    };
    (0..).zip(hops).map(made).collect()
}

/// The engine's header and the states of its accounts. Of states alone the engine cannot be had to write them again: where it makes something
/// else of these four rows, that is another version here, and the one before is read on all the same.
fn write_accounts() -> Vec<u8> {
    let (mut engine, mut found) = (AccountEngine::new(AccountRules::default()), Vec::new());
    engine.expect(1, true, &mut found);
    for activity in &activities()[..3] {
        engine.take(activity, &mut found);
    }
    engine.flush(&mut found);
    // This one is held back.
    engine.take(&activities()[3], &mut found);
    let changes = engine.take_changes();
    let header = Record::new("header", changes.header);
    let accounts = changes.accounts.into_iter().map(|(name, state)| Record::new(format!("{ACCOUNT}{name}"), state));
    record_text::write(&std::iter::once(header).chain(accounts).collect::<Vec<_>>())
}

/// What an engine is made of, by the lines of one field of it; zeros in lists, of which there are thousands, are left out.
fn field_of(engine: &AccountEngine, field: &str) -> String {
    let text = format!("{engine:#?}");
    let begin = format!("    {field}: ");
    let is_end = |line: &&str| line.starts_with("    }") || line.starts_with("    )");
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with(&begin)).collect();
    let end = lines.iter().position(is_end).map_or(lines.len(), |at| at + 1);
    lines[..end].iter().filter(|line| line.trim() != "0,").flat_map(|line| [*line, "\n"]).collect()
}

fn read_accounts(bytes: &[u8]) -> String {
    let records = record_text::read(bytes);
    let header = records.iter().find(|record| record.key.as_deref() == Some(b"header".as_slice())).unwrap().value.clone();
    let restored = |account: Option<(String, Vec<u8>)>| AccountEngine::restored(AccountRules::default(), &header, account).unwrap();
    let mut engine = restored(None);
    let mut text = format!("taken: {:?}, {:?}, {:?}\n{}{}", engine.taken(0), engine.taken(1), engine.taken(2), field_of(&engine, "order"), field_of(&engine, "norms"));
    writeln!(text, "the header is written as it was: {}", engine.take_changes().header == header).unwrap();
    for record in &records {
        let key = std::str::from_utf8(record.key.as_deref().unwrap()).unwrap();
        if let Some(name) = key.strip_prefix(ACCOUNT) {
            // By itself: the order of several in memory is no format.
            text += &field_of(&restored(Some((name.to_owned(), record.value.to_vec()))), "book");
        }
    }
    text
}

fn delta(next: u64, owner_epoch: u64) -> Delta {
    Delta {
        partition: 0,
        owner_epoch,
        position: Position { next_seq: next, next_offset: next + 4, state_epoch: 1 },
        record: partition_record(),
        users: vec![("u-17 Müller".to_owned(), small_state())],
        forgotten: Vec::new(),
        ids: (next - 2..next).map(|seq| Seen { id: seq << 40, content: !seq, seq }).collect(),
        horizon: 100,
    }
}

/// Header and states are the engine's own matter, which the store does not look into.
fn pattern_delta(next: u64, owner_epoch: u64) -> PatternDelta {
    PatternDelta {
        owner_epoch,
        position: PatternPosition { next_seq: next, next_offset: next + 9 },
        record: PatternRecord {
            counts: PatternCounts { taken: next, copies: 2, dead_letters: 3, missing: 4, patterns: 5, alerts: 1 },
            log: "0123456789abcdef0123456789abcdef".to_owned(),
            pending: vec![Decision { partition: 2, awaited: false }],
            unawaited: [1].into(),
            output_offset: next,
            rebuilding: true,
            last: None,
        },
        header: vec![1, 0, 255],
        accounts: vec![("ACC-1".to_owned(), vec![1, 2, 3]), ("Ünal's".to_owned(), vec![])],
        removed: Vec::new(),
    }
}

fn write_baselines() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("baselines.db");
    wait(async {
        let mut store = SqliteCheckpoints::open(&path).unwrap();
        for partition in 0..2 {
            store.take_over(partition).await.unwrap();
        }
        assert_eq!(store.commit(delta(42, 1)).await.unwrap(), Committed::Kept);
        store.take_over_patterns().await.unwrap();
        assert_eq!(store.commit_patterns(pattern_delta(7, 1)).await.unwrap(), Committed::Kept);
    });
    sqlite_text::dump(&path, MASKS)
}

fn read_baselines(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("baselines.db");
    sqlite_text::load(bytes, &path);
    wait(async {
        let mut store = SqliteCheckpoints::open(&path).unwrap();
        let (epoch, found) = store.take_over(0).await.unwrap();
        let mut text = format!("partition 0, owner {epoch}\n{}", checkpoint_text(&found.unwrap()));
        let (other, nothing) = store.take_over(1).await.unwrap();
        writeln!(text, "partition 1, owner {other}: {}", nothing.is_none()).unwrap();
        let (patterns, found) = store.take_over_patterns().await.unwrap();
        writeln!(text, "patterns, owner {patterns}\n{found:#?}").unwrap();
        writeln!(text, "going on: {:?}, {:?}", store.commit(delta(50, epoch)).await.unwrap(), store.commit_patterns(pattern_delta(9, patterns)).await.unwrap()).unwrap();
        text
    })
}
