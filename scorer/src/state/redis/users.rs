//! Users of the baselines store on Redis one by one.
//!
//! What must stay true: each part of a correction is one script, which compares the checkpoint's position before it writes anything; keys and arguments stand as
//! `schemas/redis/correct.lua` says; what is read is a page of users at a time.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Pipeline, RedisResult, Script, cmd};
use wh_schemas::Reaction;
use wh_stores::redis::layout::USER_FIELDS;

use super::dialect;
use super::store::{EACH_STAGED, RedisCheckpoints};
use crate::partition::{PartitionRecord, Position};
use crate::state::users::{Corrections, StoredUser, StoredUsers, shown};

static CORRECT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../../../../schemas/redis/correct.lua")));
/// Users of one script.
const PART: usize = 500;
/// Keys of one step through all keys.
const SCANNED: usize = 1_000;

/// The fields of a user's hash, in the order of [`USER_FIELDS`].
type Held = Vec<Option<Vec<u8>>>;

fn user(partition: u32, name: String, held: Held) -> StoredUser {
    let mut held = held.into_iter();
    let text = |value: Option<Option<Vec<u8>>>| value.flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let seq = text(held.next()).and_then(|seq| seq.parse().ok());
    let shown = [text(held.next()), text(held.next()), text(held.next()), text(held.next()), text(held.next())];
    StoredUser { partition, user: name, seq, shown, state: held.next().flatten() }
}

impl RedisCheckpoints {
    async fn all<T: redis::FromRedisValue>(&mut self, requests: &Pipeline) -> Result<T, Reaction> {
        let mut connection = self.link.connection().await?;
        let answer: RedisResult<T> = requests.query_async(&mut connection).await;
        self.link.settled(answer)
    }

    async fn held(&mut self, partition: u32, names: Vec<String>) -> Result<Vec<StoredUser>, Reaction> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let prefix = self.keys.user_prefix(partition);
        let mut asked = Pipeline::with_capacity(names.len());
        for name in &names {
            asked.cmd("HMGET").arg(format!("{prefix}{name}")).arg(&USER_FIELDS[..]);
        }
        let found: Vec<Held> = self.all(&asked).await?;
        Ok(names.into_iter().zip(found).map(|(name, held)| user(partition, name, held)).collect())
    }

    /// One step of a correction.
    async fn correct_part(&mut self, partition: u32, at: &Position, part: &Corrections) -> Result<bool, Reaction> {
        let prefix = self.keys.user_prefix(partition);
        let record = match &part.record {
            Some(record) => serde_json::to_string(record).map_err(|error| Reaction::fatal(format!("the checkpoint's record cannot be written: {error}")))?,
            None => String::new(),
        };
        let mut request = cmd("EVALSHA");
        request.arg(CORRECT.get_hash()).arg(2 + part.write.len()).arg(self.keys.checkpoint(partition)).arg(self.keys.index(partition));
        for (name, _) in &part.write {
            request.arg(format!("{prefix}{name}"));
        }
        request.arg(at.next_seq).arg(at.next_offset).arg(&prefix).arg(record);
        for (_, state) in &part.write {
            let bytes = state.to_bytes().map_err(|error| Reaction::fatal(format!("a user's state cannot be written: {error}")))?;
            for value in shown(state) {
                request.arg(value.unwrap_or_default());
            }
            request.arg(bytes);
        }
        for name in &part.remove {
            request.arg(name);
        }
        let patience = EACH_STAGED.saturating_mul(u32::try_from(part.write.len() + part.remove.len()).unwrap_or(u32::MAX));
        let answer: Vec<String> = self.run(&CORRECT, &request, patience.max(Duration::from_millis(1))).await?;
        Ok(answer.first().is_some_and(|word| word == "kept"))
    }
}

fn removal(key: String) -> Cmd {
    let mut request = cmd("UNLINK");
    request.arg(key);
    request
}

#[async_trait]
impl StoredUsers for RedisCheckpoints {
    async fn checkpoints(&mut self) -> Result<Vec<(u32, Position, PartitionRecord)>, Reaction> {
        let settings = self.link.settings().clone();
        super::read_checkpoints(&settings).await
    }

    async fn page(&mut self, partition: u32, after: Option<&str>) -> Result<Vec<StoredUser>, Reaction> {
        let page = dialect::page(&self.keys, partition, after, self.link.settings().page_users);
        let names: Vec<String> = self.ask(&page).await?;
        self.held(partition, names).await
    }

    async fn strays(&mut self, partitions: &[u32], limit: usize) -> Result<Vec<StoredUser>, Reaction> {
        let mut strays = Vec::new();
        for partition in partitions {
            let prefix = self.keys.user_prefix(*partition);
            let mut from = 0_u64;
            loop {
                let mut scan = cmd("SCAN");
                scan.arg(from).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(SCANNED);
                let (next, keys): (u64, Vec<String>) = self.ask(&scan).await?;
                let names: Vec<String> = keys.iter().filter_map(|key| key.strip_prefix(&prefix).map(str::to_owned)).collect();
                if !names.is_empty() {
                    let mut asked = Pipeline::with_capacity(names.len());
                    for name in &names {
                        asked.cmd("ZSCORE").arg(self.keys.index(*partition)).arg(name);
                    }
                    let scores: Vec<Option<f64>> = self.all(&asked).await?;
                    let unlisted: Vec<String> = names.into_iter().zip(scores).filter(|(_, score)| score.is_none()).map(|(name, _)| name).collect();
                    strays.extend(unlisted.into_iter().map(|name| StoredUser { partition: *partition, user: name, ..StoredUser::default() }));
                }
                if next == 0 || strays.len() >= limit {
                    break;
                }
                from = next;
            }
        }
        // A key may be given twice.
        strays.sort_by(|one, other| (one.partition, &one.user).cmp(&(other.partition, &other.user)));
        strays.dedup_by(|one, other| (one.partition, &one.user) == (other.partition, &other.user));
        strays.truncate(limit);
        Ok(strays)
    }

    async fn correct(&mut self, partition: u32, at: &Position, corrections: &Corrections) -> Result<bool, Reaction> {
        let first = Corrections { record: corrections.record.clone(), ..Corrections::default() };
        if !self.correct_part(partition, at, &first).await? {
            return Ok(false);
        }
        for write in corrections.write.chunks(PART) {
            let part = Corrections { write: write.to_vec(), ..Corrections::default() };
            if !self.correct_part(partition, at, &part).await? {
                return Ok(false);
            }
        }
        for remove in corrections.remove.chunks(PART) {
            let part = Corrections { remove: remove.to_vec(), ..Corrections::default() };
            if !self.correct_part(partition, at, &part).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn remove_strays(&mut self, strays: &[StoredUser]) -> Result<(), Reaction> {
        for stray in strays {
            let key = format!("{}{}", self.keys.user_prefix(stray.partition), stray.user);
            self.ask::<()>(&removal(key)).await?;
        }
        Ok(())
    }
}
