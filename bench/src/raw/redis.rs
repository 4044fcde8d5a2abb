//! Redis: pipelined `HSET` of the states that the checkpoints hold, a pipeline a checkpoint, into a namespace of our own; without ids, index
//! and position.

use redis::{Pipeline, cmd, pipe};
use wh_stores::redis::{Keys, RedisSettings, connect};

use super::corpus::Checkpointed;
use super::meter::{Meter, ServerCpu, Took};
use super::{Corpus, Run, Unmeasured, and_remove, own_name};
use crate::report::RawRate;

/// How it is called in reports.
pub const WAY: &str = "pipelined HSET of the users of each checkpoint";

/// Keys that one look finds.
const PAGE: usize = 1_000;

fn failed(error: redis::RedisError) -> Unmeasured {
    Unmeasured::new("Redis", error)
}

/// One checkpoint's commands, and how many users it holds.
fn pipeline(prefix: &str, at: &Checkpointed) -> Result<Pipeline, Unmeasured> {
    let mut sets = pipe();
    for (user, state) in &at.users {
        let bytes = state.to_bytes().map_err(|error| Unmeasured::new("a user's state", error))?;
        sets.cmd("HSET").arg(format!("{prefix}{user}"));
        sets.arg("seq").arg(at.position.next_seq).arg("transactions").arg(state.events).arg("amount_mean").arg(state.mean_amount().to_string());
        sets.arg("home_department").arg(&state.home_department).arg("last_event").arg(state.last).arg("alerts").arg(state.alerts);
        sets.arg("state").arg(bytes).ignore();
    }
    Ok(sets)
}

/// Writes the users of all checkpoints; what is counted is users.
///
/// # Errors
/// As the store's.
pub async fn write(settings: &RedisSettings, corpus: &Corpus, cpu: &ServerCpu) -> Result<Took, Unmeasured> {
    let mut connection = connect(settings).await?;
    let prefix = Keys::new(settings).user_prefix(0);
    let pipelines = corpus.checkpoints.iter().map(|at| pipeline(&prefix, at)).collect::<Result<Vec<Pipeline>, Unmeasured>>()?;
    let users = corpus.checkpoints.iter().map(|at| at.users.len()).sum();
    let bytes = pipelines.iter().map(|sets| sets.get_packed_pipeline().len()).sum();
    let meter = Meter::start(cpu);
    for sets in &pipelines {
        sets.exec_async(&mut connection).await.map_err(failed)?;
    }
    Ok(meter.stop(users, bytes))
}

/// Removes every key of a namespace.
///
/// # Errors
/// As the store's.
pub async fn remove(settings: &RedisSettings) -> Result<(), Unmeasured> {
    let mut connection = connect(settings).await?;
    let mut cursor = 0_u64;
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{}:*", settings.namespace)).arg("COUNT").arg(PAGE);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut connection).await.map_err(failed)?;
        if !keys.is_empty() {
            cmd("UNLINK").arg(&keys).exec_async(&mut connection).await.map_err(failed)?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

/// Measures it.
pub(super) async fn measure(settings: &RedisSettings, run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    let own = RedisSettings { namespace: own_name(), ..settings.clone() };
    let work = async {
        let took = write(&own, run.corpus, &run.cpu).await?;
        Ok::<_, Unmeasured>(took.of(run.corpus.rows).raw_rate("baselines", WAY))
    };
    and_remove(run.stop, work, remove(&own)).await
}
