//! The baselines on Redis: checkpoints of the users that changed, each one script with the ids seen and the position. Raw: pipelined `HSET`
//! of the same fields and values, a pipeline a checkpoint, without ids, index and position.

use redis::{Pipeline, cmd, pipe};
use wh_scorer::dedup::DEFAULT_HORIZON;
use wh_scorer::state::redis::RedisCheckpoints;
use wh_scorer::state::{CheckpointStore, Committed, Delta};
use wh_stores::redis::{Keys, RawRedis, RedisSettings, connect};
use wh_stores::{Durability, ServerUrl};

use crate::records::{Checkpointed, Corpus};
use crate::{Contest, Measured, Meter, own_name};

const SERVER: &str = "redis";

/// Settings for a namespace of its own.
fn own_namespace(url: &str) -> RedisSettings {
    let sign = if url.contains('?') { '&' } else { '?' };
    let url = ServerUrl::parse(&format!("{url}{sign}namespace={}", own_name())).unwrap();
    RedisSettings::try_new(&url, &RawRedis::default(), Durability::Warn).unwrap()
}

/// Deletes every key of a namespace.
async fn remove(settings: &RedisSettings) {
    let mut connection = connect(settings).await.unwrap();
    let mut cursor = 0_u64;
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{}:*", settings.namespace)).arg("COUNT").arg(1_000);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut connection).await.unwrap();
        if !keys.is_empty() {
            cmd("UNLINK").arg(&keys).exec_async(&mut connection).await.unwrap();
        }
        cursor = next;
        if cursor == 0 {
            return;
        }
    }
}

async fn sink(settings: &RedisSettings, corpus: &Corpus, users: usize) -> Measured {
    let mut store = RedisCheckpoints::open(settings).await.unwrap();
    let (owner_epoch, found) = store.take_over(0).await.unwrap();
    assert!(found.is_none(), "nothing was there");
    let delta = |at: &Checkpointed| Delta {
        partition: 0,
        owner_epoch,
        position: at.position.clone(),
        record: at.record.clone(),
        users: at.users.clone(),
        forgotten: Vec::new(),
        ids: at.ids.clone(),
        horizon: DEFAULT_HORIZON,
    };
    let deltas: Vec<Delta> = corpus.checkpoints.iter().map(delta).collect();
    let meter = Meter::start(SERVER);
    for delta in deltas {
        assert_eq!(store.commit(delta).await.unwrap(), Committed::Kept);
    }
    meter.stop(users)
}

fn pipelines(settings: &RedisSettings, corpus: &Corpus) -> Vec<Pipeline> {
    let prefix = Keys::new(settings).user_prefix(0);
    let pipeline = |at: &Checkpointed| {
        let mut sets = pipe();
        for (user, state) in &at.users {
            sets.cmd("HSET").arg(format!("{prefix}{user}"));
            sets.arg("seq").arg(at.position.next_seq).arg("transactions").arg(state.events).arg("amount_mean").arg(state.mean_amount().to_string());
            sets.arg("home_department").arg(&state.home_department).arg("last_event").arg(state.last).arg("alerts").arg(state.alerts);
            sets.arg("state").arg(state.to_bytes().unwrap()).ignore();
        }
        sets
    };
    corpus.checkpoints.iter().map(pipeline).collect()
}

async fn raw(settings: &RedisSettings, corpus: &Corpus, users: usize) -> Measured {
    let mut connection = connect(settings).await.unwrap();
    let pipelines = pipelines(settings, corpus);
    let meter = Meter::start(SERVER);
    for sets in &pipelines {
        sets.exec_async(&mut connection).await.unwrap();
    }
    meter.stop(users)
}

pub(crate) async fn contest(url: &str, corpus: &Corpus, rounds: usize) -> Contest {
    let mut contest = Contest::new(SERVER, "users", &["checkpoints", "raw: HSET, pipelined"], &[]);
    let users: usize = corpus.checkpoints.iter().map(|at| at.users.len()).sum();
    for round in 0..rounds {
        for way in contest.order(round) {
            let settings = own_namespace(url);
            let measured = if way == 0 { sink(&settings, corpus, users).await } else { raw(&settings, corpus, users).await };
            remove(&settings).await;
            contest.add(way, measured);
        }
    }
    contest.notes.push(format!("redis: {} checkpoints with {users} states of users, and the ids of {} records", corpus.checkpoints.len(), corpus.rows));
    contest
}
