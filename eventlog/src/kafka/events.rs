//! What Kafka's client says beside its records: log lines, errors, rebalances; told at a sane rate, the last complaint kept.
//!
//! What must stay true: a rebalance is a value that waits until the application has answered it, save while the member leaves; no
//! callback blocks.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};

use super::errors;

/// How often one kind of line is told at most.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// How often a client says which brokers it knows, in milliseconds.
pub(super) const SAYS_EVERY: &str = "1000";
/// How often in a row it must know none before it counts as lost: while it begins anew it knows none for an instant.
const LOST_AFTER: u32 = 3;
/// The same for one that writes: giving it up makes stages begin afresh, so it gets longer to find one.
const LOST_FOR_GOOD_AFTER: u32 = 5;

/// The last complaint of a client, and how often it was told.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    last: Mutex<Option<String>>,
    told: Mutex<HashMap<String, Told>>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    held_back: u32,
}

impl Trouble {
    /// Keeps a complaint for whoever waits.
    fn note(&self, said: &str) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(said.to_owned());
    }

    /// The last complaint.
    pub(super) fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A message with the last complaint behind it.
    pub(super) fn with(&self, message: &str) -> String {
        self.last().map_or_else(|| message.to_owned(), |last| format!("{message} (the client last said: {last})"))
    }

    /// Forgets what was complained about.
    pub(super) fn clear(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How many lines of this kind were held back since one was told; `None` where this one is held back too.
    fn tell(&self, kind: &str, now: Instant) -> Option<u32> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match told.get_mut(kind) {
            Some(before) if now.duration_since(before.at) < TOLD_EVERY => {
                before.held_back += 1;
                None
            }
            Some(before) => {
                before.at = now;
                Some(std::mem::take(&mut before.held_back))
            }
            None => {
                told.insert(kind.to_owned(), Told { at: now, held_back: 0 });
                Some(0)
            }
        }
    }
}

/// What a client without a group says.
#[derive(Debug)]
pub(super) struct ClientEvents {
    client: &'static str,
    trouble: Arc<Trouble>,
    /// How often in a row it knew no broker.
    unknowing: AtomicU32,
    /// The words of its last error.
    said: Mutex<String>,
}

impl ClientEvents {
    /// For a client that is called `client` in the log.
    pub(super) fn new(client: &'static str, trouble: Arc<Trouble>) -> ClientEvents {
        ClientEvents { client, trouble, unknowing: AtomicU32::new(0), said: Mutex::default() }
    }

    /// Whether the client knows no broker any more, not even those of its settings, and so asks none again. Brokers that are all fenced for a
    /// moment, as behind a freeze, name none; a client that hears that forgets those that it had, and does not always begin anew (seen in
    /// librdkafka 2.12; confluentinc/librdkafka issue 5301).
    pub(super) fn is_lost(&self) -> bool {
        self.unknowing.load(Ordering::Relaxed) >= LOST_AFTER
    }

    /// Whether an error of TLS or of the user only says that the connection broke in the midst of it, as where a broker goes down. It is to be
    /// asked of the error that came last.
    pub(super) fn broke_off(&self, error: &KafkaError) -> bool {
        matches!(errors::code_of(error), Some(Code::SSL | Code::Authentication)) && errors::is_broken_off(&self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`ClientEvents::is_lost`], for longer.
    pub(super) fn is_lost_for_good(&self) -> bool {
        self.unknowing.load(Ordering::Relaxed) >= LOST_FOR_GOOD_AFTER
    }
}

impl ClientContext for ClientEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == "FAIL" {
            self.trouble.note(line);
        }
        let loud = matches!(level, RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning);
        // Advice on settings that are chosen on purpose.
        if !loud || facility == "CONFWARN" {
            tracing::debug!(client = self.client, facility, "{line}");
        } else if let Some(held_back) = self.trouble.tell(facility, Instant::now()) {
            tracing::warn!(client = self.client, facility, held_back, "{line}");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        reason.clone_into(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner));
        match errors::code_of(&error) {
            Some(Code::PartitionEOF) => {}
            // Says less than what came before it.
            Some(Code::AllBrokersDown) if self.trouble.last().is_some() => {}
            _ => {
                self.trouble.note(reason);
                tracing::debug!(client = self.client, "{error}: {reason}");
            }
        }
    }

    fn stats(&self, statistics: Statistics) {
        // The group's coordinator is among them, as a place to be filled.
        if statistics.brokers.values().any(|broker| matches!(broker.source.as_str(), "configured" | "learned")) {
            self.unknowing.store(0, Ordering::Relaxed);
        } else {
            self.unknowing.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl ConsumerContext for ClientEvents {}

/// Topic and partition of the cluster.
pub(super) type Place = (String, i32);

/// What a group wants of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rebalance {
    /// To read partitions.
    Assign(Vec<Place>),
    /// To give partitions up.
    Revoke(Vec<Place>),
}

/// What a member of a group says.
#[derive(Debug)]
pub(super) struct GroupEvents {
    events: ClientEvents,
    rebalances: Mutex<VecDeque<Rebalance>>,
    leaving: AtomicBool,
    served: AtomicU64,
}

impl GroupEvents {
    /// For a member.
    pub(super) fn new(trouble: Arc<Trouble>) -> GroupEvents {
        GroupEvents { events: ClientEvents::new("consumer", trouble), rebalances: Mutex::default(), leaving: AtomicBool::new(false), served: AtomicU64::new(0) }
    }

    /// Callbacks so far: a poll that gave nothing while this grew may have left more in the queue.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// What the group wants next and has not been told to the application.
    pub(super) fn wanted(&self) -> Option<Rebalance> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    /// Whether the group wants something.
    pub(super) fn wants(&self) -> bool {
        !self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes what [`GroupEvents::wanted`] gave out of the queue.
    pub(super) fn told(&self) -> Option<Rebalance> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// See [`ClientEvents::is_lost`].
    pub(super) fn is_lost(&self) -> bool {
        self.events.is_lost()
    }

    /// See [`ClientEvents::broke_off`].
    pub(super) fn broke_off(&self, error: &KafkaError) -> bool {
        self.events.broke_off(error)
    }

    /// From now on rebalances are answered at once: nobody reads any more.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    fn serve(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }
}

impl ClientContext for GroupEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.serve();
        self.events.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.serve();
        self.events.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.serve();
        self.events.stats(statistics);
    }
}

impl ConsumerContext for GroupEvents {
    /// The group waits in this state until the client is told (un)assign, which the consumer does when its application comes back.
    /// Heartbeats go on meanwhile.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.serve();
        let assigned = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if list.count() == 0 || self.leaving.load(Ordering::SeqCst) {
            let answered = if assigned { consumer.incremental_assign(list) } else { consumer.incremental_unassign(list) };
            if let Err(error) = answered {
                tracing::debug!("a rebalance was not answered: {error}");
            }
            return;
        }
        // Plain names: a list of the client's own would keep its partitions, and it from ending.
        let places = list.elements().iter().map(|of| (of.topic().to_owned(), of.partition())).collect();
        let wanted = if assigned { Rebalance::Assign(places) } else { Rebalance::Revoke(places) };
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).push_back(wanted);
    }

    fn commit_callback(&self, _result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        self.serve();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::statistics::Broker;

    #[test]
    fn a_client_that_knows_no_broker_for_a_while_is_lost_until_it_knows_one_again() {
        let events = ClientEvents::new("test", Arc::default());
        let knowing = |sources: &[&str]| {
            let broker = |source: &&str| ((*source).to_owned(), Broker { source: (*source).to_owned(), ..Broker::default() });
            Statistics { brokers: sources.iter().map(broker).collect(), ..Statistics::default() }
        };
        for (sources, lost) in
            [(vec!["logical"], false), (vec!["logical", "internal"], false), (vec!["configured"], false), (vec![], false), (vec!["logical"], false), (vec!["logical"], true)]
        {
            events.stats(knowing(&sources));
            assert_eq!(events.is_lost(), lost, "{sources:?}");
        }
        events.stats(knowing(&["learned", "logical"]));
        assert!(!events.is_lost());
    }

    #[test]
    fn a_line_that_repeats_is_told_now_and_then_with_how_many_were_held_back() {
        let (trouble, now) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.tell("FAIL", now), Some(0));
        assert_eq!((trouble.tell("FAIL", now), trouble.tell("FAIL", now + TOLD_EVERY / 2)), (None, None));
        assert_eq!(trouble.tell("OTHER", now), Some(0), "another kind is another matter");
        assert_eq!((trouble.tell("FAIL", now + TOLD_EVERY), trouble.tell("FAIL", now + TOLD_EVERY * 2)), (Some(2), Some(0)));
    }

    #[test]
    fn a_handshake_that_breaks_off_is_told_from_one_that_is_refused() {
        let events = ClientEvents::new("test", Arc::default());
        let broke_off = |code: Code, said: &str| {
            events.error(KafkaError::Global(code), said);
            events.broke_off(&KafkaError::MessageConsumption(code))
        };
        assert!(broke_off(Code::SSL, "ssl://h:1/1: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener?"));
        assert!(broke_off(Code::Authentication, "sasl_ssl://h:1/1: SASL authentication error: Local: Broker transport failure (after 3ms in state AUTH_REQ)"));
        assert!(!broke_off(Code::SSL, "ssl://h:1/1: SSL handshake failed: certificate verify failed: broker certificate could not be verified"));
        assert!(!broke_off(Code::Authentication, "sasl_ssl://h:1/1: SASL authentication error: Authentication failed: Invalid username or password"));
        assert!(!broke_off(Code::TopicAuthorizationFailed, "Disconnected"));
    }

    #[test]
    fn the_last_complaint_that_says_something_is_kept() {
        let trouble = Arc::new(Trouble::default());
        let events = ClientEvents::new("test", Arc::clone(&trouble));
        events.error(KafkaError::Global(Code::BrokerTransportFailure), "h:1: Connection refused");
        events.error(KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        events.error(KafkaError::Global(Code::PartitionEOF), "end");
        assert_eq!(trouble.with("no answer"), "no answer (the client last said: h:1: Connection refused)");
        trouble.clear();
        assert_eq!(trouble.with("no answer"), "no answer");
    }
}
