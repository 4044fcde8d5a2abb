//! A baselines store whose answers are lost, behind a stage that goes on and one that is killed: the same records as with one that answers.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tempfile::TempDir;
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::{Bytes, Producer, Reader, Record};
use wh_schemas::json::Text;
use wh_schemas::time::{DAY, HOUR};
use wh_schemas::topics::{self, RISK_ALERTS};
use wh_schemas::{Activity, Cents, Micros, TransactionType};

use super::*;
use crate::pattern_alert::PARTITION as OUTPUT;
use crate::patterns::AccountRules;
use crate::state::Committed;
use crate::state::patterns::{Decision, PatternCheckpoint, PatternDelta};
use crate::state::sqlite::SqliteCheckpoints;

const MONDAY: i64 = 1_767_571_200_000_000;
const PARTITIONS: u32 = 2;
/// Records before the place at which it is decided that partition 1 is not waited for.
const BEFORE: usize = 16;
/// Turns of the stage, each of some milliseconds, within which anything must come true.
const TURNS: usize = 2_000;
/// Checkpoints with a decision in them that are tried before a stage is killed.
const TRIES: usize = 3;

/// What goes wrong with a checkpoint that has decisions in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// It never reaches the store.
    Request,
    /// The store keeps it, and nobody is told.
    Answer,
}

/// What a stage goes through at the place of the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// Nobody decides anything.
    Undisturbed,
    /// The store answers.
    Decided,
    /// So many checkpoints are lost, then the store answers.
    Patient(Lost, usize),
    /// All are lost until the stage is killed; the next one's store answers.
    Killed(Lost),
}

/// Every checkpoint with decisions that was tried.
type Tried = Arc<Mutex<Vec<PatternDelta>>>;

fn tried(tried: &Tried) -> Vec<PatternDelta> {
    tried.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A good store behind a face that loses checkpoints with decisions in them, or the answers to them.
struct Broken {
    inner: SqliteCheckpoints,
    lost: Lost,
    times: usize,
    tried: Tried,
}

#[async_trait]
impl PatternCheckpoints for Broken {
    async fn take_over_patterns(&mut self) -> Result<(u64, Option<PatternCheckpoint>), Reaction> {
        self.inner.take_over_patterns().await
    }

    async fn commit_patterns(&mut self, delta: PatternDelta) -> Result<Committed, Reaction> {
        if delta.record.pending.is_empty() {
            return self.inner.commit_patterns(delta).await;
        }
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).push(delta.clone());
        if self.times == 0 {
            return self.inner.commit_patterns(delta).await;
        }
        self.times -= 1;
        if self.lost == Lost::Answer {
            assert_eq!(self.inner.commit_patterns(delta).await?, Committed::Kept);
        }
        Err(Reaction::transient("no answer came"))
    }

    async fn forget_patterns(&mut self, owner_epoch: u64) -> Result<(), Reaction> {
        self.inner.forget_patterns(owner_epoch).await
    }
}

fn store(folder: &Path) -> SqliteCheckpoints {
    SqliteCheckpoints::open(&folder.join("baselines.db")).unwrap()
}

/// A stage and its place in the group. Dropped, it is killed: nothing more is written.
struct Member {
    stage: Stage,
    consumer: Box<dyn Consumer>,
    stop: CancellationToken,
}

impl Member {
    async fn begin(log: &Arc<EmbeddedLog>, store: impl PatternCheckpoints + 'static) -> Member {
        let log: Arc<dyn Log> = log.clone();
        let stop = CancellationToken::new();
        let settings = PatternSettings { checkpoint_every: Duration::from_millis(5), ..PatternSettings::new(AccountRules::default(), "intake", "test") };
        let consumer = log.subscribe(GROUP, &[ACCOUNT_ACTIVITY]).await.unwrap();
        let mut stage = Stage::begin(log, Box::new(store), settings, Arc::new(Gauges::new(GROUP)), &stop).await.unwrap().unwrap();
        // Who is idle is decided by the test alone.
        stage.look_at = Instant::now() + Duration::from_secs(3_600);
        Member { stage, consumer, stop }
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Stage) -> bool) {
        for _ in 0..TURNS {
            if holds(&self.stage) {
                return;
            }
            let event = self.consumer.poll(self.stage.wait()).await.unwrap();
            self.stage.turn(&mut *self.consumer, event, &self.stop).await.unwrap();
        }
        panic!("not within {TURNS} turns: {what}");
    }

    async fn decide(&mut self) {
        let decisions = vec![Decision { partition: 1, awaited: false }];
        self.stage.accept(&mut *self.consumer, decisions, &self.stop).await.unwrap();
    }
}

/// Whether a stage has taken so many records, has nothing to write and may write again.
fn at_rest(stage: &Stage, taken: usize) -> bool {
    let Some(owned) = &stage.owned else { return false };
    !owned.dirty && owned.checkpoint_at <= Instant::now() && owned.checkpointed == taken as u64
}

/// Money that goes round three accounts, moved by two users, three times over accounts of their own. The middle hops of the last two come when
/// all else of their time has: behind the watermark, where partition 1 is not waited for.
fn input() -> Vec<Record> {
    let billing = |day: i64, user: u32| (day * DAY + i64::from(user), user, TransactionType::Billing, format!("own {user}"), None);
    let hop = |round: i64, hop: i64| {
        let place = |at: i64| format!("{} {round}", ["A", "B", "C"][usize::try_from(at % 3).unwrap()]);
        let at = 9 * DAY + round * HOUR + hop * HOUR / 4 + 60;
        (at, u32::from(hop == 1), TransactionType::Transfer, place(hop), Some(place(hop + 1)))
    };
    let mut rows: Vec<_> = [0, 3, 6, 9].into_iter().flat_map(|day| [billing(day, 0), billing(day, 1)]).collect();
    rows.extend([hop(0, 0), hop(0, 1), hop(0, 2), hop(1, 0), hop(1, 2), hop(2, 0), hop(2, 2), billing(11, 0)]);
    assert_eq!(rows.len(), BEFORE);
    rows.extend([hop(1, 1), hop(2, 1), billing(11, 1), billing(12, 0), billing(12, 1)]);
    let mut newest = [MONDAY; 2];
    let mut records = Vec::new();
    for (seq, (at, user, kind, account, counterparty)) in (0_u64..).zip(rows) {
        let newest = &mut newest[user as usize];
        *newest = (*newest).max(MONDAY + at);
        let activity = Activity {
            schema_version: 1,
            transaction_id: Text::from(format!("t-{seq}")),
            timestamp: Micros(MONDAY + at),
            user_id: Text::from(format!("U{user}")),
            account_id: Text::from(account),
            counterparty_account: counterparty.map(Text::from),
            department: Text::from("Finance"),
            transaction_type: kind,
            amount: Cents(950_000),
            risk_score: 10,
            partition: user,
            seq,
            stream_time: Micros(*newest),
            implausible: false,
        };
        records.push(Record { value: serde_json::to_vec(&activity).unwrap().into(), ..Record::default() });
    }
    records
}

/// Keys and values of what stands in the output.
async fn output(log: &EmbeddedLog) -> Vec<(Option<Bytes>, Bytes)> {
    let end = log.bounds(RISK_ALERTS, OUTPUT).await.unwrap().end;
    let mut found = Vec::new();
    while (found.len() as u64) < end {
        let records = log.read(RISK_ALERTS, OUTPUT, found.len() as u64, 1 << 20).await.unwrap();
        found.extend(records.into_iter().map(|record| (record.key, record.value)));
    }
    found
}

/// What stands in the output when all was taken.
async fn outcome(course: Course) -> Vec<(Option<Bytes>, Bytes)> {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(&folder.path().join("log"), Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, PARTITIONS).await.unwrap();
    let mut before = input();
    let after = before.split_off(BEFORE);
    let all = BEFORE + after.len();
    log.produce(ACCOUNT_ACTIVITY, INPUT, before).await.unwrap();

    let (lost, times) = match course {
        Course::Undisturbed | Course::Decided => (Lost::Request, 0),
        Course::Patient(lost, times) => (lost, times),
        Course::Killed(lost) => (lost, usize::MAX),
    };
    let checkpoints = Tried::default();
    let mut member = Member::begin(&log, Broken { inner: store(folder.path()), lost, times, tried: checkpoints.clone() }).await;
    member.until("all before the decision is taken and kept", |stage| at_rest(stage, BEFORE)).await;
    if course != Course::Undisturbed {
        member.decide().await;
    }
    log.produce(ACCOUNT_ACTIVITY, INPUT, after).await.unwrap();
    if matches!(course, Course::Killed(_)) {
        member.until("it is tried again and again", |_| tried(&checkpoints).len() >= TRIES).await;
        let running = member.stage.owned.as_ref().and_then(|owned| owned.running.as_ref()).unwrap();
        assert_eq!((running.position.next_offset, running.position.next_seq), (BEFORE as u64, 0), "{course:?}: nothing is taken in");
        assert!(output(&log).await.is_empty());
        drop(member);
        member = Member::begin(&log, store(folder.path())).await;
    }
    member.until("all is taken and kept", |stage| at_rest(stage, all)).await;
    let checkpoints = tried(&checkpoints);
    assert!(checkpoints.windows(2).all(|two| two[0] == two[1]), "{course:?}: not the same checkpoint: {checkpoints:#?}");
    if let Course::Patient(_, times) = course {
        assert_eq!(checkpoints.len(), times + 1);
    }
    output(&log).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_whose_answer_was_lost_is_taken_here_and_by_whoever_goes_on() {
    let (waited, decided) = (outcome(Course::Undisturbed).await, outcome(Course::Decided).await);
    assert!(!decided.is_empty() && decided != waited, "the decision shows: {} patterns and {}", decided.len(), waited.len());
    for lost in [Lost::Request, Lost::Answer] {
        assert_eq!(outcome(Course::Patient(lost, 1)).await, decided, "{lost:?}, once");
        assert_eq!(outcome(Course::Patient(lost, TRIES)).await, decided, "{lost:?}, several times");
    }
    assert_eq!(outcome(Course::Killed(Lost::Answer)).await, decided, "the store holds it");
    assert_eq!(outcome(Course::Killed(Lost::Request)).await, waited, "the store never heard of it");
}
