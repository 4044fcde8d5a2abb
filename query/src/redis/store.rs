//! Redis as the store of the baselines.
//!
//! What must stay true: nothing is written; a few connections are shared by all queries and made when they are needed; one that broke
//! while nobody used it is made anew without a word, since what is read can be read again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisResult, pipe};
use tokio::sync::Mutex;
use wh_stores::redis::connect::open;
use wh_stores::redis::errors::failure;
use wh_stores::redis::{Failure, Keys, RedisSettings, layout};

use super::scan::UsersScan;
use crate::errors::QueryError;
use crate::shape;
use crate::store::{BaselinesStore, RoleStore, wait};
use crate::table::Relation;

/// The role's name in errors.
const ROLE: &str = "baselines";

/// A Redis server, read.
pub(crate) struct RedisBaselines {
    pub(crate) settings: RedisSettings,
    pub(crate) keys: Keys,
    connections: Vec<Mutex<Option<MultiplexedConnection>>>,
    next: AtomicUsize,
}

impl fmt::Debug for RedisBaselines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBaselines").field("place", &self.settings.place()).finish_non_exhaustive()
    }
}

impl RedisBaselines {
    /// No I/O: it connects when it is read.
    pub(crate) fn new(settings: RedisSettings) -> RedisBaselines {
        let connections = (0..settings.connections.max(1)).map(|_| Mutex::new(None)).collect();
        RedisBaselines { keys: Keys::new(&settings), settings, connections, next: AtomicUsize::new(0) }
    }

    /// What a failure says.
    pub(crate) fn failed(&self, failure: &Failure) -> QueryError {
        QueryError::Store { role: ROLE, message: format!("{}: {}", self.settings, failure.message), remedy: failure.remedy.clone() }
    }

    /// What is there is not what the layout says.
    pub(crate) fn damaged(&self, what: &dyn fmt::Display) -> QueryError {
        self.failed(&Failure::fatal(what.to_string(), "see `wardhouse status`: the scorer says how the baselines are made anew from the log"))
    }

    /// Asks, on one of the connections.
    pub(crate) async fn ask<T: FromRedisValue>(&self, request: &Pipeline) -> Result<T, QueryError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len().max(1);
        let slot = self.connections.get(turn).ok_or_else(|| QueryError::internal("there is no connection to Redis"))?;
        loop {
            let (mut connection, kept) = self.connection(slot).await?;
            let answer: RedisResult<T> = request.query_async(&mut connection).await;
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let broken = error.is_io_error() || error.is_unrecoverable_error();
            if broken {
                *slot.lock().await = None;
            }
            if !(broken && kept) || error.is_timeout() {
                return Err(self.failed(&failure(&error)));
            }
        }
    }

    /// A connection, and whether it was there before.
    async fn connection(&self, slot: &Mutex<Option<MultiplexedConnection>>) -> Result<(MultiplexedConnection, bool), QueryError> {
        let mut held = slot.lock().await;
        if let Some(connection) = held.as_ref() {
            return Ok((connection.clone(), true));
        }
        let (mut connection, _) = open(&self.settings).await.map_err(|failure| self.failed(&failure))?;
        let version = layout::check(&mut connection, &self.settings).await.map_err(|failure| self.failed(&failure))?;
        if version.is_none() {
            return Err(self.failed(&Failure::transient(
                format!("there are no baselines in the namespace {:?} yet", self.settings.namespace),
                "start the scorer on it, or name another namespace in stores.baselines",
            )));
        }
        *held = Some(connection.clone());
        Ok((connection, false))
    }

    /// The partitions' numbers, in their order.
    pub(crate) async fn partitions(&self) -> Result<Vec<u32>, QueryError> {
        let mut request = pipe();
        request.cmd("SMEMBERS").arg(self.keys.partitions());
        let (mut partitions,): (Vec<u32>,) = self.ask(&request).await?;
        partitions.sort_unstable();
        Ok(partitions)
    }

    /// How many users each of these partitions has.
    pub(crate) async fn counts(&self, partitions: &[u32]) -> Result<Vec<usize>, QueryError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut request = pipe();
        for partition in partitions {
            request.cmd("ZCARD").arg(self.keys.index(*partition));
        }
        self.ask(&request).await
    }

    /// How many users there are.
    pub(crate) async fn users(&self) -> Result<usize, QueryError> {
        let partitions = self.partitions().await?;
        Ok(self.counts(&partitions).await?.iter().sum())
    }

    async fn next_seqs(&self) -> Result<BTreeMap<i64, i64>, QueryError> {
        let partitions = self.partitions().await?;
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut request = pipe();
        for partition in &partitions {
            request.cmd("HGET").arg(self.keys.checkpoint(*partition)).arg("next_seq");
        }
        let found: Vec<Option<i64>> = self.ask(&request).await?;
        // One that has an owner and no checkpoint yet stands at its beginning.
        Ok(partitions.into_iter().zip(found).map(|(partition, next_seq)| (i64::from(partition), next_seq.unwrap_or(0))).collect())
    }
}

impl RoleStore for RedisBaselines {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn place(&self) -> String {
        self.settings.place()
    }

    fn layout(&self) -> Result<Option<i64>, QueryError> {
        let mut request = pipe();
        request.cmd("HGET").arg(self.keys.layout()).arg("version");
        let (version,): (Option<i64>,) = wait(self.ask(&request))?;
        Ok(version)
    }

    fn bytes(&self) -> Option<u64> {
        // Redis tells what all its keys take, and of one key at a time.
        None
    }

    fn relations(self: Arc<Self>) -> Vec<Relation> {
        let shape = shape::baselines();
        let scan = UsersScan { store: self, shape: Arc::new(shape.clone()), surveys: Arc::default() };
        vec![Relation::new(ROLE, &shape, Arc::new(scan))]
    }
}

impl BaselinesStore for RedisBaselines {
    fn reached(&self) -> Result<BTreeMap<i64, i64>, QueryError> {
        wait(self.next_seqs())
    }

    fn patterns(&self) -> Result<Option<i64>, QueryError> {
        let mut request = pipe();
        request.cmd("HGET").arg(self.keys.patterns("checkpoint")).arg("next_seq");
        let (next_seq,): (Option<i64>,) = wait(self.ask(&request))?;
        Ok(next_seq)
    }
}
