//! The baselines on a Redis server, for their suite: each place has a namespace of its own in the test server's database.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::cmd;
use wh_scorer::state::CheckpointStore;
use wh_scorer::state::patterns::PatternCheckpoints;
use wh_scorer::state::redis::RedisCheckpoints;
use wh_stores::redis::{RawRedis, RedisSettings, connect};
use wh_stores::{Durability, ServerUrl};

use super::{own_name, url};
use crate::contract::baselines::CheckpointAdapter;

/// The adapter of the server.
pub(in crate::contract) fn baselines() -> Arc<dyn CheckpointAdapter> {
    Arc::new(OnRedis { part_users: RawRedis::default().part_users, opened: Mutex::default() })
}

/// The same, where nearly every checkpoint is too large for one script.
pub(in crate::contract) fn baselines_in_parts() -> Arc<dyn CheckpointAdapter> {
    Arc::new(OnRedis { part_users: 3, opened: Mutex::default() })
}

struct OnRedis {
    part_users: u64,
    /// Namespaces of the places that were opened: other tests of this process have theirs.
    opened: Mutex<BTreeSet<String>>,
}

/// Settings for a namespace of the test server.
pub(crate) fn settings(namespace: &str, raw: &RawRedis) -> RedisSettings {
    let server = url("REDIS").unwrap();
    let mark = if server.contains('?') { '&' } else { '?' };
    let url = ServerUrl::parse(&format!("{server}{mark}namespace={namespace}")).unwrap();
    RedisSettings::try_new(&url, raw, Durability::Warn).unwrap()
}

/// Deletes every key of a namespace.
pub(crate) async fn delete(connection: &mut MultiplexedConnection, namespace: &str) {
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<String>) = cmd("SCAN").arg(cursor).arg("MATCH").arg(format!("{namespace}:*")).arg("COUNT").arg(1_000).query_async(connection).await.unwrap();
        if !keys.is_empty() {
            cmd("UNLINK").arg(&keys).exec_async(connection).await.unwrap();
        }
        cursor = next;
        if cursor == 0 {
            return;
        }
    }
}

#[async_trait]
impl CheckpointAdapter for OnRedis {
    fn name(&self) -> &'static str {
        if self.part_users > 100 { "the baselines on Redis" } else { "the baselines on Redis, in parts" }
    }

    async fn open(&self, place: &Path) -> Box<dyn CheckpointStore> {
        // Small pages, so that a partition is read in several.
        let raw = RawRedis { part_users: self.part_users, page_users: 7, ..RawRedis::default() };
        let namespace = own_name(place);
        self.opened.lock().unwrap().insert(namespace.clone());
        Box::new(RedisCheckpoints::open(&settings(&namespace, &raw)).await.unwrap())
    }

    async fn open_patterns(&self, place: &Path) -> Box<dyn PatternCheckpoints> {
        let raw = RawRedis { part_users: self.part_users, page_users: 7, ..RawRedis::default() };
        let namespace = own_name(place);
        self.opened.lock().unwrap().insert(namespace.clone());
        Box::new(RedisCheckpoints::open(&settings(&namespace, &raw)).await.unwrap())
    }

    async fn sweep(&self) {
        let mut connection = connect(&settings("wardhouse", &RawRedis::default())).await.unwrap();
        let opened = std::mem::take(&mut *self.opened.lock().unwrap());
        for namespace in opened {
            delete(&mut connection, &namespace).await;
        }
    }
}
