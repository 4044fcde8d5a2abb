//! The log on a Kafka cluster, for its suite: each place has a namespace of its own, that is topics and groups of its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use secrecy::ExposeSecret;
use wh_eventlog::Log;
use wh_eventlog::kafka::KafkaLog;
use wh_schemas::topics;
use wh_stores::kafka::{KafkaSettings, RawKafka};
use wh_stores::{Durability, ServerUrl};

use super::{own_name, url};
use crate::contract::log::LogAdapter;

/// What one fetch aims at in tests: little, so that several are needed.
pub(crate) const FETCH_BYTES: usize = 64 * 1024;

/// The adapter of the server.
pub(in crate::contract) fn log() -> Arc<dyn LogAdapter> {
    Arc::new(OnKafka { opened: Mutex::default() })
}

struct OnKafka {
    /// Namespaces of the places that were opened: other tests of this process have theirs.
    opened: Mutex<BTreeSet<String>>,
}

/// Members that are heard often, so that rebalances take no time.
pub(crate) fn raw() -> RawKafka {
    RawKafka { heartbeat_ms: 300, session_timeout_ms: 6_000, ..RawKafka::default() }
}

/// Settings for a URL.
pub(crate) fn at(url: &str, raw: &RawKafka) -> KafkaSettings {
    KafkaSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn).unwrap()
}

/// The test server's URL, with a namespace.
pub(crate) fn with_namespace(url: &str, namespace: &str) -> String {
    format!("{url}{}namespace={namespace}", if url.contains('?') { '&' } else { '?' })
}

/// Settings for a namespace of the test server.
pub(crate) fn settings(namespace: &str, raw: &RawKafka) -> KafkaSettings {
    at(&with_namespace(&url("KAFKA").unwrap(), namespace), raw)
}

/// A stranger's client of the same cluster.
pub(crate) fn stranger(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    let protocol = format!("{}{}", if settings.user.is_some() { "sasl_" } else { "" }, if settings.tls.is_some() { "ssl" } else { "plaintext" });
    config.set("bootstrap.servers", &settings.brokers).set("security.protocol", protocol);
    if let (Some(user), Some(password)) = (&settings.user, settings.password.read().unwrap()) {
        config.set("sasl.mechanism", settings.mechanism.as_str().to_uppercase()).set("sasl.username", user).set("sasl.password", password.expose_secret());
    }
    if let Some(file) = settings.tls.as_ref().and_then(|tls| tls.ca_file.as_ref()) {
        config.set("ssl.ca.location", file.display().to_string());
    }
    config
}

/// How long an administrator waits.
fn patient() -> AdminOptions {
    let patience = Some(Duration::from_secs(30));
    AdminOptions::new().request_timeout(patience).operation_timeout(patience)
}

/// A client of an administrator.
pub(crate) fn admin(settings: &KafkaSettings) -> AdminClient<DefaultClientContext> {
    stranger(settings).create().unwrap()
}

/// Makes a topic of ours as a stranger would.
pub(crate) async fn make(settings: &KafkaSettings, topic: &str, partitions: i32, config: &[(&str, &str)]) {
    let full = settings.named(topic);
    let new = config.iter().fold(NewTopic::new(&full, partitions, TopicReplication::Fixed(1)), |new, (name, value)| new.set(name, value));
    for outcome in admin(settings).create_topics(&[new], &patient()).await.unwrap() {
        outcome.unwrap();
    }
}

/// Removes every topic and group of a namespace.
pub(crate) async fn remove(settings: &KafkaSettings) {
    let admin = admin(settings);
    let named: Vec<String> = topics::ALL.iter().map(|spec| settings.named(spec.name)).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    // Those that were never made say so; that is no fault.
    drop(admin.delete_topics(&named, &patient()).await.unwrap());
    let groups: Vec<String> = ["intake", "scorer", "ledger", "documents", "metrics", "search", "reader"].iter().map(|group| settings.named(group)).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    drop(admin.delete_groups(&groups, &patient()).await.unwrap());
}

#[async_trait]
impl LogAdapter for OnKafka {
    fn name(&self) -> &'static str {
        "the log on Kafka"
    }

    async fn open(&self, place: &Path) -> Arc<dyn Log> {
        let namespace = own_name(place);
        self.opened.lock().unwrap().insert(namespace.clone());
        KafkaLog::open(&settings(&namespace, &raw()), FETCH_BYTES).await.unwrap()
    }

    async fn sweep(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap());
        for namespace in opened {
            remove(&settings(&namespace, &raw())).await;
        }
    }
}
