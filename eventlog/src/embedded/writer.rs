//! The one task that writes a log file. Whatever waits is written in one transaction with one fsync, then all are answered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot, watch};
use wh_schemas::Reaction;
use wh_schemas::layout::LOG;
use wh_schemas::topics::{self, TopicSpec};
use wh_stores::{clock, sqlite};

use super::{Settings, retention};
use crate::{Assignment, Commit, Offset, crash};

type Reply<T> = oneshot::Sender<Result<T, Reaction>>;

/// What the writer is asked for.
pub(super) enum Command {
    Produce { topic: String, partition: u32, records: u64, data: Vec<u8>, reply: Reply<Offset> },
    Commit { group: String, epoch: u64, commits: Vec<Commit>, reply: Reply<()> },
    Join { group: String, topics: Vec<String>, reply: Reply<Joined> },
    Ensure { topics: Vec<TopicSpec>, partitions: u32, reply: Reply<()> },
    Retain { reply: Reply<u64> },
}

/// A group's new member: its epoch and what it owns.
pub(super) struct Joined {
    pub(super) epoch: u64,
    /// Each with where it begins to read.
    pub(super) partitions: Vec<(Assignment, Offset)>,
}

/// Most commands that share one transaction.
const GROUP_COMMIT: usize = 256;
/// How much beyond `max_bytes` the stages may write when sources are already pushed back: what is in flight must come to its end
/// before anything can be removed.
const STAGE_RESERVE: f64 = 1.5;

pub(super) struct Writer {
    connection: Connection,
    path: PathBuf,
    settings: Settings,
    announce: watch::Sender<u64>,
}

/// An answer that is sent once the transaction is durable.
type Answer = Box<dyn FnOnce(Result<(), Reaction>) + Send>;

impl Writer {
    pub(super) fn start(path: &Path, settings: Settings, announce: watch::Sender<u64>) -> Result<mpsc::Sender<Command>, Reaction> {
        let connection = sqlite::open_writer(path, &LOG, sqlite::Settings { cache_kib: 16 * 1024, ..sqlite::Settings::default() })?;
        let (sender, receiver) = mpsc::channel(GROUP_COMMIT);
        let writer = Writer { connection, path: path.to_owned(), settings, announce };
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(|e| Reaction::fatal(format!("cannot start the log's writer: {e}")))?;
        Ok(sender)
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut waiting = vec![first];
            while waiting.len() < GROUP_COMMIT
                && let Ok(next) = commands.try_recv()
            {
                waiting.push(next);
            }
            let mut answers: Vec<Answer> = Vec::with_capacity(waiting.len());
            let outcome = self.write(waiting, &mut answers);
            if let Err(reaction) = &outcome {
                tracing::error!(store = "log", class = reaction.class(), "writing failed: {reaction}");
            }
            crash::point("log.durable");
            for answer in answers {
                answer(outcome.clone());
            }
            self.announce.send_modify(|n| *n += 1);
        }
    }

    fn write(&mut self, commands: Vec<Command>, answers: &mut Vec<Answer>) -> Result<(), Reaction> {
        let told = |e: &rusqlite::Error| sqlite::reaction("log", &self.path, e);
        let mut commands = commands.into_iter();
        let outcome = (|| {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| told(&e))?;
            let mut size: i64 =
                transaction.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM partitions").and_then(|mut s| s.query_row([], |r| r.get(0))).map_err(|e| told(&e))?;
            for command in commands.by_ref() {
                run(&transaction, command, &self.settings, &mut size, answers).map_err(|e| told(&e))?;
            }
            crash::point("log.written");
            transaction.commit().map_err(|e| told(&e))
        })();
        if outcome.is_err() {
            for command in commands {
                refuse(command, answers);
            }
        }
        outcome
    }
}

fn answer<T: Send + 'static>(reply: Reply<T>, result: Result<T, Reaction>, answers: &mut Vec<Answer>) {
    answers.push(Box::new(move |durable| {
        // Whoever asked may have gone; then nobody waits for the answer.
        drop(reply.send(durable.and(result)));
    }));
}

fn refuse(command: Command, answers: &mut Vec<Answer>) {
    fn none<T: Send + 'static>(reply: Reply<T>, answers: &mut Vec<Answer>) {
        answer(reply, Err(Reaction::transient("the log's transaction failed")), answers);
    }
    match command {
        Command::Produce { reply, .. } => none(reply, answers),
        Command::Commit { reply, .. } | Command::Ensure { reply, .. } => none(reply, answers),
        Command::Join { reply, .. } => none(reply, answers),
        Command::Retain { reply } => none(reply, answers),
    }
}

/// Runs one command. An error of the database ends the transaction; one that concerns the command alone is its answer.
fn run(transaction: &Transaction<'_>, command: Command, settings: &Settings, size: &mut i64, answers: &mut Vec<Answer>) -> rusqlite::Result<()> {
    match command {
        Command::Produce { topic, partition, records, data, reply } => {
            let result = produce(transaction, &topic, partition, records, &data, settings, size)?;
            answer(reply, result, answers);
        }
        Command::Commit { group, epoch, commits, reply } => {
            let result = commit(transaction, &group, epoch, &commits)?;
            answer(reply, result, answers);
        }
        Command::Join { group, topics, reply } => {
            let result = join(transaction, &group, &topics)?;
            answer(reply, result, answers);
        }
        Command::Ensure { topics, partitions, reply } => {
            let result = ensure(transaction, &topics, partitions)?;
            answer(reply, result, answers);
        }
        Command::Retain { reply } => {
            let removed = retention::retain(transaction, clock::now().0, settings.max_bytes)?;
            answer(reply, Ok(removed), answers);
        }
    }
    Ok(())
}

fn produce(
    transaction: &Transaction<'_>,
    topic: &str,
    partition: u32,
    records: u64,
    data: &[u8],
    settings: &Settings,
    size: &mut i64,
) -> rusqlite::Result<Result<Offset, Reaction>> {
    let found: Option<(i64, u64)> = transaction
        .prepare_cached("SELECT p.topic_id, p.next_offset FROM topics t JOIN partitions p USING (topic_id) WHERE t.name = ?1 AND p.partition = ?2")?
        .query_row(params![topic, partition], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((topic_id, offset)) = found else {
        return Ok(Err(Reaction::fatal(format!("the log has no partition {partition} of a topic {topic}"))));
    };
    let bytes = i64::try_from(data.len()).unwrap_or(i64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "a limit, not an account")]
    let over = |reserve: f64| (*size + bytes) as f64 > settings.max_bytes as f64 * reserve;
    let reserve = if topic == topics::HOSPITAL_TRANSACTIONS { 1.0 } else { STAGE_RESERVE };
    if over(reserve) {
        retention::retain(transaction, clock::now().0, settings.max_bytes.saturating_sub(data.len() as u64))?;
        *size = transaction.query_row("SELECT coalesce(sum(bytes), 0) FROM partitions", [], |row| row.get(0))?;
        #[expect(clippy::cast_precision_loss, reason = "a limit, not an account")]
        if (*size + bytes) as f64 > settings.max_bytes as f64 * reserve {
            return Ok(Err(Reaction::Transient {
                message: format!("the log is full ({} MiB of records that are not in every store yet): waiting for the sinks, or raise log.max_mib", *size / 1_048_576),
                retry_after: Some(std::time::Duration::from_secs(1)),
            }));
        }
    }
    transaction.prepare_cached("INSERT INTO batches (topic_id, partition, base_offset, records, append_time, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        topic_id,
        partition,
        offset,
        records,
        clock::now().0,
        data
    ])?;
    transaction
        .prepare_cached("UPDATE partitions SET next_offset = next_offset + ?3, bytes = bytes + ?4 WHERE topic_id = ?1 AND partition = ?2")?
        .execute(params![topic_id, partition, records, bytes])?;
    *size += bytes;
    Ok(Ok(offset))
}

fn commit(transaction: &Transaction<'_>, group: &str, epoch: u64, commits: &[Commit]) -> rusqlite::Result<Result<(), Reaction>> {
    let current: u64 = transaction.prepare_cached("SELECT epoch FROM group_epochs WHERE group_name = ?1")?.query_row([group], |row| row.get(0)).optional()?.unwrap_or(0);
    if epoch != current {
        return Ok(Err(Reaction::fatal(format!("the group {group} was taken over by another member (epoch {current}, ours is {epoch})"))));
    }
    let now = clock::now().0;
    for commit in commits {
        transaction
            .prepare_cached(
                "UPDATE group_offsets SET next_offset = ?4, metadata = ?5, updated_at = ?6 \
                 WHERE group_name = ?1 AND topic_id = (SELECT topic_id FROM topics WHERE name = ?2) AND partition = ?3",
            )?
            .execute(params![group, &*commit.topic, commit.partition, commit.next_offset, commit.metadata, now])?;
    }
    Ok(Ok(()))
}

fn join(transaction: &Transaction<'_>, group: &str, names: &[String]) -> rusqlite::Result<Result<Joined, Reaction>> {
    transaction.execute("INSERT INTO group_epochs (group_name, epoch) VALUES (?1, 1) ON CONFLICT (group_name) DO UPDATE SET epoch = epoch + 1", [group])?;
    let epoch = transaction.query_row("SELECT epoch FROM group_epochs WHERE group_name = ?1", [group], |row| row.get(0))?;
    let mut partitions = Vec::new();
    for name in names {
        let found: Option<(i64, u32)> =
            transaction.query_row("SELECT topic_id, partitions FROM topics WHERE name = ?1", [name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((topic_id, count)) = found else {
            return Ok(Err(Reaction::fatal(format!("the log has no topic {name}"))));
        };
        for partition in 0..count {
            // Registered from now on: what this group has not settled is kept. A group that has committed nothing yet has no time of it.
            transaction.execute(
                "INSERT INTO group_offsets (group_name, topic_id, partition, next_offset, metadata, updated_at) \
                 SELECT ?1, ?2, ?3, start_offset, '', 0 FROM partitions WHERE topic_id = ?2 AND partition = ?3 ON CONFLICT DO NOTHING",
                params![group, topic_id, partition],
            )?;
            let (position, metadata, updated_at): (Offset, String, i64) = transaction.query_row(
                "SELECT next_offset, metadata, updated_at FROM group_offsets WHERE group_name = ?1 AND topic_id = ?2 AND partition = ?3",
                params![group, topic_id, partition],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
            let committed = (updated_at != 0).then_some((position, metadata));
            partitions.push((Assignment { topic: Arc::from(name.as_str()), partition, committed }, position));
        }
    }
    Ok(Ok(Joined { epoch, partitions }))
}

fn ensure(transaction: &Transaction<'_>, specs: &[TopicSpec], partitions: u32) -> rusqlite::Result<Result<(), Reaction>> {
    for spec in specs {
        let wanted = spec.wanted(partitions);
        let found: Option<u32> = transaction.query_row("SELECT partitions FROM topics WHERE name = ?1", [spec.name], |row| row.get(0)).optional()?;
        match found {
            // Partitions of it that are not used stay as they are: empty.
            Some(found) if spec.admits(found, partitions) => {}
            Some(found) => {
                return Ok(Err(Reaction::fatal(format!(
                    "the topic {} has {found} partitions, the settings ask for {wanted}: users would move to other partitions and their baselines with them; set log.partitions = {found}, or start with an empty data folder",
                    spec.name
                ))));
            }
            None => {
                transaction.execute(
                    "INSERT INTO topics (name, partitions, retention_ms, compacted) VALUES (?1, ?2, ?3, ?4)",
                    params![spec.name, wanted, spec.retention_ms, spec.compacted],
                )?;
                let topic_id = transaction.last_insert_rowid();
                for partition in 0..wanted {
                    transaction.execute("INSERT INTO partitions (topic_id, partition, start_offset, next_offset, bytes) VALUES (?1, ?2, 0, 0, 0)", params![topic_id, partition])?;
                }
            }
        }
    }
    Ok(Ok(()))
}
