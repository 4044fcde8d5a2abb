//! How a stage writes its dead letters: within the limit, until the log has them, counted by what is alike.
//!
//! What must stay true: a letter that cannot be written stalls its stage, which settles nothing of it; one that is over the limit ends it.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_schemas::Reaction;

use super::{Limit, LimitSettings, write};
use crate::gauges::Gauges;
use crate::incidents::may_come_twice;
use crate::retry::until_settled;
use crate::{Log, Record};

/// Writes the letters of one stage.
pub struct DeadLetterWriter {
    log: Arc<dyn Log>,
    partitions: u32,
    limit: Limit,
    gauges: Arc<Gauges>,
}

impl DeadLetterWriter {
    /// A stage's, for a topic of so many partitions.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, partitions: u32, settings: LimitSettings, gauges: Arc<Gauges>) -> DeadLetterWriter {
        DeadLetterWriter { log, partitions, limit: Limit::new(settings), gauges }
    }

    /// Says that the stage read rows: once each, before letters of them are buried.
    pub fn rows(&mut self, rows: u64) {
        self.limit.rows(Instant::now(), rows);
    }

    /// Writes letters; `false` when stopped before the log had them: nothing may be settled then.
    ///
    /// # Errors
    /// Fatal where they are too many: none is written; what the log says.
    pub async fn bury(&mut self, letters: Vec<Record>, stop: &CancellationToken) -> Result<bool, Reaction> {
        if letters.is_empty() {
            return Ok(true);
        }
        self.limit.admit(Instant::now(), &letters)?;
        let (log, partitions) = (&*self.log, self.partitions);
        if until_settled(stop, &self.gauges, || async { write(log, partitions, letters.clone()).await.map_err(may_come_twice) }).await?.is_none() {
            return Ok(false);
        }
        self.count(&letters);
        Ok(true)
    }

    /// One try to write letters, for whoever tries again by itself.
    ///
    /// # Errors
    /// As [`DeadLetterWriter::bury`]; transient while the log is full or away.
    pub async fn try_bury(&mut self, letters: Vec<Record>) -> Result<(), Reaction> {
        self.limit.admit(Instant::now(), &letters)?;
        write(&*self.log, self.partitions, letters.clone()).await.map_err(may_come_twice)?;
        self.count(&letters);
        Ok(())
    }

    fn count(&mut self, letters: &[Record]) {
        self.limit.buried(Instant::now(), letters.len() as u64);
        self.gauges.buried(letters);
    }
}
