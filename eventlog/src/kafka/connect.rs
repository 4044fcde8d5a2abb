//! How a cluster is reached: settings become clients, and a first answer tells what is there.
//!
//! What must stay true: nothing waits without a bound but producing; what waiting cannot mend is fatal and says what to do; a
//! client that nobody polls is listened to, so that its log lines do not pile up; no topic is ever made by asking for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataBroker;
use secrecy::ExposeSecret;
use wh_schemas::Reaction;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;
use wh_stores::kafka::{KafkaSettings, Tls};

use super::cursors::Cursors;
use super::errors;
use super::events::{ClientEvents, SAYS_EVERY, Trouble};

/// How long a first question waits before the client's complaints are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Pause between first questions that fail at once.
const PAUSE: Duration = Duration::from_millis(100);
/// How often clients that nobody else polls are listened to.
const LISTEN: Duration = Duration::from_millis(100);
/// How long a number of partitions is believed.
const BELIEVED: Duration = Duration::from_secs(30);

/// A client that reads and belongs to no group.
pub(super) type Client = BaseConsumer<ClientEvents>;

/// What every client is told.
pub(super) fn base(settings: &KafkaSettings) -> Result<ClientConfig, Reaction> {
    let millis = |duration: Duration| duration.as_millis().to_string();
    let mut config = ClientConfig::new();
    config
        .set_log_level(RDKafkaLogLevel::Info)
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", "wardhouse")
        .set("broker.address.family", settings.address_family)
        .set("socket.timeout.ms", millis(settings.request_timeout))
        .set("socket.connection.setup.timeout.ms", millis(settings.connect_timeout))
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.ms", millis(settings.reconnect))
        .set("reconnect.backoff.max.ms", millis(settings.reconnect_max))
        .set("topic.metadata.refresh.interval.ms", "60000")
        .set("log.thread.name", "false")
        .set("enable.metrics.push", "false")
        .set("statistics.interval.ms", SAYS_EVERY)
        .set("security.protocol", protocol(settings.tls.is_some(), settings.user.is_some()));
    if let Some(user) = &settings.user {
        config.set("sasl.mechanism", settings.mechanism.as_str().to_uppercase()).set("sasl.username", user);
        if let Some(password) = settings.password.read()? {
            config.set("sasl.password", password.expose_secret());
        }
    }
    if let Some(Tls { ca_file, identity, key_password }) = &settings.tls {
        if let Some(file) = ca_file {
            config.set("ssl.ca.location", file.display().to_string());
        }
        if let Some((certificate, key)) = identity {
            config.set("ssl.certificate.location", certificate.display().to_string()).set("ssl.key.location", key.display().to_string());
        }
        if let Some(password) = key_password.read()? {
            config.set("ssl.key.password", password.expose_secret());
        }
    }
    Ok(config)
}

fn protocol(tls: bool, user: bool) -> &'static str {
    match (tls, user) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    }
}

/// What a client that reads under the name of a group is told: it commits and resets nothing by itself.
pub(super) fn reading(settings: &KafkaSettings, group: &str) -> Result<ClientConfig, Reaction> {
    let mut config = base(settings)?;
    config
        .set("group.id", settings.named(group))
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("check.crcs", "true")
        // By default a full queue is left alone for a second, which bounds the rate to a queue a second.
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "100");
    Ok(config)
}

/// What is said where the client cannot be made at all.
pub(super) fn not_made(settings: &KafkaSettings, error: &KafkaError) -> Reaction {
    match error {
        KafkaError::ClientCreation(said) if said.contains("ssl.") => {
            Reaction::fatal(format!("{settings}: {said}: check the files that kafka.ca_file, kafka.cert_file and kafka.key_file name, and the key's password"))
        }
        other => errors::reaction(&settings.place(), other),
    }
}

/// The client that answers questions about topics and their bounds.
fn answering(settings: &KafkaSettings, trouble: &Arc<Trouble>) -> Result<Client, Reaction> {
    base(settings)?.create_with_context(ClientEvents::new("metadata", Arc::clone(trouble))).map_err(|error| not_made(settings, &error))
}

/// Closes clients on a thread of its own: one that is lost may take its time.
pub(super) fn close_behind<T: Send + 'static>(clients: T) {
    if let Err(error) = thread::Builder::new().name("kafka-close".to_owned()).spawn(move || drop(clients)) {
        tracing::debug!("a client of the log is closed by whoever used it: {error}");
    }
}

/// Clients that nobody polls for records.
pub(super) struct Shared {
    settings: KafkaSettings,
    trouble: Arc<Trouble>,
    client: Mutex<Arc<Client>>,
    /// Clients that read partitions for whoever asks.
    pub(super) cursors: Cursors,
    /// Clients that ask what groups have committed, by group.
    pub(super) groups: Mutex<HashMap<String, Arc<Client>>>,
    stop: AtomicBool,
}

impl Shared {
    /// Answers questions about topics and their bounds.
    fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another client in the stead of one that knows no broker any more.
    fn renew(&self) {
        match answering(&self.settings, &self.trouble) {
            Ok(fresh) => {
                tracing::warn!("a client of the log knew no broker any more: it is made anew");
                close_behind(std::mem::replace(&mut *self.client.lock().unwrap_or_else(PoisonError::into_inner), Arc::new(fresh)));
            }
            Err(reaction) => tracing::debug!("{reaction}"),
        }
    }

    fn listen(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let client = self.client();
            drop(client.poll(LISTEN));
            if client.context().is_lost() {
                self.renew();
            }
            self.cursors.prune(Instant::now());
            let lost: Vec<(String, Arc<Client>)> = self.groups.lock().unwrap_or_else(PoisonError::into_inner).extract_if(|_, client| client.context().is_lost()).collect();
            if !lost.is_empty() {
                close_behind(lost);
            }
            let groups: Vec<Arc<Client>> = self.groups.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
            for client in groups {
                drop(client.poll(Duration::ZERO));
            }
        }
    }
}

/// A topic as the brokers describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Described {
    /// How many partitions it has.
    pub(super) partitions: u32,
    /// Copies of the partition that has fewest.
    pub(super) replicas: usize,
    /// Whether each partition has a broker that leads it.
    pub(super) led: bool,
}

/// A cluster that has answered.
pub(super) struct Cluster {
    pub(super) settings: KafkaSettings,
    pub(super) shared: Arc<Shared>,
    pub(super) trouble: Arc<Trouble>,
    /// Its identity, by its own word.
    pub(super) id: String,
    /// The numbers of its brokers.
    pub(super) brokers: Vec<i32>,
    counts: Mutex<HashMap<String, (u32, Instant)>>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The listener closes the clients, on a thread that may wait.
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

/// Connects to the brokers and waits for their first answer.
///
/// # Errors
/// Transient while no broker can be reached, fatal for wrong credentials, TLS that is expected on one side only, a certificate that
/// is not trusted, or a server that is no Kafka.
pub(super) async fn connect(settings: &KafkaSettings) -> Result<Arc<Cluster>, Reaction> {
    let trouble = Arc::new(Trouble::default());
    let client = Mutex::new(Arc::new(answering(settings, &trouble)?));
    let (cursors, groups, stop) = (Cursors::default(), Mutex::default(), AtomicBool::new(false));
    let shared = Arc::new(Shared { settings: settings.clone(), trouble: Arc::clone(&trouble), client, cursors, groups, stop });
    let listener = Arc::clone(&shared);
    thread::Builder::new()
        .name("kafka-events".to_owned())
        .spawn(move || listener.listen())
        .map_err(|error| Reaction::fatal(format!("cannot start a thread for the log's client: {error}")))?;
    let mut cluster = Cluster { settings: settings.clone(), shared, trouble, id: String::new(), brokers: Vec::new(), counts: Mutex::default() };
    cluster.brokers = cluster.first_answer().await?;
    let timeout = settings.request_timeout;
    let id = cluster.ask("the identity of the cluster", move |client| Ok(client.client().fetch_cluster_id(timeout))).await?;
    let too_old = || Reaction::fatal(format!("{settings}: the brokers tell no identity of their cluster: expected Kafka {}.{} or newer", errors::OLDEST.0, errors::OLDEST.1));
    cluster.id = id.ok_or_else(too_old)?;
    cluster.trouble.clear();
    Ok(Arc::new(cluster))
}

impl Cluster {
    /// Asks until a broker answers; gives the numbers of all.
    async fn first_answer(&self) -> Result<Vec<i32>, Reaction> {
        let settings = &self.settings;
        let deadline = Instant::now() + settings.connect_timeout;
        loop {
            let (shared, probe) = (Arc::clone(&self.shared), settings.named(HOSPITAL_TRANSACTIONS));
            let asking = tokio::task::spawn_blocking(move || {
                let metadata = shared.client().fetch_metadata(Some(&probe), LOOK)?;
                Ok::<Vec<i32>, KafkaError>(metadata.brokers().iter().map(MetadataBroker::id).collect())
            });
            let error = match asking.await {
                Ok(Ok(brokers)) => return Ok(brokers),
                Ok(Err(error)) => error,
                Err(error) => return Err(Reaction::fatal(format!("{settings}: {error}"))),
            };
            let over = Instant::now() >= deadline;
            if let Some(said) = self.trouble.last()
                && let Some(refusal) = errors::refusal(&said, settings)
                && (refusal.certain || over)
            {
                return Err(Reaction::fatal(format!("{settings}: {said}: {}", refusal.remedy)));
            }
            if over {
                return Err(Reaction::transient(self.trouble.with(&format!("{settings} cannot be reached: {error}"))));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks the brokers something, on a thread that may wait.
    pub(super) async fn ask<T: Send + 'static>(&self, what: &str, question: impl FnOnce(&Client) -> KafkaResult<T> + Send + 'static) -> Result<T, Reaction> {
        let shared = Arc::clone(&self.shared);
        match tokio::task::spawn_blocking(move || question(shared.client().as_ref())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.reaction(what, &error)),
            Err(error) => Err(Reaction::fatal(format!("{self}: {what}: {error}"))),
        }
    }

    /// The reaction to a failure of `what`, with what the client complained about last where the brokers are away.
    pub(super) fn reaction(&self, what: &str, error: &KafkaError) -> Reaction {
        match errors::reaction(&format!("{self}: {what}"), error) {
            Reaction::Transient { message, retry_after } => Reaction::Transient { message: self.trouble.with(&message), retry_after },
            other => other,
        }
    }

    /// A topic as the brokers describe it now; `None` where there is none.
    pub(super) async fn described(&self, topic: &str) -> Result<Option<Described>, Reaction> {
        let (full, timeout) = (self.settings.named(topic), self.settings.request_timeout);
        let described = self
            .ask(&format!("the topic {topic}"), move |client| {
                let metadata = client.fetch_metadata(Some(&full), timeout)?;
                let Some(found) = metadata.topics().iter().find(|found| found.name() == full) else { return Ok(None) };
                // The partitions of a topic with an error must not be looked at.
                match found.error().map(Code::from) {
                    None => {}
                    Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Ok(None),
                    Some(code) => return Err(KafkaError::MetadataFetch(code)),
                }
                let partitions = found.partitions();
                Ok(Some(Described {
                    partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
                    replicas: partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0),
                    led: partitions.iter().all(|partition| partition.leader() >= 0),
                }))
            })
            .await?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match described {
            Some(described) => counts.insert(topic.to_owned(), (described.partitions, Instant::now())),
            None => counts.remove(topic),
        };
        Ok(described)
    }

    /// How many partitions a topic has, as of some seconds ago; `None` where there is no such topic.
    pub(super) async fn count(&self, topic: &str) -> Result<Option<u32>, Reaction> {
        let known = self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        match known {
            Some((count, at)) if at.elapsed() < BELIEVED => Ok(Some(count)),
            _ => Ok(self.described(topic).await?.map(|described| described.partitions)),
        }
    }

    /// How many partitions a topic has.
    pub(super) async fn partitions(&self, topic: &str) -> Result<u32, Reaction> {
        self.count(topic).await?.ok_or_else(|| Reaction::fatal(format!("the log has no topic {topic} ({self}): run `wardhouse migrate`, or check the namespace in stores.log")))
    }

    /// The partition as the client numbers it.
    pub(super) async fn partition(&self, topic: &str, partition: u32) -> Result<i32, Reaction> {
        let none = || Reaction::fatal(format!("the log has no partition {partition} of a topic {topic} ({self})"));
        let count = self.count(topic).await?.ok_or_else(none)?;
        i32::try_from(partition).ok().filter(|_| partition < count).ok_or_else(none)
    }

    /// A client for what administrators do. It is to be dropped on a thread that may wait.
    pub(super) fn admin(&self) -> Result<AdminClient<ClientEvents>, Reaction> {
        base(&self.settings)?.create_with_context(ClientEvents::new("admin", Arc::clone(&self.trouble))).map_err(|error| not_made(&self.settings, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_stores::kafka::RawKafka;
    use wh_stores::{Durability, ServerUrl};

    fn settings(url: &str, raw: &RawKafka) -> KafkaSettings {
        KafkaSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn).unwrap()
    }

    #[test]
    fn settings_become_what_the_client_understands() {
        let raw = RawKafka { ca_file: Some("ca.pem".into()), ..RawKafka::default() };
        let config = reading(&settings("kafka://us:p%2Fw@a,b:1?tls=true&namespace=t1&mechanism=scram-sha-256", &raw), "scorer").unwrap();
        for (name, wanted) in [
            ("bootstrap.servers", "a:9092,b:1"),
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.username", "us"),
            ("sasl.password", "p/w"),
            ("ssl.ca.location", "ca.pem"),
            ("group.id", "t1-scorer"),
            ("auto.offset.reset", "error"),
            ("enable.auto.commit", "false"),
        ] {
            assert_eq!(config.get(name), Some(wanted), "{name}");
        }
        assert_eq!(base(&settings("kafka://a", &RawKafka::default())).unwrap().get("security.protocol"), Some("plaintext"));
    }

    #[test]
    fn every_setting_is_one_that_the_client_knows() {
        let settings = settings("kafka://a", &RawKafka::default());
        assert!(reading(&settings, "g").unwrap().create_native_config().is_ok());
        assert!(super::super::consumer::membership::member(&settings, "g").unwrap().create_native_config().is_ok());
        assert!(super::super::writer::config(&settings).unwrap().create_native_config().is_ok());
    }

    #[test]
    fn a_certificate_that_is_not_there_is_told() {
        let raw = RawKafka { tls: true, ca_file: Some("/nowhere/ca.pem".into()), ..RawKafka::default() };
        let settings = settings("kafka://a", &raw);
        let made = base(&settings).unwrap().create_with_context::<_, Client>(ClientEvents::new("test", Arc::default()));
        let told = not_made(&settings, &made.err().unwrap());
        assert!(matches!(&told, Reaction::Fatal(said) if said.contains("kafka.ca_file")), "{told:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn brokers_that_are_away_are_waited_for_by_whoever_asks_again() {
        let raw = RawKafka { connect_timeout_ms: 1_000, ..RawKafka::default() };
        // Nothing listens on port 1.
        let told = connect(&settings("kafka://127.0.0.1:1", &raw)).await.err().unwrap();
        assert!(matches!(&told, Reaction::Transient { message, .. } if message.contains("kafka://127.0.0.1:1 cannot be reached")), "{told:?}");
    }
}
