//! The client that records are written with: how it is told, what it tells of each record, and when it is replaced.
//!
//! An idempotent client that could not write something takes nothing behind it; one that has forgotten its brokers asks none again. Neither
//! recovers. Whoever waits for records handed to it is told that it has ended; whoever comes next gets another.
//!
//! What must stay true: no call is split between two clients; a call of a client that was replaced fails for good, also where its records are
//! cleared away when that is closed, since some may stand in the log: only a caller who may write twice tries again.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message, Statistics};
use tokio::sync::Notify;
use wh_schemas::Reaction;
use wh_stores::kafka::KafkaSettings;

use super::events::{ClientEvents, Trouble};
use super::{connect, errors};

/// How many times as large as a source's record what becomes of it may be: its scored form holds it, its alerts hold it again.
pub(super) const GROWTH: u64 = 4;
/// Framing of a batch that holds nothing but the largest record.
const FRAME_BYTES: u64 = 64 * 1_024;
/// How soon behind a client another is made: one that ends at once, as for want of rights, is not made for each request.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether a client that was replaced is still waited for.
const LOOK: Duration = Duration::from_millis(100);

/// Largest record that the client sends, whatever topics admit.
pub(super) fn largest(settings: &KafkaSettings) -> u64 {
    settings.record_max_bytes.saturating_mul(GROWTH)
}

/// What the client is told.
pub(super) fn config(settings: &KafkaSettings) -> Result<ClientConfig, Reaction> {
    let mut config = connect::base(settings)?;
    config
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        // With a second batch behind one that a broker refuses, as it does where a topic is new or its leader has moved, the client takes the
        // second one's acknowledgement for the first's: it was seen to lose the first (confluentinc/confluent-kafka-go issue 921; for a broker
        // that does not know the producer yet, any number is the next). Nor does one partition's trouble renumber another's batches on their
        // way (confluentinc/librdkafka issue 4953). Brokers take one request of a connection at a time as it is.
        .set("max.in.flight.requests.per.connection", "1")
        .set("acks", "all")
        .set("message.timeout.ms", "0")
        .set("compression.type", settings.compression.as_str())
        .set("linger.ms", settings.linger.as_millis().to_string())
        .set("batch.size", settings.batch_bytes.to_string())
        // The client allocates up to this for a batch, so it is no larger than it must be.
        .set("message.max.bytes", (largest(settings) + FRAME_BYTES).to_string())
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", settings.queue_kib.to_string());
    Ok(config)
}

/// One call on its way.
#[derive(Debug)]
pub(super) struct Call {
    /// Lowest offset that was acknowledged.
    first: AtomicI64,
    /// Records that are not acknowledged yet.
    left: AtomicUsize,
    failed: Mutex<Option<Code>>,
    /// Told once all are settled.
    pub(super) done: Notify,
}

impl Call {
    pub(super) fn new(records: usize) -> Call {
        Call { first: AtomicI64::new(i64::MAX), left: AtomicUsize::new(records), failed: Mutex::new(None), done: Notify::new() }
    }

    /// What became of one record: its offset, negative where the broker did not say, or why it was not written.
    fn settle(&self, outcome: Result<i64, Code>) {
        match outcome {
            Ok(offset) if offset >= 0 => {
                self.first.fetch_min(offset, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(code) => {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(code);
            }
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    /// The first offset once all are settled; `None` where no broker said one.
    pub(super) fn outcome(&self) -> Result<Option<i64>, Code> {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.first.load(Ordering::Acquire);
        failed.map_or(Ok((first != i64::MAX).then_some(first)), Err)
    }
}

/// Gives each acknowledgement to the call that waits for it.
pub(super) struct Acknowledgements {
    events: ClientEvents,
    /// Whether another client took its place.
    replaced: AtomicBool,
}

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.events.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.events.stats(statistics);
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Arc<Call>;

    fn delivery(&self, result: &DeliveryResult<'_>, call: Arc<Call>) {
        match result {
            Ok(message) => call.settle(Ok(message.offset())),
            Err((error, _)) => call.settle(Err(errors::code_of(error).unwrap_or(Code::Fail))),
        }
    }
}

/// A client that writes.
pub(super) type Writer = ThreadedProducer<Acknowledgements>;

/// Why a client takes nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Something could not be written.
    Failed(String),
    /// It knows no broker any more.
    Lost,
    /// Another took its place.
    Replaced,
}

/// Why a client has ended, if it has.
pub(super) fn end(writer: &Writer) -> Option<End> {
    let context = writer.context();
    if context.replaced.load(Ordering::Acquire) {
        Some(End::Replaced)
    } else if let Some((_, said)) = writer.client().fatal_error() {
        Some(End::Failed(said))
    } else {
        context.events.is_lost_for_good().then_some(End::Lost)
    }
}

/// The client of a process, and when it was made.
pub(super) struct Writers {
    settings: KafkaSettings,
    trouble: Arc<Trouble>,
    current: Mutex<(Arc<Writer>, Instant)>,
}

impl Writers {
    /// Makes the first. It connects when it first writes.
    pub(super) fn new(settings: &KafkaSettings, trouble: &Arc<Trouble>) -> Result<Writers, Reaction> {
        let first = made(settings, trouble)?;
        Ok(Writers { settings: settings.clone(), trouble: Arc::clone(trouble), current: Mutex::new((Arc::new(first), Instant::now())) })
    }

    /// The client to write with: another in the stead of one that has ended, but for one that was made just now.
    pub(super) fn current(&self) -> Result<Arc<Writer>, Reaction> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (writer, since) = &*current;
        let Some(end) = end(writer).filter(|_| since.elapsed() >= AGAIN) else { return Ok(Arc::clone(writer)) };
        let fresh = Arc::new(made(&self.settings, &self.trouble)?);
        tracing::warn!(?end, "the client that records are written with has ended: it is made anew");
        let (old, _) = std::mem::replace(&mut *current, (Arc::clone(&fresh), Instant::now()));
        retire(old);
        Ok(fresh)
    }
}

fn made(settings: &KafkaSettings, trouble: &Arc<Trouble>) -> Result<Writer, Reaction> {
    let context = Acknowledgements { events: ClientEvents::new("producer", Arc::clone(trouble)), replaced: AtomicBool::new(false) };
    config(settings)?.create_with_context(context).map_err(|error| connect::not_made(settings, &error))
}

/// Closes a client on a thread of its own, once nobody waits for it any more: closing takes its time.
fn retire(old: Arc<Writer>) {
    old.context().replaced.store(true, Ordering::Release);
    let closing = thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
        while Arc::strong_count(&old) > 1 {
            thread::sleep(LOOK);
        }
        drop(old);
    });
    if let Err(error) = closing {
        tracing::debug!("a client of the log was closed in place: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::BaseRecord;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    use wh_stores::kafka::RawKafka;
    use wh_stores::{Durability, ServerUrl};

    fn settings(url: &str) -> KafkaSettings {
        KafkaSettings::try_new(&ServerUrl::parse(url).unwrap(), &RawKafka::default(), Durability::Warn).unwrap()
    }

    #[test]
    fn a_call_is_done_when_its_last_record_is_and_tells_its_first_offset() {
        let call = Call::new(3);
        for (offset, left) in [(12, 2), (10, 1), (11, 0)] {
            call.settle(Ok(offset));
            assert_eq!(call.left.load(Ordering::Relaxed), left);
        }
        assert_eq!(call.outcome(), Ok(Some(10)));
    }

    #[test]
    fn an_offset_that_no_broker_said_is_none_and_one_failure_fails_the_call() {
        let call = Call::new(2);
        call.settle(Ok(-1001));
        call.settle(Ok(-1001));
        assert_eq!(call.outcome(), Ok(None));
        let call = Call::new(2);
        call.settle(Ok(5));
        call.settle(Err(Code::GaplessGuarantee));
        assert_eq!(call.outcome(), Err(Code::GaplessGuarantee));
    }

    #[test]
    fn a_client_that_knows_no_broker_for_long_is_replaced_and_whoever_waits_for_it_is_told() {
        // Nothing listens on port 1, and nothing is written.
        let settings = settings("kafka://127.0.0.1:1");
        let writers = Writers::new(&settings, &Arc::default()).unwrap();
        let first = writers.current().unwrap();
        assert_eq!(end(&first), None);
        first.context().replaced.store(true, Ordering::Release);
        assert!(Arc::ptr_eq(&writers.current().unwrap(), &first), "one that was made just now is not made again at once");
        first.context().replaced.store(false, Ordering::Release);
        let made = Instant::now().checked_sub(AGAIN).unwrap();
        writers.current.lock().unwrap().1 = made;
        assert!(Arc::ptr_eq(&writers.current().unwrap(), &first), "it is well");
        for _ in 0..60 {
            first.context().events.stats(Statistics::default());
        }
        assert_eq!(end(&first), Some(End::Lost));
        let second = writers.current().unwrap();
        assert!(!Arc::ptr_eq(&second, &first));
        assert_eq!((end(&first), end(&second)), (Some(End::Replaced), None));
    }

    /// The client's own broker for tests, which looks at no sequence numbers: as a real one that does not know the producer yet.
    #[test]
    fn what_a_broker_refuses_at_first_is_written_before_what_comes_behind_it() {
        const PATIENCE: Duration = Duration::from_secs(30);
        for refused in [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART] {
            let brokers = MockCluster::new(1).unwrap();
            brokers.create_topic("t", 1, 1).unwrap();
            // Long enough that the second batch would be under way.
            brokers.broker_round_trip_time(-1, Duration::from_millis(100)).unwrap();
            brokers.request_errors(RDKafkaApiKey::Produce, &[refused]);
            let settings = settings(&format!("kafka://{}", brokers.bootstrap_servers()));
            let writer = made(&settings, &Arc::default()).unwrap();
            let call = Arc::new(Call::new(12));
            let large: Vec<Vec<u8>> = (0..12).map(|number| vec![number; 250 * 1_024]).collect();
            for value in &large {
                let message: BaseRecord<'_, [u8], [u8], Arc<Call>> = BaseRecord::with_opaque_to("t", Arc::clone(&call)).partition(0).payload(value);
                assert!(writer.send(message).is_ok());
            }
            writer.flush(PATIENCE).unwrap();
            assert_eq!((call.outcome(), call.left.load(Ordering::Relaxed)), (Ok(Some(0)), 0));
            let reader: BaseConsumer = connect::base(&settings).unwrap().create().unwrap();
            assert_eq!(reader.fetch_watermarks("t", 0, PATIENCE).unwrap(), (0, 12), "{refused:?}: all that was acknowledged is there");
        }
    }
}
