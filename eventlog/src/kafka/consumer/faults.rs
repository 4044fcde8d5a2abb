//! What a member does about an error of its client.
//!
//! What must stay true: a position that is not there is fatal, never reset, and named; what mends itself ends nothing.

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use wh_schemas::Reaction;

use super::super::errors;
use super::super::held::Next;
use super::KafkaConsumer;
use crate::Reader;

impl KafkaConsumer {
    /// What an error of the client asks for; `Ok` where it goes on by itself.
    pub(super) async fn failed(&mut self, error: KafkaError) -> Result<(), Reaction> {
        let what = format!("the group {}", self.group);
        let ended = matches!(error, KafkaError::MessageConsumptionFatal(_));
        if self.client()?.context().broke_off(&error) {
            return Ok(());
        }
        match errors::code_of(&error) {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation) => Err(self.position_gone(&error).await),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId) => {
                for topic in &self.topics {
                    if let Ok(None) = self.cluster().described(&topic.name).await {
                        return Err(Reaction::fatal(format!(
                            "the log has no topic {} any more ({}): restore it, and the stores that read it, from a backup",
                            topic.name,
                            self.cluster()
                        )));
                    }
                }
                Ok(())
            }
            Some(Code::PollExceeded) => {
                tracing::warn!(group = %self.group, "a batch took longer than kafka.max_poll_interval_ms: partitions went to other members and are taken over anew");
                Ok(())
            }
            _ => match self.cluster().reaction(&what, &error) {
                Reaction::Fatal(said) => Err(Reaction::Fatal(said)),
                other if ended => Err(Reaction::fatal(other.to_string())),
                // Told by the client's own lines. It tries again.
                _ => Ok(()),
            },
        }
    }

    /// Which position is not there. The client says only that one is not.
    async fn position_gone(&self, error: &KafkaError) -> Reaction {
        for (key, next) in self.held.positions() {
            let (topic, partition) = self.place(key);
            if let Next::At(next) = next
                && let Ok(bounds) = self.reader.bounds(&topic, partition).await
            {
                let next = u64::try_from(next).unwrap_or(0);
                if next < bounds.start || next > bounds.end {
                    return errors::position_gone(&topic, partition, next, bounds);
                }
            }
        }
        self.cluster().reaction(&format!("the group {}", self.group), error)
    }
}
