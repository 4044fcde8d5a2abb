//! Whether a log still is the one that a position was reached in: a log that was set back to an older copy of itself, or a topic that was made
//! anew, has the same identity, and once it has grown past a position its offsets fit, while other records stand there.
//!
//! What must stay true: a witness is of a record that was read and settled; where the log holds another record at its offset, or does not
//! reach to it, whoever kept it stops before it writes; what retention has removed tells nothing.

use serde::{Deserialize, Serialize};
use wh_schemas::{Reaction, ids};

use crate::incidents::SET_BACK;
use crate::{Offset, Reader, Stored};

/// What is kept of a record beside a position, outside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Where the record stood.
    pub offset: Offset,
    /// 52 bits of the SHA-256 of its append time and its value, never 0: every store can hold it as a count.
    pub print: u64,
}

impl Witness {
    /// Of a record.
    #[must_use]
    pub fn of(record: &Stored) -> Witness {
        let mut text = Vec::with_capacity(record.value.len() + 8);
        text.extend_from_slice(&record.append_time.to_le_bytes());
        text.extend_from_slice(&record.value);
        Witness { offset: record.offset, print: (ids::fingerprint(&text) >> 12).max(1) }
    }

    /// Compares it with what stands in the log now. `keeper` is who keeps it.
    ///
    /// # Errors
    /// Fatal where the log was set back; transient while it does not answer.
    pub async fn check(&self, log: &dyn Reader, keeper: &str, topic: &str, partition: u32) -> Result<(), Reaction> {
        let bounds = log.bounds(topic, partition).await?;
        if self.offset < bounds.start {
            return Ok(());
        }
        if self.offset >= bounds.end {
            return Err(set_back(keeper, &format!("it has taken offset {} of {topic} partition {partition}, and this log ends at {}", self.offset, bounds.end)));
        }
        let records = match log.read(topic, partition, self.offset, 1).await {
            Ok(records) => records,
            Err(error) => {
                // It may be removed between the two questions.
                let is_gone = log.bounds(topic, partition).await?.start > self.offset;
                return if is_gone { Ok(()) } else { Err(error) };
            }
        };
        match records.first() {
            Some(found) if found.offset == self.offset && Witness::of(found) != *self => {
                Err(set_back(keeper, &format!("at offset {} of {topic} partition {partition} stands another record than it has taken there", self.offset)))
            }
            _ => Ok(()),
        }
    }
}

/// The sentence of whoever has come further than the log, or elsewhere.
#[must_use]
pub fn set_back(keeper: &str, why: &str) -> Reaction {
    Reaction::fatal(format!(
        "{keeper}: this log is not the one that the store was written from: it {SET_BACK} ({why}); restore the log and the store from the same backup, or start the {keeper} \
         store fresh: the log fills it as far as it reaches back; nothing was written"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::{EmbeddedLog, Settings, file_of};
    use crate::incidents::kind;
    use crate::{Log, Producer, Reader, Record};
    use wh_schemas::topics::{self, RISK_SCORES};

    fn records(numbers: std::ops::Range<u32>, word: &str) -> Vec<Record> {
        numbers.map(|i| Record::new(format!("{i}"), format!("{word} {i}"))).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_that_was_set_back_is_known_while_it_is_shorter_and_once_it_has_grown_past() {
        let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
        log.ensure_topics(&topics::ALL, 1).await.unwrap();
        log.produce(RISK_SCORES, 0, records(0..10, "old")).await.unwrap();
        // As a backup does it: a copy that needs no file beside it.
        let copied = rusqlite::Connection::open(file_of(folder.path())).unwrap();
        copied.execute("VACUUM INTO ?1", [file_of(copy.path()).to_str().unwrap()]).unwrap();
        log.produce(RISK_SCORES, 0, records(10..20, "old")).await.unwrap();
        let read = log.read(RISK_SCORES, 0, 0, 1 << 20).await.unwrap();
        let early = Witness::of(&read[4]);
        let late = Witness::of(&log.read(RISK_SCORES, 0, 19, 1).await.unwrap()[0]);
        assert_eq!((early.offset, late.offset), (4, 19));
        late.check(&*log, "ledger", RISK_SCORES, 0).await.unwrap();
        drop(log);

        let back = EmbeddedLog::open(copy.path(), Settings::default()).unwrap();
        early.check(&*back, "ledger", RISK_SCORES, 0).await.unwrap();
        let shorter = late.check(&*back, "ledger", RISK_SCORES, 0).await.unwrap_err();
        assert!(shorter.to_string().contains("this log ends at 10"), "{shorter}");
        back.produce(RISK_SCORES, 0, records(10..40, "new")).await.unwrap();
        let past = late.check(&*back, "ledger", RISK_SCORES, 0).await.unwrap_err();
        assert!(past.to_string().contains("it was set back") && past.to_string().contains("nothing was written"), "{past}");
        assert_eq!((past.class(), kind(&past)), ("fatal", "log_set_back"));
        early.check(&*back, "ledger", RISK_SCORES, 0).await.unwrap();
    }
}
