//! The baselines on Redis: checkpoints of the users that changed, each one script with the ids seen and the position. Raw: pipelined `HSET`
//! of the same fields and values, a pipeline a checkpoint, without ids, index and position.

use wh_bench::raw::corpus::Checkpointed;
use wh_bench::raw::{self, Corpus};
use wh_scorer::dedup::DEFAULT_HORIZON;
use wh_scorer::state::redis::RedisCheckpoints;
use wh_scorer::state::{CheckpointStore, Committed, Delta};
use wh_stores::redis::{RawRedis, RedisSettings};
use wh_stores::{Durability, ServerUrl};

use crate::{Contest, Measured, Meter, cpu};

const SERVER: &str = "redis";

/// Settings for a namespace of its own.
fn own_namespace(url: &str) -> RedisSettings {
    let server = RedisSettings::try_new(&ServerUrl::parse(url).unwrap(), &RawRedis::default(), Durability::Warn).unwrap();
    RedisSettings { namespace: raw::own_name(), ..server }
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

pub(crate) async fn contest(url: &str, corpus: &Corpus, rounds: usize) -> Contest {
    let mut contest = Contest::new(SERVER, "users", &["checkpoints", "raw: HSET, pipelined"], &[]);
    let users: usize = corpus.checkpoints.iter().map(|at| at.users.len()).sum();
    for round in 0..rounds {
        for way in contest.order(round) {
            let settings = own_namespace(url);
            let measured = if way == 0 { sink(&settings, corpus, users).await } else { Measured::of(&raw::redis::write(&settings, corpus, &cpu(SERVER)).await.unwrap()) };
            raw::redis::remove(&settings).await.unwrap();
            contest.add(way, measured);
        }
    }
    contest.notes.push(format!("redis: {} checkpoints with {users} states of users, and the ids of {} records", corpus.checkpoints.len(), corpus.rows));
    contest
}
