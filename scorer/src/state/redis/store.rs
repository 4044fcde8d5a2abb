//! The I/O of the checkpoints in Redis.
//!
//! What must stay true: a checkpoint is one script, which compares the owner, what this owner was told of, and the position before it
//! writes anything; a partition is read only after its epoch was raised, so that nothing changes meanwhile; a request whose answer
//! was lost may be sent again.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisResult, Script, ServerErrorKind, cmd, pipe};
use wh_schemas::Reaction;
use wh_stores::clock;
use wh_stores::redis::{Keys, Link, RedisSettings, checks, connect, layout, reaction};

use super::dialect::{self, Outcome, Owner, Requests, SCRIPTS};
use super::patterns::HeldPatterns;
use crate::dedup::{self, Seen};
use crate::engine::UserState;
use crate::partition::{PartitionRecord, Position};
use crate::state::{Checkpoint, CheckpointStore, Committed, Delta};

/// A checkpoint's next seq, next offset, state epoch and record.
type Stands = (Option<u64>, Option<u64>, Option<u32>, Option<String>);

/// Entries of ids that are asked for first.
const FIRST_ENTRIES: usize = 16;
/// What a script needs for one staged user, several times over: added to the time that an answer may take.
pub(super) const EACH_STAGED: Duration = Duration::from_micros(100);

/// The baselines store on a Redis server.
#[derive(Debug)]
pub struct RedisCheckpoints {
    pub(super) link: Link,
    pub(super) keys: Keys,
    held: BTreeMap<u32, Held>,
    pub(super) patterns: Option<HeldPatterns>,
    pub(super) stages: u64,
}

/// A partition that is ours.
#[derive(Clone, Debug)]
struct Held {
    owner: Owner,
    /// Next seq and offset of the last checkpoint of which the store has told us that it keeps it.
    told: Option<(u64, u64)>,
}

impl RedisCheckpoints {
    /// Connects, and makes the layout where there is none.
    ///
    /// # Errors
    /// Transient where the server is away; fatal where it does not take the credentials, is too old, holds something else under these
    /// keys, or may lose data though durability is asked for.
    pub async fn open(settings: &RedisSettings) -> Result<RedisCheckpoints, Reaction> {
        let keys = Keys::new(settings);
        let mut link = Link::new(settings.clone());
        let mut connection = link.connection().await?;
        checks::insist(&mut connection, link.settings()).await?;
        for made in layout::ensure(&mut connection, link.settings()).await? {
            tracing::info!("{made}");
        }
        Ok(RedisCheckpoints { link, keys, held: BTreeMap::new(), patterns: None, stages: 0 })
    }

    pub(super) fn place(&self) -> String {
        self.link.settings().place()
    }

    fn damaged(&self, partition: u32, what: &str) -> Reaction {
        dialect::damaged(&self.place(), &self.keys, partition, what)
    }

    pub(super) async fn ask<T: FromRedisValue>(&mut self, request: &Cmd) -> Result<T, Reaction> {
        let mut connection = self.link.connection().await?;
        let answer: RedisResult<T> = request.query_async(&mut connection).await;
        self.link.settled(answer)
    }

    async fn ask_all<T: FromRedisValue>(&mut self, requests: &Pipeline) -> Result<T, Reaction> {
        let mut connection = self.link.connection().await?;
        let answer: RedisResult<T> = requests.query_async(&mut connection).await;
        self.link.settled(answer)
    }

    /// Runs a script, which the server is given again where it has forgotten it.
    pub(super) async fn run<T: FromRedisValue + Send>(&mut self, script: &Script, request: &Cmd, patience: Duration) -> Result<T, Reaction> {
        let mut connection = self.link.connection().await?;
        connection.set_response_timeout(self.link.settings().response_timeout.saturating_add(patience));
        let mut answer: RedisResult<T> = request.query_async(&mut connection).await;
        let forgotten = answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript));
        if forgotten {
            answer = match script.load_async(&mut connection).await {
                Ok(_) => request.query_async(&mut connection).await,
                Err(error) => Err(error),
            };
        }
        self.link.settled(answer)
    }

    async fn decide(&mut self, script: &Script, request: &Cmd, patience: Duration) -> Result<Outcome, Reaction> {
        let answer: Vec<String> = self.run(script, request, patience).await?;
        dialect::outcome(&answer).ok_or_else(|| Reaction::fatal(format!("baselines ({}): a script's answer cannot be read: is this a Redis server?", self.place())))
    }

    /// Begins the stage `name`, or none, with nothing in it: [`Outcome::Staged`] then.
    async fn unstage(&mut self, partition: u32, owner: &Owner, name: &str) -> Result<Outcome, Reaction> {
        loop {
            let request = Requests { keys: &self.keys, partition, owner }.unstage(name);
            match self.decide(&SCRIPTS.unstage, &request, Duration::ZERO).await? {
                Outcome::Left(0) => return Ok(Outcome::Staged),
                Outcome::Left(_) => {}
                other => return Ok(other),
            }
        }
    }

    /// Writes a checkpoint that is too large for one script to carry: its users are put beside the present ones first, then exchanged
    /// with the position, all at once.
    async fn commit_in_parts(&mut self, owner: &Owner, told: Option<(u64, u64)>, delta: &Delta) -> Result<Outcome, Reaction> {
        let partition = delta.partition;
        self.stages += 1;
        // A part that comes late, of an attempt that was given up, finds another name and changes nothing.
        let name = format!("{}-{}", delta.position.next_offset, self.stages);
        let begun = self.unstage(partition, owner, &name).await?;
        if begun != Outcome::Staged {
            return Ok(begun);
        }
        for part in delta.users.chunks(self.link.settings().part_users.max(1)) {
            let request = Requests { keys: &self.keys, partition, owner }.stage(&name, delta.position.next_seq, part)?;
            let outcome = self.decide(&SCRIPTS.stage, &request, Duration::ZERO).await?;
            if outcome != Outcome::Staged {
                return Ok(outcome);
            }
        }
        let staged = delta.users.len();
        let request = Requests { keys: &self.keys, partition, owner }.commit(told, delta, Some((name.as_str(), staged)), clock::now().0)?;
        let patience = EACH_STAGED.saturating_mul(u32::try_from(staged).unwrap_or(u32::MAX));
        let outcome = self.decide(&SCRIPTS.commit, &request, patience).await?;
        if outcome == Outcome::Kept {
            // Where only the answer of an earlier attempt was lost, the stage is still there.
            match self.unstage(partition, owner, "").await {
                Ok(_) | Err(Reaction::Transient { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(outcome)
    }

    async fn users(&mut self, partition: u32, expected: u64) -> Result<Vec<(String, UserState)>, Reaction> {
        let page = self.link.settings().page_users;
        let mut users = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let names: Vec<String> = self.ask(&dialect::page(&self.keys, partition, after.as_deref(), page)).await?;
            let Some(last) = names.last() else { break };
            after = Some(last.clone());
            let states: Vec<Option<Vec<u8>>> = self.ask_all(&dialect::states(&self.keys, partition, &names)).await?;
            for (user, state) in names.into_iter().zip(states) {
                let bytes = state.ok_or_else(|| self.damaged(partition, "a user's state is gone: it was deleted, or dropped for want of memory (see maxmemory-policy)"))?;
                let state = UserState::from_bytes(&bytes).map_err(|error| self.damaged(partition, &error.to_string()))?;
                users.push((user, state));
            }
        }
        if users.len() as u64 == expected { Ok(users) } else { Err(self.damaged(partition, &format!("{} users are there where the checkpoint has {expected}", users.len()))) }
    }

    async fn ids(&mut self, partition: u32) -> Result<Vec<Seen>, Reaction> {
        let mut ids = Vec::new();
        let (mut after, mut wanted): (Option<String>, usize) = (None, FIRST_ENTRIES);
        loop {
            let entries: Vec<(String, (String, Vec<u8>))> = self.ask(&dialect::ids(&self.keys, partition, after.as_deref(), wanted)).await?;
            let Some((last, _)) = entries.last() else { return Ok(ids) };
            after = Some(last.clone());
            let bytes: usize = entries.iter().map(|(_, (_, blob))| blob.len()).sum();
            wanted = dialect::entries_next(entries.len(), bytes);
            for (_, (_, blob)) in &entries {
                ids.extend(dedup::from_bytes(blob));
            }
        }
    }
}

#[async_trait]
impl CheckpointStore for RedisCheckpoints {
    async fn take_over(&mut self, partition: u32) -> Result<(u64, Option<Checkpoint>), Reaction> {
        // Named before it has an owner, so that no reader misses it.
        let mut named = cmd("SADD");
        named.arg(self.keys.partitions()).arg(partition);
        self.ask::<()>(&named).await?;
        let now = clock::now().0;
        let name = format!("{}-{now}", std::process::id());
        let request = dialect::takeover(&self.keys, partition, &name, now);
        let answer = self.run(&SCRIPTS.takeover, &request, Duration::ZERO).await?;
        let Some(stand) = dialect::stand(answer) else { return Err(self.damaged(partition, "a part of its checkpoint is missing")) };
        let owner = Owner { epoch: stand.epoch, name };
        let told = stand.checkpoint.as_ref().map(|(position, _)| (position.next_seq, position.next_offset));
        self.held.insert(partition, Held { owner: owner.clone(), told });
        if stand.torn {
            return Err(self.damaged(partition, "a checkpoint was broken off in the middle"));
        }
        // What an earlier owner has staged and never exchanged.
        self.unstage(partition, &owner, "").await?;
        let Some((position, record)) = stand.checkpoint else { return Ok((owner.epoch, None)) };
        let record: PartitionRecord = serde_json::from_str(&record).map_err(|error| self.damaged(partition, &format!("its record cannot be read: {error}")))?;
        let users = self.users(partition, stand.users).await?;
        let ids = self.ids(partition).await?;
        let mut asked = cmd("HMGET");
        asked.arg(self.keys.checkpoint(partition)).arg("owner_epoch").arg("owner");
        let present: (Option<u64>, Option<String>) = self.ask(&asked).await?;
        if present != (Some(owner.epoch), Some(owner.name)) {
            return Err(Reaction::fatal(format!(
                "partition {partition} of the scorer was taken over while it was read (epoch {}, ours is {})",
                present.0.unwrap_or(0),
                owner.epoch
            )));
        }
        Ok((owner.epoch, Some(Checkpoint { position, record, users, ids })))
    }

    async fn forget(&mut self, partition: u32, owner_epoch: u64) -> Result<(), Reaction> {
        let Some(owner) = self.held.get(&partition).map(|held| held.owner.clone()).filter(|owner| owner.epoch == owner_epoch) else {
            return Err(Reaction::fatal(format!("partition {partition} of the scorer is not ours (epoch {owner_epoch})")));
        };
        let position = Position::default();
        let refused = |outcome: &Outcome, place: &str, keys: &Keys| dialect::refused(place, keys, partition, (owner_epoch, &position), outcome);
        let unstaged = self.unstage(partition, &owner, "").await?;
        if unstaged != Outcome::Staged {
            return Err(refused(&unstaged, &self.place(), &self.keys));
        }
        loop {
            let request = Requests { keys: &self.keys, partition, owner: &owner }.forget();
            match self.decide(&SCRIPTS.forget, &request, Duration::ZERO).await? {
                Outcome::Left(0) => break,
                Outcome::Left(_) => {}
                other => return Err(refused(&other, &self.place(), &self.keys)),
            }
        }
        if let Some(held) = self.held.get_mut(&partition) {
            held.told = None;
        }
        Ok(())
    }

    async fn commit(&mut self, delta: Delta) -> Result<Committed, Reaction> {
        let partition = delta.partition;
        let held = self.held.get(&partition).filter(|held| held.owner.epoch == delta.owner_epoch).cloned();
        // Under an epoch that is not ours the script refuses it, since no owner has this name.
        let Held { owner, told } = held.unwrap_or_else(|| Held { owner: Owner { epoch: delta.owner_epoch, name: String::new() }, told: None });
        let outcome = if delta.users.len() > self.link.settings().part_users {
            self.commit_in_parts(&owner, told, &delta).await?
        } else {
            let request = Requests { keys: &self.keys, partition, owner: &owner }.commit(told, &delta, None, clock::now().0)?;
            self.decide(&SCRIPTS.commit, &request, Duration::ZERO).await?
        };
        // Also where somebody else has it: this member is told so by its next poll.
        if matches!(outcome, Outcome::Behind { .. } | Outcome::Taken { .. }) {
            return Ok(Committed::Lost(dialect::refused(&self.place(), &self.keys, partition, (delta.owner_epoch, &delta.position), &outcome).to_string()));
        }
        if outcome != Outcome::Kept {
            return Err(dialect::refused(&self.place(), &self.keys, partition, (delta.owner_epoch, &delta.position), &outcome));
        }
        if let Some(held) = self.held.get_mut(&partition) {
            held.told = Some((delta.position.next_seq, delta.position.next_offset));
        }
        Ok(Committed::Kept)
    }
}

/// Where each partition's scorer stood at its last checkpoint: next offset and the partition's record. Read without writing.
///
/// # Errors
/// Where the store cannot be read.
pub async fn read_partitions(settings: &RedisSettings) -> Result<Vec<(u64, PartitionRecord)>, Reaction> {
    Ok(read_checkpoints(settings).await?.into_iter().map(|(_, position, record)| (position.next_offset, record)).collect())
}

/// Each partition's last checkpoint but for users and ids: number, position and record. Read without writing.
///
/// # Errors
/// Where the store cannot be read.
pub async fn read_checkpoints(settings: &RedisSettings) -> Result<Vec<(u32, Position, PartitionRecord)>, Reaction> {
    let (place, keys) = (settings.place(), Keys::new(settings));
    let told = |error: redis::RedisError| reaction(&place, &error);
    let mut connection = connect(settings).await?;
    layout::check(&mut connection, settings).await.map_err(|failure| failure.reaction(&place))?;
    let partitions: RedisResult<Vec<u32>> = cmd("SMEMBERS").arg(keys.partitions()).query_async(&mut connection).await;
    let mut partitions = partitions.map_err(told)?;
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    partitions.sort_unstable();
    let mut asked = pipe();
    for partition in &partitions {
        asked.cmd("HMGET").arg(keys.checkpoint(*partition)).arg("next_seq").arg("next_offset").arg("state_epoch").arg("record");
    }
    let found: RedisResult<Vec<Stands>> = asked.query_async(&mut connection).await;
    let mut checkpoints = Vec::new();
    for (partition, found) in partitions.into_iter().zip(found.map_err(told)?) {
        let (Some(next_seq), Some(next_offset), Some(state_epoch), Some(record)) = found else { continue };
        let record = serde_json::from_str(&record).map_err(|error| Reaction::fatal(format!("baselines ({place}): {error}")))?;
        checkpoints.push((partition, Position { next_seq, next_offset, state_epoch }, record));
    }
    Ok(checkpoints)
}
