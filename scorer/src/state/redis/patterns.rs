//! Checkpoints of patterns by account in Redis: one hash for the stage, one for all accounts.
//!
//! What must stay true: a checkpoint is one script, which compares the owner, what this owner was told of, and the position before it
//! writes anything; a request whose answer was lost may be sent again. Keys and arguments stand as `schemas/redis/patterns_*.lua` say.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, RedisResult, Script, cmd};
use wh_schemas::Reaction;
use wh_stores::clock;
use wh_stores::redis::{Keys, RedisSettings, connect, layout, reaction};

use super::dialect::{self, Owner, SCRIPTS};
use super::store::{EACH_STAGED, RedisCheckpoints};
use crate::state::Committed;
use crate::state::patterns::{PatternCheckpoint, PatternCheckpoints, PatternDelta, PatternPosition, PatternRecord};

/// The scripts, each known to the server by its hash.
struct PatternScripts {
    commit: Script,
    stage: Script,
    forget: Script,
}

static PATTERN_SCRIPTS: LazyLock<PatternScripts> = LazyLock::new(|| {
    let owned = |script: &str| Script::new(&format!("{}{script}", include_str!("../../../../schemas/redis/owner.lua")));
    PatternScripts {
        commit: owned(include_str!("../../../../schemas/redis/patterns_commit.lua")),
        stage: owned(include_str!("../../../../schemas/redis/patterns_stage.lua")),
        forget: owned(include_str!("../../../../schemas/redis/patterns_forget.lua")),
    }
});

/// Patterns that are ours.
#[derive(Clone, Debug)]
pub(super) struct HeldPatterns {
    owner: Owner,
    /// Number of the last commit of which the store has told us that it keeps it.
    told: Option<u64>,
}

/// What a script answers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Kept(u64),
    Staged,
    Unstaged,
    Torn,
    Taken(String),
    Beyond(String, String),
    Behind(String, String),
}

fn answer(words: &[String]) -> Option<Answer> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(match words.as_slice() {
        ["kept", number] => Answer::Kept(number.parse().ok()?),
        ["staged"] => Answer::Staged,
        ["unstaged"] => Answer::Unstaged,
        ["torn"] => Answer::Torn,
        ["taken", epoch] => Answer::Taken((*epoch).to_owned()),
        ["beyond", seq, offset] => Answer::Beyond((*seq).to_owned(), (*offset).to_owned()),
        ["behind", seq, offset] => Answer::Behind((*seq).to_owned(), (*offset).to_owned()),
        _ => return None,
    })
}

fn damaged(place: &str, keys: &Keys, what: &str) -> Reaction {
    Reaction::fatal(format!(
        "baselines ({place}): the checkpoint of patterns: {what}: delete its keys (redis-cli --scan --pattern '{}' | xargs -d '\\n' redis-cli unlink, on that server and database) and start again, and it is rebuilt from the log",
        keys.patterns("*")
    ))
}

/// What the stage does about a checkpoint that was not kept.
fn refused(place: &str, keys: &Keys, epoch: u64, position: PatternPosition, answer: &Answer) -> Reaction {
    match answer {
        Answer::Taken(found) => Reaction::fatal(format!("patterns were taken over by another instance (epoch {found}, ours is {epoch})")),
        Answer::Beyond(seq, offset) => Reaction::fatal(format!(
            "patterns: the checkpoint stands at seq {seq}, offset {offset}, beyond ours ({}, {}): another instance wrote it",
            position.next_seq, position.next_offset
        )),
        Answer::Behind(seq, offset) => Reaction::fatal(format!(
            "baselines ({place}): patterns: Redis has lost what it had acknowledged (it stands at seq {seq:?}, offset {offset:?}): the stage goes on from what is there, or from the log"
        )),
        Answer::Torn => damaged(place, keys, "it was broken off in the middle"),
        Answer::Kept(_) | Answer::Staged | Answer::Unstaged => {
            Reaction::transient(format!("baselines ({place}): patterns: a checkpoint in parts was disturbed: it is tried again"))
        }
    }
}

fn evaluate(script: &Script, keys: &[String], owner: &Owner) -> Cmd {
    let mut request = cmd("EVALSHA");
    request.arg(script.get_hash()).arg(keys.len());
    for key in keys {
        request.arg(key);
    }
    request.arg(owner.epoch).arg(&owner.name);
    request
}

/// Accounts as the scripts read them: a name and a state, which is empty for one that is forgotten. Each name once, since what came in parts
/// is counted by name; one that was forgotten and seen again stays.
fn entries(delta: &PatternDelta) -> Vec<(&str, &[u8])> {
    let mut entries: Vec<(&str, &[u8])> = Vec::with_capacity(delta.removed.len() + delta.accounts.len());
    let seen: HashSet<&str> = delta.accounts.iter().map(|(name, _)| name.as_str()).collect();
    for name in delta.removed.iter().filter(|name| !seen.contains(name.as_str())) {
        entries.push((name.as_str(), &[][..]));
    }
    for (name, state) in &delta.accounts {
        entries.push((name.as_str(), state.as_slice()));
    }
    entries
}

fn commit(keys: &Keys, owner: &Owner, told: Option<u64>, delta: &PatternDelta, accounts: &[(&str, &[u8])], staged: Option<(&str, usize)>, now: i64) -> Result<Cmd, Reaction> {
    let record = serde_json::to_string(&delta.record).map_err(|error| Reaction::fatal(format!("the checkpoint's record cannot be written: {error}")))?;
    let mut request = evaluate(&PATTERN_SCRIPTS.commit, &[keys.patterns("checkpoint"), keys.patterns("accounts"), keys.patterns("next")], owner);
    request.arg(told.map(|number| number.to_string()).unwrap_or_default());
    request.arg(delta.position.next_seq).arg(delta.position.next_offset).arg(record).arg(&delta.header[..]).arg(now);
    let (name, count) = staged.unwrap_or_default();
    request.arg(name).arg(count);
    for (account, state) in accounts {
        request.arg(*account).arg(*state);
    }
    Ok(request)
}

fn stage(keys: &Keys, owner: &Owner, name: &str, first: bool, accounts: &[(&str, &[u8])]) -> Cmd {
    let mut request = evaluate(&PATTERN_SCRIPTS.stage, &[keys.patterns("checkpoint"), keys.patterns("next")], owner);
    request.arg(name).arg(if first { "1" } else { "" });
    for (account, state) in accounts {
        request.arg(*account).arg(*state);
    }
    request
}

impl RedisCheckpoints {
    async fn told(&mut self, script: &Script, request: &Cmd, patience: Duration) -> Result<Answer, Reaction> {
        let words: Vec<String> = self.run(script, request, patience).await?;
        answer(&words).ok_or_else(|| Reaction::fatal(format!("baselines ({}): a script's answer cannot be read: is this a Redis server?", self.place())))
    }

    /// Every account, in pages.
    async fn accounts(&mut self, expected: u64) -> Result<Vec<(String, Vec<u8>)>, Reaction> {
        let page = self.link.settings().page_users;
        // A page may give one of another again.
        let mut accounts = BTreeMap::new();
        let mut cursor = 0_u64;
        loop {
            let mut asked = cmd("HSCAN");
            asked.arg(self.keys.patterns("accounts")).arg(cursor).arg("COUNT").arg(page);
            let (next, found): (u64, Vec<(String, Vec<u8>)>) = self.ask(&asked).await?;
            accounts.extend(found);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        if accounts.len() as u64 == expected {
            return Ok(accounts.into_iter().collect());
        }
        let what = format!("{} accounts are there where it has {expected}: some were deleted, or dropped for want of memory (see maxmemory-policy)", accounts.len());
        Err(damaged(&self.place(), &self.keys, &what))
    }

    async fn commit_patterns_in_parts(&mut self, held: &HeldPatterns, delta: &PatternDelta, accounts: &[(&str, &[u8])]) -> Result<Answer, Reaction> {
        self.stages += 1;
        // A part that comes late, of an attempt that was given up, finds another name and changes nothing.
        let name = format!("{}-{}", delta.position.next_offset, self.stages);
        for (number, part) in accounts.chunks(self.link.settings().part_users.max(1)).enumerate() {
            let request = stage(&self.keys, &held.owner, &name, number == 0, part);
            let staged = self.told(&PATTERN_SCRIPTS.stage, &request, Duration::ZERO).await?;
            if staged != Answer::Staged {
                return Ok(staged);
            }
        }
        let request = commit(&self.keys, &held.owner, held.told, delta, &[], Some((name.as_str(), accounts.len())), clock::now().0)?;
        let patience = EACH_STAGED.saturating_mul(u32::try_from(accounts.len()).unwrap_or(u32::MAX));
        self.told(&PATTERN_SCRIPTS.commit, &request, patience).await
    }
}

#[async_trait]
impl PatternCheckpoints for RedisCheckpoints {
    async fn take_over_patterns(&mut self) -> Result<(u64, Option<PatternCheckpoint>), Reaction> {
        let now = clock::now().0;
        let name = format!("{}-{now}", std::process::id());
        let key = self.keys.patterns("checkpoint");
        let request = dialect::takeover_of(&key, &name, now);
        let answer = self.run(&SCRIPTS.takeover, &request, Duration::ZERO).await?;
        let place = self.place();
        let Some(stand) = dialect::stand(answer) else { return Err(damaged(&place, &self.keys, "a part of it is missing")) };
        let owner = Owner { epoch: stand.epoch, name };
        self.patterns = Some(HeldPatterns { owner: owner.clone(), told: None });
        if stand.torn {
            return Err(damaged(&place, &self.keys, "it was broken off in the middle"));
        }
        let Some((position, record)) = stand.checkpoint else { return Ok((owner.epoch, None)) };
        let record: PatternRecord = serde_json::from_str(&record).map_err(|error| damaged(&place, &self.keys, &format!("its record cannot be read: {error}")))?;
        let accounts = self.accounts(stand.users).await?;
        let mut asked = cmd("HMGET");
        asked.arg(&key).arg("header").arg("commits").arg("owner_epoch").arg("owner");
        let (header, commits, epoch, name): (Option<Vec<u8>>, Option<u64>, Option<u64>, Option<String>) = self.ask(&asked).await?;
        if (epoch, name) != (Some(owner.epoch), Some(owner.name.clone())) {
            return Err(Reaction::fatal(format!("patterns were taken over by another instance while they were read (epoch {}, ours is {})", epoch.unwrap_or(0), owner.epoch)));
        }
        let header = header.ok_or_else(|| damaged(&place, &self.keys, "its header is missing"))?;
        self.patterns = Some(HeldPatterns { owner: owner.clone(), told: commits });
        let position = PatternPosition { next_seq: position.next_seq, next_offset: position.next_offset };
        Ok((owner.epoch, Some(PatternCheckpoint { position, record, header, accounts })))
    }

    async fn commit_patterns(&mut self, delta: PatternDelta) -> Result<Committed, Reaction> {
        let held = self.patterns.clone().filter(|held| held.owner.epoch == delta.owner_epoch);
        // Under an epoch that is not ours the script refuses it, since no owner has this name.
        let held = held.unwrap_or_else(|| HeldPatterns { owner: Owner { epoch: delta.owner_epoch, name: String::new() }, told: None });
        let accounts = entries(&delta);
        let answer = if accounts.len() > self.link.settings().part_users {
            self.commit_patterns_in_parts(&held, &delta, &accounts).await?
        } else {
            let request = commit(&self.keys, &held.owner, held.told, &delta, &accounts, None, clock::now().0)?;
            self.told(&PATTERN_SCRIPTS.commit, &request, Duration::ZERO).await?
        };
        let refusal = refused(&self.place(), &self.keys, delta.owner_epoch, delta.position, &answer);
        match answer {
            Answer::Kept(number) => {
                self.patterns = Some(HeldPatterns { told: Some(number), ..held });
                Ok(Committed::Kept)
            }
            // Also where somebody else has it: this member is told so by its next poll.
            Answer::Behind(..) | Answer::Taken(_) => Ok(Committed::Lost(refusal.to_string())),
            _ => Err(refusal),
        }
    }

    async fn forget_patterns(&mut self, owner_epoch: u64) -> Result<(), Reaction> {
        let Some(owner) = self.patterns.as_ref().map(|held| held.owner.clone()).filter(|owner| owner.epoch == owner_epoch) else {
            return Err(Reaction::fatal(format!("patterns are not ours (epoch {owner_epoch})")));
        };
        let keys = [self.keys.patterns("checkpoint"), self.keys.patterns("accounts"), self.keys.patterns("next")];
        let answer = self.told(&PATTERN_SCRIPTS.forget, &evaluate(&PATTERN_SCRIPTS.forget, &keys, &owner), Duration::ZERO).await?;
        if !matches!(answer, Answer::Kept(_)) {
            return Err(refused(&self.place(), &self.keys, owner_epoch, PatternPosition::default(), &answer));
        }
        self.patterns = Some(HeldPatterns { owner, told: None });
        Ok(())
    }
}

/// Where patterns by account stood at their last checkpoint, read without writing; `None` where there is none.
///
/// # Errors
/// Where the store cannot be read.
pub async fn read_patterns(settings: &RedisSettings) -> Result<Option<(PatternPosition, PatternRecord)>, Reaction> {
    let (place, keys) = (settings.place(), Keys::new(settings));
    let mut connection = connect(settings).await?;
    layout::check(&mut connection, settings).await.map_err(|failure| failure.reaction(&place))?;
    let mut asked = cmd("HMGET");
    asked.arg(keys.patterns("checkpoint")).arg("next_seq").arg("next_offset").arg("record");
    let found: RedisResult<(Option<u64>, Option<u64>, Option<String>)> = asked.query_async(&mut connection).await;
    let (Some(next_seq), Some(next_offset), Some(record)) = found.map_err(|error| reaction(&place, &error))? else { return Ok(None) };
    let record = serde_json::from_str(&record).map_err(|error| damaged(&place, &keys, &format!("its record cannot be read: {error}")))?;
    Ok(Some((PatternPosition { next_seq, next_offset }, record)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_stores::redis::RawRedis;
    use wh_stores::{Durability, ServerUrl};

    fn keys() -> Keys {
        Keys::new(&RedisSettings::try_new(&ServerUrl::parse("redis://h?namespace=t").unwrap(), &RawRedis::default(), Durability::Warn).unwrap())
    }

    fn words(request: &Cmd) -> Vec<String> {
        let text = |arg: redis::Arg<&[u8]>| match arg {
            redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => "cursor".to_owned(),
        };
        request.args_iter().map(text).collect()
    }

    #[test]
    fn a_request_stands_as_the_script_reads_it() {
        let (keys, owner) = (keys(), Owner { epoch: 3, name: "me".to_owned() });
        let delta = PatternDelta {
            owner_epoch: 3,
            position: PatternPosition { next_seq: 20, next_offset: 25 },
            header: b"head".to_vec(),
            accounts: vec![("A 1".to_owned(), b"state".to_vec())],
            removed: vec!["B".to_owned()],
            ..PatternDelta::default()
        };
        let accounts = entries(&delta);
        let found = words(&commit(&keys, &owner, Some(7), &delta, &accounts, None, 5).unwrap());
        assert_eq!(found[2..6], ["3", "t:{patterns}:checkpoint", "t:{patterns}:accounts", "t:{patterns}:next"]);
        assert_eq!(found[6..11], ["3", "me", "7", "20", "25"]);
        assert_eq!(found[12..20], ["head", "5", "", "0", "B", "", "A 1", "state"]);
        assert_eq!(found.len(), 20);
        let part = words(&stage(&keys, &owner, "s", true, &accounts));
        assert_eq!(part[2..12], ["2", "t:{patterns}:checkpoint", "t:{patterns}:next", "3", "me", "s", "1", "B", "", "A 1"]);
    }

    #[test]
    fn answers_are_read() {
        let read = |words: &[&str]| answer(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["kept", "4"]), Some(Answer::Kept(4)));
        assert_eq!(read(&["taken", "4"]), Some(Answer::Taken("4".to_owned())));
        assert_eq!(read(&["behind", "", ""]), Some(Answer::Behind(String::new(), String::new())));
        assert_eq!(read(&["kept"]), None);
    }
}
