//! What the runner has to do the machine's tasks with: the store, the log, the dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use wh_eventlog::dead_letters::{self, DeadLetter, DeadLetterWriter};
use wh_eventlog::{Bounds, Log, Reader, crash};
use wh_schemas::position::Origin;
use wh_schemas::{Reaction, ids};
use wh_stores::clock;

use crate::delivery::identity::Binding;
use crate::delivery::machine::{Answer, Letter, Task};
use crate::delivery::{Store, StorePosition, Written, witness};

/// A task that is under way, which has the hands until it ends.
pub(super) type UnderWay = BoxFuture<'static, (Hands, Answer)>;

pub(super) struct Hands {
    pub(super) log: Arc<dyn Log>,
    pub(super) store: Box<dyn Store>,
    pub(super) binding: Binding,
    pub(super) letters: DeadLetterWriter,
    pub(super) stage: &'static str,
    /// How long rows are kept after their records were appended.
    pub(super) retention: Option<Duration>,
    /// Before which rows go, until none of them is left: what grows too old meanwhile goes the next time.
    pub(super) removing: Option<i64>,
    pub(super) build: String,
    /// What the store is still to keep of the records that it has taken, by its place.
    pub(super) taken: BTreeMap<u32, StorePosition>,
}

impl Hands {
    pub(super) fn begin(mut self, task: Task) -> UnderWay {
        Box::pin(async move {
            let answer = self.perform(task).await;
            (self, answer)
        })
    }

    async fn perform(&mut self, task: Task) -> Answer {
        match task {
            Task::Ask { topic, partitions } => self.ask(&topic, &partitions).await,
            Task::Bind => Answer::Bound(self.binding.keep(&*self.log, &mut *self.store).await),
            Task::Write(batch) => {
                crash::point("sink.read");
                let taken = witness::of(&self.store.topics(), &batch);
                let written = self.store.write(batch).await;
                if matches!(written, Ok(Written::Done { .. })) {
                    crash::point("sink.written");
                    self.taken.extend(taken.map(|taken| (taken.partition, taken)));
                }
                Answer::Wrote(written)
            }
            Task::Bury(letter) => {
                let record = self.record(letter);
                crash::point("sink.refused");
                let buried = self.letters.try_bury(vec![record]).await;
                if buried.is_ok() {
                    crash::point("sink.buried");
                }
                Answer::Buried(buried)
            }
            Task::Publish => {
                self.remember().await;
                let published = self.store.publish().await.map(drop);
                if published.is_ok() {
                    crash::point("sink.published");
                }
                Answer::Published(published)
            }
            Task::Retain => Answer::Retained(self.retain().await),
        }
    }

    async fn ask(&mut self, topic: &str, partitions: &[u32]) -> Answer {
        let positions = match self.binding.check(&*self.log, &mut *self.store).await {
            Ok(()) => self.store.positions(topic).await,
            Err(reaction) => Err(reaction),
        };
        let bounds = if positions.is_ok() { bounds(&*self.log, topic, partitions).await } else { Ok(BTreeMap::new()) };
        Answer::Stands { positions, bound: self.binding.is_kept(), bounds }
    }

    /// Before what it belongs to becomes visible: it says what was read, not what is settled. Where the store does not take it, the next will do.
    async fn remember(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let taken: Vec<StorePosition> = self.taken.values().copied().collect();
        match self.store.remember(&taken).await {
            Ok(()) => self.taken.clear(),
            Err(reaction) => tracing::debug!(stage = self.stage, "what was taken last is not kept yet: {reaction}"),
        }
    }

    fn record(&self, letter: Letter) -> wh_eventlog::Record {
        let Letter { topic, partition, record, position, class, message, attempts } = letter;
        let stage = self.stage;
        let letter = DeadLetter {
            origin: Origin { topic: topic.to_string(), partition, offset: record.offset },
            stage: "sink".to_owned(),
            store: Some(stage.to_owned()),
            fingerprint: format!("{:016x}", ids::fingerprint(format!("{stage}\0{class}").as_bytes())),
            error_class: class,
            error_message: message,
            position,
            attempts,
        };
        dead_letters::record(&record, &letter, &self.build)
    }

    /// Removes some of the rows beyond retention; whether more may be left.
    async fn retain(&mut self) -> Result<bool, Reaction> {
        let Some(retention) = self.retention else { return Ok(false) };
        let oldest = || clock::now().0.saturating_sub(i64::try_from(retention.as_micros()).unwrap_or(i64::MAX));
        let before = self.removing.take().unwrap_or_else(oldest);
        let removed = self.store.retain(before).await?;
        if removed == 0 {
            return Ok(false);
        }
        tracing::info!(stage = self.stage, removed, "rows beyond retention removed");
        self.removing = Some(before);
        Ok(true)
    }
}

async fn bounds(log: &dyn Reader, topic: &str, partitions: &[u32]) -> Result<BTreeMap<u32, Bounds>, Reaction> {
    let mut found = BTreeMap::new();
    for partition in partitions {
        found.insert(*partition, log.bounds(topic, *partition).await?);
    }
    Ok(found)
}
