//! Whatever the schedule, the same scores and the same alerts: three partitions' scorers and the patterns by account behind them,
//! read in batches of any size, checkpointed anywhere, killed anywhere, their activities interleaved in any way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use wh_evaluation::{Config, generate};
use wh_eventlog::{Bytes, Stored};
use wh_schemas::position::ORIGIN_HEADER;
use wh_schemas::validate::{Reading, decode_transaction};
use wh_schemas::{AcceptedTransaction, Activity, ids};

use crate::dedup::{DEFAULT_HORIZON, Ids, Seen};
use crate::engine::{Ruleset, UserState};
use crate::partition::{Emitted, PartitionRecord, PartitionScorer, Position};
use crate::patterns::AccountEngine;

const PARTITIONS: u32 = 3;
const USERS: usize = 24;

/// Accepted records by partition: the last weeks of a small hospital with fraud in it.
static STREAMS: LazyLock<Vec<Vec<Stored>>> = LazyLock::new(|| {
    let config = Config { users: USERS, days: 34, fraud_share: 0.06, ..Config::default() };
    let mut streams: Vec<Vec<Stored>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
    let transactions = generate(&config, 7).transactions;
    // The last weeks: the first are without fraud.
    for (number, transaction) in transactions.iter().skip(transactions.len().saturating_sub(3_000)).enumerate() {
        let line = transaction.to_json();
        let transaction = AcceptedTransaction::new(decode_transaction(line.as_bytes(), &Reading::default()).unwrap());
        let partition = ids::partition_of(transaction.user_id.as_bytes(), PARTITIONS) as usize;
        let headers = vec![(ORIGIN_HEADER.into(), Bytes::from(format!("hospital-transactions/0/{number}")))];
        let offset = streams[partition].len() as u64;
        streams[partition].push(Stored { offset, append_time: 0, key: None, value: Bytes::from(serde_json::to_vec(&transaction).unwrap()), headers });
    }
    streams
});

/// What a checkpoint holds, as bytes.
#[derive(Clone, Default)]
struct Kept {
    position: Position,
    record: Vec<u8>,
    users: BTreeMap<String, Vec<u8>>,
    ids: Vec<Seen>,
}

struct Member {
    scorer: PartitionScorer,
    kept: Kept,
}

impl Member {
    fn begun(partition: u32, kept: Kept) -> Member {
        let record = if kept.record.is_empty() { PartitionRecord::default() } else { serde_json::from_slice(&kept.record).unwrap() };
        let users = kept.users.iter().map(|(name, bytes)| (name.clone(), UserState::from_bytes(bytes).unwrap())).collect();
        let mut ids = Ids::new(DEFAULT_HORIZON);
        kept.ids.iter().for_each(|seen| ids.remember(*seen));
        // A bound that is reached, so that users are forgotten too.
        let mut ruleset = Ruleset::default();
        ruleset.state.max_users_per_partition = 6;
        Member { scorer: PartitionScorer::new(partition, ruleset, kept.position.clone(), record, users, ids, "test"), kept }
    }

    fn checkpoint(&mut self) {
        let changes = self.scorer.take_changes();
        for name in changes.forgotten {
            self.kept.users.remove(&name);
        }
        for name in changes.users {
            if let Some(state) = self.scorer.engine().user(&name) {
                self.kept.users.insert(name, state.to_bytes().unwrap());
            }
        }
        self.kept.ids.extend(changes.ids);
        self.kept.position = self.scorer.position().clone();
        self.kept.record = serde_json::to_vec(&self.scorer.record()).unwrap();
    }
}

/// What a schedule gave: scored records by partition and seq, and the alerts of patterns by account.
#[derive(Debug, PartialEq)]
struct Outcome {
    scores: Vec<BTreeMap<u64, Bytes>>,
    found: BTreeSet<(String, u8)>,
}

/// One step: whose turn it is, how many records it reads, and what happens then.
#[derive(Clone, Copy, Debug)]
struct Step {
    partition: usize,
    count: usize,
    /// 0: a checkpoint; 1: a kill; else nothing.
    then: u8,
}

fn run(steps: &[Step]) -> Outcome {
    let mut members: Vec<Member> = (0..PARTITIONS).map(|p| Member::begun(p, Kept::default())).collect();
    let mut scores: Vec<BTreeMap<u64, Bytes>> = vec![BTreeMap::new(); PARTITIONS as usize];
    let mut accounts = AccountEngine::new(Ruleset::default().account_rules());
    let mut found = Vec::new();
    for partition in 0..PARTITIONS {
        accounts.expect(partition, true, &mut found);
    }
    // After the schedule each partition reads what is left.
    let rest = (0..PARTITIONS as usize).map(|partition| Step { partition, count: usize::MAX, then: 0 });
    for step in steps.iter().copied().chain(rest) {
        let member = &mut members[step.partition];
        let mut out = Emitted::default();
        let from = usize::try_from(member.scorer.position().next_offset).unwrap();
        for stored in STREAMS[step.partition].iter().skip(from).take(step.count) {
            member.scorer.process(stored, &mut out);
        }
        for (seq, record) in (out.first_seq..).zip(&out.scores) {
            // What is emitted again after a kill is the same to the byte.
            let before = scores[step.partition].insert(seq, record.value.clone());
            assert!(before.is_none_or(|before| before == record.value), "partition {} seq {seq} differs when it is scored again", step.partition);
        }
        for (_, record) in &out.activities {
            let activity: Activity<'_> = serde_json::from_slice(&record.value).unwrap();
            accounts.take(&activity, &mut found);
        }
        match step.then {
            0 => member.checkpoint(),
            1 => *member = Member::begun(u32::try_from(step.partition).unwrap(), member.kept.clone()),
            _ => {}
        }
    }
    accounts.flush(&mut found);
    Outcome { scores, found: found.iter().map(|f| (f.pattern.pattern_id.to_string(), f.pattern.risk_score)).collect() }
}

static UNDISTURBED: LazyLock<Outcome> = LazyLock::new(|| run(&[]));

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((0..PARTITIONS as usize, 1..400_usize, 0..4_u8).prop_map(|(partition, count, then)| Step { partition, count, then }), 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn any_schedule_gives_the_same_scores_and_alerts(steps in steps()) {
        prop_assert_eq!(&run(&steps), &*UNDISTURBED);
    }
}

#[test]
fn the_schedules_are_of_a_stream_that_alerts() {
    let scored: usize = UNDISTURBED.scores.iter().map(BTreeMap::len).sum();
    assert!(scored > 2_000 && !UNDISTURBED.found.is_empty(), "{scored} scored, {} found", UNDISTURBED.found.len());
    let alerts = UNDISTURBED.scores.iter().flat_map(BTreeMap::values).filter(|value| value.windows(10).any(|w| w == b"\"alert_id\"")).count();
    assert!(alerts > 0);
}
