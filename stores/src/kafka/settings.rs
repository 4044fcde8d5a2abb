//! What the section `[kafka]` and the URL of `stores.log` ask for.
//!
//! What must stay true: reading them does no I/O; every fault is told at once; no secret shows in what is printed; nothing here
//! can weaken what the log promises (acks from all, idempotence, no silent reset are not settings).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::faults::Faults;
use crate::finding::Durability;
use crate::secret::Secret;
use crate::section::Section;
use crate::server_url::ServerUrl;
use crate::tls::Files;
use crate::{credentials, tls};

/// Port of a broker that is named without one.
const DEFAULT_PORT: u16 = 9092;
/// What a URL may say behind its `?`.
const QUERY: [&str; 3] = ["namespace", "tls", "mechanism"];
/// Longest namespace.
const NAMESPACE_BYTES: usize = 60;
/// Longest name of a member.
const MEMBER_BYTES: usize = 200;

/// The section `[kafka]` as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawKafka {
    /// SASL user; none where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password.
    #[serde(skip_serializing)]
    pub password: Option<SecretString>,
    /// A file whose first line is the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// How the password is proven, where there is a user: `scram-sha-512`, `scram-sha-256` or `plain`.
    pub mechanism: String,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// Certificates (PEM) of who may vouch for the brokers, in place of the well-known ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Certificate (PEM) by which the brokers know this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// Key (PEM) of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Password of the key.
    #[serde(skip_serializing)]
    pub key_password: Option<SecretString>,
    /// A file whose first line is the password of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_password_file: Option<PathBuf>,
    /// Addresses of brokers that are used: `any`, `v4` or `v6`.
    pub address_family: String,
    /// How long a first connection may take to be made.
    pub connect_timeout_ms: u64,
    /// How long an answer may take. Producing waits without end; this bounds each of its requests.
    pub request_timeout_ms: u64,
    /// First wait before a broken connection is made again; it doubles.
    pub reconnect_ms: u64,
    /// Longest such wait.
    pub reconnect_max_ms: u64,
    /// Copies of each record; 0 for three, or as many as there are brokers where those are fewer.
    pub replication: u64,
    /// Copies that must have a record before it counts as written; 0 for one less than `replication`, at least one.
    pub min_insync_replicas: u64,
    /// Records after which a broker flushes a topic to its disk; 0 leaves that to the broker, which relies on the other copies.
    pub flush_messages: u64,
    /// Largest record of `hospital-transactions`; what becomes of it may be four times as large.
    pub record_max_kib: u64,
    /// How batches are compressed: `lz4`, `zstd`, `gzip` or `none`.
    pub compression: String,
    /// How long the producer waits for a batch to fill.
    pub linger_ms: u64,
    /// Size at which a batch is full.
    pub batch_kib: u64,
    /// Records that wait for the brokers; producing waits beyond it.
    pub queue_kib: u64,
    /// Name of this process as a member of its groups, unique among them: it then keeps its partitions through a restart within
    /// `session_timeout_ms`. Empty for none.
    pub group_instance_id: String,
    /// Silence after which a member counts as gone.
    pub session_timeout_ms: u64,
    /// How often a member is heard.
    pub heartbeat_ms: u64,
    /// How long one batch may take before the member counts as stuck and its partitions go to others.
    pub max_poll_interval_ms: u64,
    /// Bytes for which a broker waits before it answers a fetch …
    pub fetch_min_bytes: u64,
    /// … at most so long. A partition that is taken over is read after this long at the latest.
    pub fetch_wait_ms: u64,
    /// Records that each group fetches ahead.
    pub queued_kib: u64,
}

impl Default for RawKafka {
    fn default() -> Self {
        RawKafka {
            user: None,
            password: None,
            password_file: None,
            mechanism: Mechanism::default().as_str().to_owned(),
            tls: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            key_password: None,
            key_password_file: None,
            address_family: "any".to_owned(),
            connect_timeout_ms: 10_000,
            request_timeout_ms: 30_000,
            reconnect_ms: 100,
            // Each client waits by itself, and a stage that takes over asks several in turn: seconds would add up behind brokers that are back.
            reconnect_max_ms: 1_000,
            replication: 0,
            min_insync_replicas: 0,
            flush_messages: 0,
            record_max_kib: 1_024,
            compression: Compression::default().as_str().to_owned(),
            linger_ms: 10,
            batch_kib: 976,
            queue_kib: 65_536,
            group_instance_id: String::new(),
            session_timeout_ms: 6_000,
            heartbeat_ms: 1_500,
            max_poll_interval_ms: 300_000,
            fetch_min_bytes: 262_144,
            fetch_wait_ms: 50,
            queued_kib: 16_384,
        }
    }
}

/// How a password is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM with SHA-512.
    #[default]
    ScramSha512,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// The password itself: over TLS only.
    Plain,
}

impl Mechanism {
    const ALL: [Mechanism; 3] = [Mechanism::ScramSha512, Mechanism::ScramSha256, Mechanism::Plain];

    /// Its name in the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mechanism::ScramSha512 => "scram-sha-512",
            Mechanism::ScramSha256 => "scram-sha-256",
            Mechanism::Plain => "plain",
        }
    }
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Cheap for everyone.
    #[default]
    Lz4,
    /// Small on disk.
    Zstd,
    /// What older consumers read.
    Gzip,
    /// Not at all.
    None,
}

impl Compression {
    const ALL: [Compression; 4] = [Compression::Lz4, Compression::Zstd, Compression::Gzip, Compression::None];

    /// Its name in the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
            Compression::Gzip => "gzip",
            Compression::None => "none",
        }
    }
}

/// How connections are encrypted.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates of who may vouch for the brokers; the well-known ones where there is no file.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key by which the brokers know this client.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Password of that key.
    pub key_password: Secret,
}

/// A Kafka cluster and how it is used.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// Brokers to begin with, `host:port`, separated by commas.
    pub brokers: String,
    /// First part of the names of topics and groups.
    pub namespace: Option<String>,
    /// Who connects.
    pub user: Option<String>,
    /// The password.
    pub password: Secret,
    /// How the password is proven.
    pub mechanism: Mechanism,
    /// Encryption, if any.
    pub tls: Option<Tls>,
    /// `any`, `v4` or `v6`.
    pub address_family: &'static str,
    /// How long a first connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// First wait before a broken connection is made again.
    pub reconnect: Duration,
    /// Longest such wait.
    pub reconnect_max: Duration,
    /// Copies of each record; `None`: three, or as many as there are brokers.
    pub replication: Option<u16>,
    /// Copies that must have a record before it counts as written; `None`: one less than the copies.
    pub min_insync_replicas: Option<u16>,
    /// Records after which a broker flushes a topic to its disk, where the broker is told.
    pub flush_messages: Option<u64>,
    /// Largest record of `hospital-transactions`, in bytes.
    pub record_max_bytes: u64,
    /// How batches are compressed.
    pub compression: Compression,
    /// How long the producer waits for a batch to fill.
    pub linger: Duration,
    /// Size at which a batch is full, in bytes.
    pub batch_bytes: u64,
    /// Records that wait for the brokers, in KiB.
    pub queue_kib: u64,
    /// Name of this process as a member of its groups.
    pub group_instance_id: Option<String>,
    /// Silence after which a member counts as gone.
    pub session_timeout: Duration,
    /// How often a member is heard.
    pub heartbeat: Duration,
    /// How long one batch may take.
    pub max_poll_interval: Duration,
    /// Bytes for which a broker waits before it answers a fetch.
    pub fetch_min_bytes: u64,
    /// How long it waits at most.
    pub fetch_wait: Duration,
    /// Records that each group fetches ahead, in KiB.
    pub queued_kib: u64,
    /// What a start does about a cluster that may lose what it acknowledged.
    pub durability: Durability,
}

impl KafkaSettings {
    /// What the URL and the section ask for. No I/O.
    ///
    /// # Errors
    /// A sentence for each fault, beginning with the setting's name.
    pub fn try_new(url: &ServerUrl, raw: &RawKafka, durability: Durability) -> Result<KafkaSettings, Vec<String>> {
        let mut faults = Faults::new();
        let unknown = url.unknown_query(&QUERY);
        if !unknown.is_empty() {
            faults.add(format!("stores.log = {url}: unknown {}: known are {}", unknown.join(", "), QUERY.join(", ")));
        }
        if !url.path().is_empty() {
            faults.add(format!("stores.log = {url}: expected nothing behind the brokers but ?namespace=NAME, found a path"));
        }
        let namespace = url.query("namespace").map(str::to_owned);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if namespace.as_ref().is_some_and(|name| name.is_empty() || name.len() > NAMESPACE_BYTES || !name.chars().all(plain)) {
            faults.add(format!("stores.log = {url}: namespace: expected 1 to {NAMESPACE_BYTES} of a-z, 0-9, _ and -"));
        }
        let section = Section { name: "kafka", setting: "stores.log", url };
        let tls = tls(&section, raw, &mut faults);
        let (user, password) = credentials(&section, raw, &mut faults);
        let mechanism = url.query("mechanism").unwrap_or(&raw.mechanism);
        let mechanism = one_of("kafka.mechanism", mechanism, &Mechanism::ALL, Mechanism::as_str, &mut faults);
        let compression = one_of("kafka.compression", &raw.compression, &Compression::ALL, Compression::as_str, &mut faults);
        let address_family = one_of("kafka.address_family", &raw.address_family, &["any", "v4", "v6"], |name| name, &mut faults);
        let group_instance_id = (!raw.group_instance_id.is_empty()).then(|| raw.group_instance_id.clone());
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if group_instance_id.as_ref().is_some_and(|name| name.len() > MEMBER_BYTES || !name.chars().all(named)) {
            faults.add(format!("kafka.group_instance_id = {:?}: expected 1 to {MEMBER_BYTES} of A-Z, a-z, 0-9, ., _ and -", raw.group_instance_id));
        }
        let mut millis = |name: &str, value: u64, from: u64, to: u64| Duration::from_millis(faults.within(name, value, from, to));
        let connect_timeout = millis("kafka.connect_timeout_ms", raw.connect_timeout_ms, 1_000, 600_000);
        let request_timeout = millis("kafka.request_timeout_ms", raw.request_timeout_ms, 1_000, 300_000);
        let reconnect = millis("kafka.reconnect_ms", raw.reconnect_ms, 10, 60_000);
        let reconnect_max = millis("kafka.reconnect_max_ms", raw.reconnect_max_ms, 10, 600_000);
        let linger = millis("kafka.linger_ms", raw.linger_ms, 0, 10_000);
        let session_timeout = millis("kafka.session_timeout_ms", raw.session_timeout_ms, 1_000, 1_800_000);
        let heartbeat = millis("kafka.heartbeat_ms", raw.heartbeat_ms, 100, 600_000);
        let max_poll_interval = millis("kafka.max_poll_interval_ms", raw.max_poll_interval_ms, 1_000, 86_400_000);
        let fetch_wait = millis("kafka.fetch_wait_ms", raw.fetch_wait_ms, 1, 60_000);
        let replication = copies(&mut faults, "kafka.replication", raw.replication);
        let min_insync_replicas = copies(&mut faults, "kafka.min_insync_replicas", raw.min_insync_replicas);
        let flush_messages = (raw.flush_messages > 0).then_some(raw.flush_messages);
        let record_max_bytes = faults.within("kafka.record_max_kib", raw.record_max_kib, 16, 65_536) * 1_024;
        let batch_bytes = faults.within("kafka.batch_kib", raw.batch_kib, 1, 65_536) * 1_024;
        let queue_kib = faults.within("kafka.queue_kib", raw.queue_kib, 1_024, 2_097_151);
        let fetch_min_bytes = faults.within("kafka.fetch_min_bytes", raw.fetch_min_bytes, 1, 100_000_000);
        let queued_kib = faults.within("kafka.queued_kib", raw.queued_kib, 1_024, 2_097_151);
        if reconnect > reconnect_max {
            faults.add("kafka.reconnect_ms is above kafka.reconnect_max_ms: lower the one or raise the other");
        }
        if heartbeat * 3 > session_timeout {
            faults.add("kafka.heartbeat_ms: three of them must fit into kafka.session_timeout_ms: lower the one or raise the other");
        }
        if session_timeout > max_poll_interval {
            faults.add("kafka.session_timeout_ms is above kafka.max_poll_interval_ms: lower the one or raise the other");
        }
        if batch_bytes > record_max_bytes {
            // A topic's limit is on batches as they are sent; a full batch of small records must pass where one large record does.
            faults.add("kafka.batch_kib is above kafka.record_max_kib: lower the one or raise the other");
        }
        if let (Some(copies), Some(needed)) = (replication, min_insync_replicas)
            && needed > copies
        {
            faults.add("kafka.min_insync_replicas is above kafka.replication: no record could be written");
        }
        let brokers = url.hosts().iter().map(|host| host.with_port(DEFAULT_PORT)).collect::<Vec<_>>().join(",");
        faults.unless_any(KafkaSettings {
            brokers,
            namespace,
            user,
            password,
            mechanism,
            tls,
            address_family,
            connect_timeout,
            request_timeout,
            reconnect,
            reconnect_max,
            replication,
            min_insync_replicas,
            flush_messages,
            record_max_bytes,
            compression,
            linger,
            batch_bytes,
            queue_kib,
            group_instance_id,
            session_timeout,
            heartbeat,
            max_poll_interval,
            fetch_min_bytes,
            fetch_wait,
            queued_kib,
            durability,
        })
    }

    /// Where the cluster is, for a message.
    #[must_use]
    pub fn place(&self) -> String {
        self.to_string()
    }

    /// The name of a topic or group of ours in the cluster.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        self.namespace.as_ref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}-{name}"))
    }
}

impl fmt::Display for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kafka://{}", self.brokers)?;
        self.namespace.as_ref().map_or(Ok(()), |namespace| write!(f, "?namespace={namespace}"))
    }
}

/// A number of copies; 0 is left to the cluster.
fn copies(faults: &mut Faults, name: &str, value: u64) -> Option<u16> {
    let value = faults.within(name, value, 0, 32);
    u16::try_from(value).ok().filter(|value| *value > 0)
}

/// The value of that name; otherwise a fault, and the first.
fn one_of<T: Copy>(setting: &str, found: &str, known: &[T], name: impl Fn(T) -> &'static str, faults: &mut Faults) -> T {
    known.iter().copied().find(|value| name(*value) == found).unwrap_or_else(|| {
        let names: Vec<&str> = known.iter().map(|value| name(*value)).collect();
        faults.add(format!("{setting} = {found:?}: expected {}", names.join(", ")));
        known[0]
    })
}

fn tls(section: &Section<'_>, raw: &RawKafka, faults: &mut Faults) -> Option<Tls> {
    let files = Files { ca: raw.ca_file.as_deref(), certificate: raw.cert_file.as_deref(), key: raw.key_file.as_deref() };
    let wanted = tls::wanted(section, raw.tls, faults).unwrap_or_default();
    let identity = files.identity(section.name, faults);
    let key_password = faults.take(Secret::try_new("kafka.key_password", raw.key_password.as_ref(), raw.key_password_file.as_deref()));
    if key_password.is_some() && raw.key_file.is_none() {
        faults.add("kafka.key_password: there is the password of a key and no key: set kafka.key_file");
    }
    if files.are_named() && !wanted {
        faults.add("kafka.tls = false: there are certificates, which only encrypted connections use: set kafka.tls = true, or remove them");
    }
    wanted.then(|| Tls { ca_file: raw.ca_file.clone(), identity, key_password })
}

fn credentials(section: &Section<'_>, raw: &RawKafka, faults: &mut Faults) -> (Option<String>, Secret) {
    let (user, password) = credentials::user_and_password(section, raw.user.as_deref(), raw.password.as_ref(), raw.password_file.as_deref(), faults);
    let url = section.url;
    let named = url.user().is_some() || raw.user.is_some();
    if named && !password.is_some() && url.password().is_none() {
        faults.add("kafka.user: there is a user and no password: set kafka.password or kafka.password_file");
    }
    if !named && password.is_some() {
        faults.add("kafka.password: there is a password and no user: set kafka.user, or write it into stores.log");
    }
    (user, password)
}

#[cfg(test)]
mod tests;
