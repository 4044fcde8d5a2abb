//! Kafka: the scored records through a plain idempotent producer with the pipeline's acknowledgements, compression and batches, into a topic
//! of our own.

use wh_eventlog::Record;
use wh_eventlog::kafka::{self, Bulk};
use wh_schemas::topics::{ALL, RISK_SCORES};
use wh_stores::kafka::KafkaSettings;

use super::meter::Meter;
use super::{Run, Unmeasured, and_remove, own_name};
use crate::report::RawRate;

/// How it is called in reports.
pub const WAY: &str = "idempotent producer, acks=all";

/// Partitions of the topic.
const PARTITIONS: u32 = 3;

/// Nobody reads the topic; a list of no groups is refused, and a group that is not there is no fault.
const GROUP: &str = "plain";

/// Measures it.
pub(super) async fn measure(settings: &KafkaSettings, run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    let own = KafkaSettings { namespace: Some(own_name()), ..settings.clone() };
    let spec = ALL.into_iter().find(|spec| spec.name == RISK_SCORES).ok_or_else(|| Unmeasured::Failed(format!("there is no topic {RISK_SCORES}")))?;
    let bulk = Bulk::open(&own, spec).await?;
    let work = async {
        bulk.make(PARTITIONS).await?;
        let records: Vec<Record> = run
            .corpus
            .scored
            .iter()
            .flat_map(|batch| batch.iter())
            .map(|stored| Record { key: stored.key.clone(), value: stored.value.clone(), headers: stored.headers.clone() })
            .collect();
        let bytes = records.iter().map(|record| record.value.len() + record.key.as_ref().map_or(0, |key| key.len())).sum();
        let rows = records.len();
        let meter = Meter::start(&run.cpu);
        bulk.write(records).await?;
        Ok::<_, Unmeasured>(meter.stop(rows, bytes).raw_rate("log", WAY))
    };
    let remove = async { Ok(kafka::remove(&own, &[GROUP]).await?) };
    and_remove(run.stop, work, remove).await
}
