//! Checkpoints as Redis keeps them: requests made of deltas, outcomes read from answers. Pure.
//!
//! What must stay true: keys and arguments stand as `schemas/redis/*.lua` say; every key of a request belongs to one partition;
//! no user's id or state is in a message.

use std::sync::LazyLock;

use redis::{Cmd, Pipeline, Script, cmd};
use wh_schemas::Reaction;
use wh_stores::redis::Keys;

use crate::dedup;
use crate::engine::UserState;
use crate::partition::Position;
use crate::state::Delta;

/// How many staged users one script takes away.
const CLEARED: usize = 1_000;

/// The scripts, each known to the server by its hash.
pub(super) struct Scripts {
    pub(super) takeover: Script,
    pub(super) unstage: Script,
    pub(super) forget: Script,
    pub(super) stage: Script,
    pub(super) commit: Script,
}

/// The scripts of this version.
pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| {
    let owned = |script: &str| Script::new(&format!("{}{script}", include_str!("../../../../schemas/redis/owner.lua")));
    Scripts {
        takeover: Script::new(include_str!("../../../../schemas/redis/takeover.lua")),
        unstage: owned(include_str!("../../../../schemas/redis/unstage.lua")),
        forget: owned(include_str!("../../../../schemas/redis/forget.lua")),
        stage: owned(include_str!("../../../../schemas/redis/stage.lua")),
        commit: owned(include_str!("../../../../schemas/redis/commit.lua")),
    }
});

/// In whose name a partition is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) epoch: u64,
    /// Tells two owners apart to whom a store that went back gave the same epoch.
    pub(super) name: String,
}

/// Where a partition stood when it was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) epoch: u64,
    /// Position and record of its checkpoint, if it has one.
    pub(super) checkpoint: Option<(Position, String)>,
    /// How many users the checkpoint has.
    pub(super) users: u64,
    /// Whether a script broke off in the middle of a checkpoint.
    pub(super) torn: bool,
}

/// Reads what `takeover.lua` answers; `None` where it is not what the script answers.
pub(super) fn stand((epoch, fields): (u64, Vec<Option<String>>)) -> Option<Stand> {
    let [next_seq, next_offset, state_epoch, record, users, torn]: [Option<String>; 6] = fields.try_into().ok()?;
    let users = users.map_or(Some(0), |users| users.parse().ok())?;
    let checkpoint = match (next_seq, next_offset, state_epoch, record) {
        (Some(seq), Some(offset), Some(state), Some(record)) => {
            Some((Position { next_seq: seq.parse().ok()?, next_offset: offset.parse().ok()?, state_epoch: state.parse().ok()? }, record))
        }
        (None, None, None, None) => None,
        _ => return None,
    };
    Some(Stand { epoch, checkpoint, users, torn: torn.is_some() })
}

/// What a script answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The checkpoint is kept, all of it.
    Kept,
    /// A part of it is staged.
    Staged,
    /// So many users of an earlier stage are still there.
    Left(u64),
    /// Somebody else owns the partition.
    Taken { epoch: String },
    /// The checkpoint stands beyond ours.
    Beyond { seq: String, offset: String },
    /// What the store had told us that it keeps is gone.
    Behind { seq: String, offset: String },
    /// A script broke off in the middle of a checkpoint.
    Torn,
    /// What was staged is not what is to be kept.
    Unstaged,
}

/// Reads what `commit.lua`, `stage.lua` and `unstage.lua` answer.
pub(super) fn outcome(answer: &[String]) -> Option<Outcome> {
    let words: Vec<&str> = answer.iter().map(String::as_str).collect();
    Some(match words.as_slice() {
        ["kept"] => Outcome::Kept,
        ["staged"] => Outcome::Staged,
        ["left", count] => Outcome::Left(count.parse().ok()?),
        ["taken", epoch] => Outcome::Taken { epoch: (*epoch).to_owned() },
        ["beyond", seq, offset] => Outcome::Beyond { seq: (*seq).to_owned(), offset: (*offset).to_owned() },
        ["behind", seq, offset] => Outcome::Behind { seq: (*seq).to_owned(), offset: (*offset).to_owned() },
        ["torn"] => Outcome::Torn,
        ["unstaged"] => Outcome::Unstaged,
        _ => return None,
    })
}

/// What a stage does about a checkpoint that was not kept.
pub(super) fn refused(place: &str, keys: &Keys, partition: u32, ours: (u64, &Position), outcome: &Outcome) -> Reaction {
    let (epoch_of_ours, position) = ours;
    match outcome {
        Outcome::Taken { epoch } => Reaction::fatal(format!("partition {partition} of the scorer was taken over (epoch {epoch}, ours is {epoch_of_ours})")),
        Outcome::Beyond { seq, offset } => Reaction::fatal(format!(
            "partition {partition}: the checkpoint stands at seq {seq}, offset {offset}, beyond ours ({}, {}): another scorer wrote it",
            position.next_seq, position.next_offset
        )),
        Outcome::Behind { seq, offset } => {
            let stands = if seq.is_empty() { "nothing of this owner is there".to_owned() } else { format!("it stands at seq {seq}, offset {offset}") };
            Reaction::fatal(format!(
                "baselines ({place}): partition {partition}: Redis has lost what it had acknowledged ({stands}): the scorer goes on from what is there, or from the log, to the same scores"
            ))
        }
        Outcome::Torn => damaged(place, keys, partition, "a checkpoint was broken off in the middle"),
        Outcome::Kept | Outcome::Staged | Outcome::Left(_) | Outcome::Unstaged => {
            Reaction::transient(format!("baselines ({place}): partition {partition}: a checkpoint in parts was disturbed: it is tried again"))
        }
    }
}

/// What is there cannot be gone on from.
pub(super) fn damaged(place: &str, keys: &Keys, partition: u32, what: &str) -> Reaction {
    Reaction::fatal(format!(
        "baselines ({place}): partition {partition}: {what}: delete its keys (redis-cli --scan --pattern '{}' | xargs -d '\\n' redis-cli unlink, on that server and database) and start again, and it is rebuilt from the log",
        keys.pattern(partition)
    ))
}

/// Raises a partition's epoch.
pub(super) fn takeover(keys: &Keys, partition: u32, name: &str, now: i64) -> Cmd {
    takeover_of(&keys.checkpoint(partition), name, now)
}

/// Raises the epoch of the checkpoint under a key.
pub(super) fn takeover_of(checkpoint: &str, name: &str, now: i64) -> Cmd {
    let mut request = evaluate(&SCRIPTS.takeover, 1);
    request.arg(checkpoint).arg(name).arg(now);
    request
}

/// A page of a partition's user ids, in the order of their bytes, from behind `after`.
pub(super) fn page(keys: &Keys, partition: u32, after: Option<&str>, users: usize) -> Cmd {
    let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
    let mut request = cmd("ZRANGE");
    request.arg(keys.index(partition)).arg(from).arg("+").arg("BYLEX").arg("LIMIT").arg(0).arg(users);
    request
}

/// The states of these users.
pub(super) fn states(keys: &Keys, partition: u32, users: &[String]) -> Pipeline {
    let prefix = keys.user_prefix(partition);
    let mut request = Pipeline::with_capacity(users.len());
    for user in users {
        request.cmd("HGET").arg(format!("{prefix}{user}")).arg("state");
    }
    request
}

/// Entries of ids, oldest first, from behind `after`.
pub(super) fn ids(keys: &Keys, partition: u32, after: Option<&str>, entries: usize) -> Cmd {
    let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
    let mut request = cmd("XRANGE");
    request.arg(keys.ids(partition)).arg(from).arg("+").arg("COUNT").arg(entries);
    request
}

/// How many entries of ids to ask for, after so many bytes came of so many: some 4 MiB at once.
pub(super) fn entries_next(entries: usize, bytes: usize) -> usize {
    const WANTED: usize = 4 << 20;
    let each = bytes.div_ceil(entries.max(1)).max(1);
    (WANTED / each).clamp(1, 4_096).min(entries.saturating_mul(4).max(1))
}

/// Requests for one partition in its owner's name.
#[derive(Clone, Copy)]
pub(super) struct Requests<'a> {
    pub(super) keys: &'a Keys,
    pub(super) partition: u32,
    pub(super) owner: &'a Owner,
}

impl Requests<'_> {
    /// Begins the stage `name`, or none, and takes away some of what an earlier one left.
    pub(super) fn unstage(&self, name: &str) -> Cmd {
        let mut request = evaluate(&SCRIPTS.unstage, 2);
        request.arg(self.keys.checkpoint(self.partition)).arg(self.keys.staged(self.partition));
        request.arg(self.owner.epoch).arg(&self.owner.name).arg(name).arg(self.keys.staged_prefix(self.partition)).arg(CLEARED);
        request
    }

    /// Removes what is kept of the partition, some users at a time.
    pub(super) fn forget(&self) -> Cmd {
        let mut request = evaluate(&SCRIPTS.forget, 3);
        request.arg(self.keys.checkpoint(self.partition)).arg(self.keys.index(self.partition)).arg(self.keys.ids(self.partition));
        request.arg(self.owner.epoch).arg(&self.owner.name).arg(self.keys.user_prefix(self.partition)).arg(CLEARED);
        request
    }

    /// Puts some users into the stage `name`.
    pub(super) fn stage(&self, name: &str, next_seq: u64, users: &[(String, UserState)]) -> Result<Cmd, Reaction> {
        let prefix = self.keys.staged_prefix(self.partition);
        let mut request = evaluate(&SCRIPTS.stage, 2 + users.len());
        request.arg(self.keys.checkpoint(self.partition)).arg(self.keys.staged(self.partition));
        keys_of(&mut request, &prefix, users);
        request.arg(self.owner.epoch).arg(&self.owner.name).arg(name).arg(&prefix).arg(next_seq);
        values_of(&mut request, users)?;
        Ok(request)
    }

    /// Writes a checkpoint. `told` is where the store had said that it stands; `staged` names the stage that holds the users, and
    /// says how many, where they do not come with the request.
    pub(super) fn commit(&self, told: Option<(u64, u64)>, delta: &Delta, staged: Option<(&str, usize)>, now: i64) -> Result<Cmd, Reaction> {
        let (keys, partition) = (self.keys, self.partition);
        let users: &[(String, UserState)] = if staged.is_some() { &[] } else { &delta.users };
        let record = serde_json::to_string(&delta.record).map_err(|error| Reaction::fatal(format!("the checkpoint's record cannot be written: {error}")))?;
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let prefix = keys.user_prefix(partition);
        let mut request = evaluate(&SCRIPTS.commit, 4 + users.len());
        request.arg(keys.checkpoint(partition)).arg(keys.index(partition)).arg(keys.ids(partition)).arg(keys.staged(partition));
        keys_of(&mut request, &prefix, users);
        request.arg(self.owner.epoch).arg(&self.owner.name);
        request.arg(number(told.map(|(seq, _)| seq))).arg(number(told.map(|(_, offset)| offset)));
        request.arg(delta.position.next_seq).arg(delta.position.next_offset).arg(delta.position.state_epoch).arg(record).arg(now);
        // After a long time without a checkpoint there may be more than are remembered.
        let ids = delta.ids.get(delta.ids.len().saturating_sub(delta.horizon)..).unwrap_or_default();
        request.arg(delta.horizon).arg(dedup::to_bytes(ids));
        let (name, count) = staged.unwrap_or_default();
        request.arg(&prefix).arg(keys.staged_prefix(partition)).arg(name).arg(count);
        values_of(&mut request, users)?;
        for user in &delta.forgotten {
            request.arg(user);
        }
        Ok(request)
    }
}

fn evaluate(script: &Script, keys: usize) -> Cmd {
    let mut request = cmd("EVALSHA");
    request.arg(script.get_hash()).arg(keys);
    request
}

fn keys_of(request: &mut Cmd, prefix: &str, users: &[(String, UserState)]) {
    for (user, _) in users {
        request.arg(format!("{prefix}{user}"));
    }
}

/// Six values a user, in the order of `USER_FIELDS` from its second on.
fn values_of(request: &mut Cmd, users: &[(String, UserState)]) -> Result<(), Reaction> {
    for (_, state) in users {
        let bytes = state.to_bytes().map_err(|error| Reaction::fatal(format!("a user's state cannot be written: {error}")))?;
        // Rust's shortest digits read back as the same number.
        request.arg(state.events).arg(state.mean_amount().to_string()).arg(&state.home_department).arg(state.last).arg(state.alerts).arg(bytes);
    }
    Ok(())
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
