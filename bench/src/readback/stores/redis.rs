//! The baselines in Redis: a checkpoint holds users, so that a transaction is seen once the checkpoint goes beyond it.

use ::redis::aio::MultiplexedConnection;
use ::redis::pipe;
use async_trait::async_trait;
use wh_schemas::Reaction;
use wh_stores::redis::{Keys, RedisSettings};

use super::super::{Look, Sample};

/// A connection that looks at the checkpoints.
pub(super) struct Baselines {
    connection: MultiplexedConnection,
    keys: Keys,
    place: String,
    partitions: u32,
}

impl Baselines {
    pub(super) async fn open(settings: &RedisSettings, partitions: u32) -> Result<Baselines, Reaction> {
        Ok(Baselines { connection: wh_stores::redis::connect(settings).await?, keys: Keys::new(settings), place: settings.place(), partitions })
    }

    /// Up to which number each partition is checkpointed.
    async fn checkpointed(&mut self) -> Result<Vec<u64>, Reaction> {
        let mut asked = pipe();
        for partition in 0..self.partitions {
            asked.cmd("HGET").arg(self.keys.checkpoint(partition)).arg("next_seq");
        }
        let found = asked.query_async::<Vec<Option<u64>>>(&mut self.connection).await;
        let found = found.map_err(|error| wh_stores::redis::reaction(&self.place, &error))?;
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }
}

#[async_trait]
impl Look for Baselines {
    async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction> {
        let reached = self.checkpointed().await?;
        let of = |partition: u32| usize::try_from(partition).ok().and_then(|partition| reached.get(partition)).copied().unwrap_or(0);
        Ok(samples.iter().map(|sample| of(sample.partition) > sample.seq).collect())
    }

    async fn reached(&mut self) -> Result<u64, Reaction> {
        Ok(self.checkpointed().await?.iter().sum())
    }

    async fn rows(&mut self) -> Result<u64, Reaction> {
        self.reached().await
    }

    async fn bytes(&mut self) -> Result<Option<u64>, Reaction> {
        // The server tells what all of its keys take, not ours.
        Ok(None)
    }
}
