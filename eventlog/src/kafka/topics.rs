//! The topics: made where they are missing, looked at where they are there.
//!
//! What must stay true: nothing that is there is changed or removed; two processes that make topics at once make each once; a topic
//! of ours has the number of partitions that the settings ask for (`account-activity` may have some that stay empty), the hospital's own may have any; a setting that loses records
//! is refused, one that may lose what was acknowledged is told, or refused where durability is strict.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use wh_schemas::Reaction;
use wh_schemas::topics::{HOSPITAL_TRANSACTIONS, TopicSpec};
use wh_stores::kafka::KafkaSettings;
use wh_stores::{Durability, Level};

use super::connect::{Cluster, Described};
use super::errors;
use super::events::ClientEvents;
use super::writer;
use crate::reach;

/// Framing that a topic's limit must leave room for.
const FRAME_BYTES: u64 = 64 * 1_024;
/// Copies of each record where the settings leave it open and there are as many brokers.
const COPIES: u16 = 3;
/// Records of a compacted topic that are younger are all kept: until then what comes behind them is known to be whole or not.
const COMPACTED_AFTER_MS: u64 = 3_600_000;
/// Records of a compacted topic are compacted in pieces of this size.
const COMPACTED_BYTES: u64 = 64 * 1_024 * 1_024;
/// Records go in pieces of a day, so that none is kept much longer than its topic says.
const PIECE_MS: i64 = 86_400_000;
/// How often a topic that is being made is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The settings of a topic by their Kafka names.
pub(super) type Config = HashMap<String, String>;

/// Copies of each record.
fn copies(settings: &KafkaSettings, brokers: usize) -> u16 {
    settings.replication.unwrap_or_else(|| u16::try_from(brokers).unwrap_or(COPIES).clamp(1, COPIES))
}

/// What a new topic is told.
fn config(spec: &TopicSpec, settings: &KafkaSettings, copies: u16) -> Vec<(&'static str, String)> {
    let needed = settings.min_insync_replicas.unwrap_or(copies.saturating_sub(1)).max(1);
    let largest = if spec.name == HOSPITAL_TRANSACTIONS { settings.record_max_bytes } else { writer::largest(settings) };
    let mut config = vec![
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("retention.ms", spec.retention_ms.to_string()),
        ("retention.bytes", "-1".to_owned()),
        ("min.insync.replicas", needed.to_string()),
        ("max.message.bytes", (largest + FRAME_BYTES).to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
    ];
    if spec.compacted {
        config.push(("cleanup.policy", "compact".to_owned()));
        config.push(("min.compaction.lag.ms", COMPACTED_AFTER_MS.to_string()));
        config.push(("segment.bytes", COMPACTED_BYTES.to_string()));
    } else {
        config.push(("cleanup.policy", "delete".to_owned()));
    }
    if spec.retention_ms > PIECE_MS {
        config.push(("segment.ms", PIECE_MS.to_string()));
    }
    if let Some(messages) = settings.flush_messages {
        config.push(("flush.messages", messages.to_string()));
    }
    config
}

/// What is not as it should be with a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    /// How bad it is.
    pub(super) level: Level,
    /// Whether what was acknowledged may be lost.
    pub(super) loses: bool,
    /// What was found.
    pub(super) found: String,
    /// What to do.
    pub(super) remedy: String,
}

/// What is not as it should be with a topic, from what the brokers say of it. Pure.
fn differences(spec: &TopicSpec, described: Described, config: &Config, source_limit: Option<u64>) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |level, loses, what: String, remedy: &str| found.push(Difference { level, loses, found: what, remedy: remedy.to_owned() });
    let number = |name: &str| config.get(name).and_then(|value| value.parse::<i64>().ok());
    if config.get("message.timestamp.type").is_some_and(|kind| kind != "LogAppendTime") {
        let what = "records bear their producers' time (message.timestamp.type = CreateTime), by which they are also removed";
        add(Level::Warning, false, what.to_owned(), "set message.timestamp.type = LogAppendTime");
    }
    let compacts = config.get("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
    let deletes = config.get("cleanup.policy").is_some_and(|policy| policy.contains("delete"));
    if compacts && !spec.compacted {
        add(Level::Fault, true, "only the last record of each key is kept (cleanup.policy = compact)".to_owned(), "set cleanup.policy = delete");
    }
    if spec.compacted && deletes {
        add(Level::Warning, true, "what is old is removed, not only what was replaced (cleanup.policy = delete)".to_owned(), "set cleanup.policy = compact");
    }
    if let Some(retention) = number("retention.ms").filter(|_| !spec.compacted)
        && retention >= 0
        && (spec.retention_ms < 0 || retention < spec.retention_ms)
    {
        let wanted = if spec.retention_ms < 0 { "for ever".to_owned() } else { format!("{} h", spec.retention_ms / 3_600_000) };
        let what = format!("records are kept {} h, expected {wanted}", retention / 3_600_000);
        add(Level::Warning, false, what, &format!("set retention.ms = {}", spec.retention_ms));
    }
    if let Some(bytes) = number("retention.bytes").filter(|bytes| *bytes >= 0) {
        add(Level::Warning, false, format!("records go when a partition is larger than {bytes} bytes, however young they are"), "set retention.bytes = -1");
    }
    let needed = number("min.insync.replicas").and_then(|needed| usize::try_from(needed).ok());
    if let Some(needed) = needed.filter(|needed| *needed > described.replicas) {
        let what = format!("{needed} copies are needed for each write (min.insync.replicas) and there are {}: nothing can be written", described.replicas);
        add(Level::Fault, false, what, "lower min.insync.replicas, or add replicas");
    } else if described.replicas < 2 {
        if number("flush.messages") != Some(1) {
            let what = "one copy of each record: what was acknowledged is lost with its broker's disk or power";
            add(Level::Warning, true, what.to_owned(), "run three brokers with kafka.replication = 3, or set flush.messages = 1 (kafka.flush_messages = 1 for new topics)");
        }
    } else if needed == Some(1) {
        let what = format!("{} copies of which one is enough for a write (min.insync.replicas = 1)", described.replicas);
        add(Level::Warning, true, what, "set min.insync.replicas = 2");
    }
    if config.get("unclean.leader.election.enable").is_some_and(|value| value == "true") {
        let what = "a copy that lacks records may take over (unclean.leader.election.enable = true)";
        add(Level::Warning, true, what.to_owned(), "set unclean.leader.election.enable = false");
    }
    let limit = number("max.message.bytes").and_then(|limit| u64::try_from(limit).ok());
    if let (Some(limit), Some(source)) = (limit, source_limit)
        && spec.name != HOSPITAL_TRANSACTIONS
        && limit < source
    {
        let what = format!("records of up to {limit} bytes (max.message.bytes), less than {HOSPITAL_TRANSACTIONS} takes ({source}): one that does not fit stops its stage");
        add(Level::Warning, false, what, "raise max.message.bytes and kafka.record_max_kib, or lower the source's max.message.bytes");
    }
    found
}

/// What is not as it should be, with the topics that it is said of.
pub(super) type Differences = BTreeMap<Difference, Vec<&'static str>>;

/// What the brokers say of topics.
pub(super) struct Looked {
    /// Topics that are not there.
    pub(super) missing: Vec<&'static str>,
    /// What is there.
    pub(super) present: Vec<(TopicSpec, Described)>,
    /// What is not as it should be.
    pub(super) differences: Differences,
    /// Largest record that each admits.
    pub(super) limits: HashMap<String, u64>,
}

/// Looks at topics.
pub(super) async fn look(cluster: &Cluster, admin: &AdminClient<ClientEvents>, specs: &[TopicSpec]) -> Result<Looked, Reaction> {
    let (mut missing, mut present) = (Vec::new(), Vec::new());
    for spec in specs {
        match cluster.described(spec.name).await? {
            Some(described) => present.push((*spec, described)),
            None => missing.push(spec.name),
        }
    }
    let configs = configs(cluster, admin, &present).await?;
    let limit = |name: &str| configs.get(name).and_then(|config| config.get("max.message.bytes")).and_then(|value| value.parse::<u64>().ok());
    let mut found = Differences::new();
    let none = Config::new();
    for (spec, described) in &present {
        for difference in differences(spec, *described, configs.get(spec.name).unwrap_or(&none), limit(HOSPITAL_TRANSACTIONS)) {
            found.entry(difference).or_default().push(spec.name);
        }
    }
    let limits = present.iter().filter_map(|(spec, _)| Some((spec.name.to_owned(), limit(spec.name)?))).collect();
    Ok(Looked { missing, present, differences: found, limits })
}

/// The settings of topics, by our names; of those that this user may see.
async fn configs(cluster: &Cluster, admin: &AdminClient<ClientEvents>, present: &[(TopicSpec, Described)]) -> Result<HashMap<&'static str, Config>, Reaction> {
    let names: Vec<(String, &'static str)> = present.iter().map(|(spec, _)| (cluster.settings.named(spec.name), spec.name)).collect();
    let wanted: Vec<ResourceSpecifier<'_>> = names.iter().map(|(full, _)| ResourceSpecifier::Topic(full)).collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let mut configs = HashMap::new();
    for resource in answered(cluster, admin.describe_configs(&wanted, &options(cluster)).await, "the settings of the topics")? {
        if let OwnedResourceSpecifier::Topic(full) = &resource.specifier
            && let Some((_, name)) = names.iter().find(|(known, _)| known == full)
        {
            configs.insert(*name, entries(resource));
        }
    }
    Ok(configs)
}

/// How long a topic keeps records, by the brokers' word; by our layout where this user may not see it.
pub(super) async fn keeps(cluster: &Cluster, topic: &str) -> Result<Option<Duration>, Reaction> {
    let admin = cluster.admin()?;
    let full = cluster.settings.named(topic);
    let answer = admin.describe_configs(&[ResourceSpecifier::Topic(&full)], &options(cluster)).await;
    close(admin);
    let found = answered(cluster, answer, &format!("the settings of the topic {topic}"))?;
    Ok(kept(topic, &found.into_iter().next().map(entries).unwrap_or_default()))
}

/// The same, from a topic's settings. Pure.
fn kept(topic: &str, config: &Config) -> Option<Duration> {
    let Some(retention) = config.get("retention.ms").and_then(|value| value.parse::<i64>().ok()) else { return reach::by_layout(topic) };
    let deletes = config.get("cleanup.policy").is_none_or(|policy| policy.contains("delete"));
    u64::try_from(retention).ok().filter(|_| deletes).map(Duration::from_millis)
}

/// The settings of one broker; empty where this user may not see them.
pub(super) async fn broker(cluster: &Cluster, admin: &AdminClient<ClientEvents>) -> Result<Config, Reaction> {
    let Some(number) = cluster.brokers.first() else { return Ok(Config::new()) };
    let wanted = [ResourceSpecifier::Broker(*number)];
    let found = answered(cluster, admin.describe_configs(&wanted, &options(cluster)).await, "the settings of a broker")?;
    Ok(found.into_iter().next().map(entries).unwrap_or_default())
}

fn entries(resource: ConfigResource) -> Config {
    resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

/// What was answered; what this user may not see is left out.
fn answered(cluster: &Cluster, answer: Result<Vec<Result<ConfigResource, Code>>, KafkaError>, what: &str) -> Result<Vec<ConfigResource>, Reaction> {
    let hidden = |code: Code| matches!(code, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed);
    let answer = match answer {
        Err(error) if errors::code_of(&error).is_some_and(hidden) => Vec::new(),
        other => other.map_err(|error| cluster.reaction(what, &error))?,
    };
    let mut found = Vec::new();
    for resource in answer {
        match resource {
            Ok(resource) => found.push(resource),
            Err(code) => tracing::debug!("{cluster}: {what}: {code}"),
        }
    }
    Ok(found)
}

fn options(cluster: &Cluster) -> AdminOptions {
    let timeout = cluster.settings.request_timeout;
    AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout))
}

/// Closes a client of administrators on a thread that may wait.
pub(super) fn close(admin: AdminClient<ClientEvents>) {
    let closing = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || drop(admin));
    if let Err(error) = closing {
        tracing::debug!("a client was closed in place: {error}");
    }
}

/// What was made, a sentence each, and the largest record that each topic admits.
pub(super) type Ensured = (Vec<String>, HashMap<String, u64>);

/// Makes the topics that are missing.
///
/// # Errors
/// Fatal where one is there with another number of partitions or with settings that cannot be, or may not be made.
pub(super) async fn ensure(cluster: &Cluster, specs: &[TopicSpec], partitions: u32) -> Result<Ensured, Reaction> {
    let admin = cluster.admin()?;
    let outcome = ensured(cluster, &admin, specs, partitions).await;
    close(admin);
    outcome
}

async fn ensured(cluster: &Cluster, admin: &AdminClient<ClientEvents>, specs: &[TopicSpec], partitions: u32) -> Result<Ensured, Reaction> {
    let before = look(cluster, admin, specs).await?;
    // Before anything is made: a second set of topics beside the first would be worse than none.
    counted(cluster, &before, partitions)?;
    let missing: Vec<TopicSpec> = specs.iter().filter(|spec| before.missing.contains(&spec.name)).copied().collect();
    if missing.is_empty() {
        return judged(cluster, before, Vec::new());
    }
    let done = make(cluster, admin, &missing, partitions).await?;
    until_led(cluster, &missing).await?;
    let after = look(cluster, admin, specs).await?;
    counted(cluster, &after, partitions)?;
    judged(cluster, after, done)
}

/// Refuses topics of ours that have another number of partitions. Partitions of `account-activity` that are not used stay as they are: empty.
fn counted(cluster: &Cluster, looked: &Looked, partitions: u32) -> Result<(), Reaction> {
    let other = looked.present.iter().find(|(spec, described)| spec.name != HOSPITAL_TRANSACTIONS && !spec.admits(described.partitions, partitions));
    let Some((spec, described)) = other else { return Ok(()) };
    let (found, wanted) = (described.partitions, spec.wanted(partitions));
    let remedy = if spec.single_partition {
        "its order would be lost; use another namespace in stores.log (kafka://…?namespace=NAME)".to_owned()
    } else {
        format!(
            "users would move to other partitions and their baselines with them; set log.partitions = {found}, or use another namespace in stores.log (kafka://…?namespace=NAME)"
        )
    };
    Err(Reaction::fatal(format!("the topic {} ({cluster}) has {found} partitions, the settings ask for {wanted}: {remedy}", spec.name)))
}

/// Tells what is not as it should be, or refuses it.
fn judged(cluster: &Cluster, looked: Looked, done: Vec<String>) -> Result<Ensured, Reaction> {
    for (difference, topics) in &looked.differences {
        let said = format!("{cluster}: {}: {}: {}", topics.join(", "), difference.found, difference.remedy);
        if difference.level == Level::Fault || (difference.loses && cluster.settings.durability == Durability::Strict) {
            return Err(Reaction::fatal(said));
        }
        tracing::warn!(target: wh_stores::DURABILITY, "{said}");
    }
    Ok((done, looked.limits))
}

/// Name, partitions and settings of a topic.
type Plan = (String, i32, Vec<(&'static str, String)>);

async fn make(cluster: &Cluster, admin: &AdminClient<ClientEvents>, missing: &[TopicSpec], partitions: u32) -> Result<Vec<String>, Reaction> {
    let settings = &cluster.settings;
    let copies = copies(settings, cluster.brokers.len());
    let plans: Vec<Plan> =
        missing.iter().map(|spec| (settings.named(spec.name), i32::try_from(spec.wanted(partitions)).unwrap_or(i32::MAX), config(spec, settings, copies))).collect();
    let topics: Vec<NewTopic<'_>> = plans
        .iter()
        .map(|(full, count, config)| config.iter().fold(NewTopic::new(full, *count, TopicReplication::Fixed(i32::from(copies))), |topic, (name, value)| topic.set(name, value)))
        .collect();
    let made = admin.create_topics(&topics, &options(cluster)).await.map_err(|error| cluster.reaction("making topics", &error))?;
    let mut done = Vec::new();
    for outcome in made {
        match outcome {
            Ok(full) => done.push(format!("made the topic {full}: {copies} copies of each record")),
            // Another process was faster.
            Err((_, Code::TopicAlreadyExists)) => {}
            Err((full, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) => {
                return Err(Reaction::fatal(format!("{cluster}: this user may not make the topic {full}: run `wardhouse migrate` with one who may")));
            }
            Err((full, code)) => return Err(errors::of_code(&format!("{cluster}: making the topic {full}"), code)),
        }
    }
    Ok(done)
}

/// Waits until every partition of new topics can be written.
async fn until_led(cluster: &Cluster, topics: &[TopicSpec]) -> Result<(), Reaction> {
    let deadline = Instant::now() + cluster.settings.request_timeout;
    for spec in topics {
        loop {
            match cluster.described(spec.name).await {
                Ok(Some(described)) if described.led && described.partitions > 0 => break,
                Ok(_) | Err(Reaction::Transient { .. }) if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
                Ok(_) => return Err(Reaction::transient(format!("{cluster}: the topic {} was made and has no leader yet", spec.name))),
                Err(other) => return Err(other),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_schemas::topics::{self, DEAD_LETTERS, RISK_SCORES, SCORER_CONTROL, SCORER_STATE};
    use wh_stores::ServerUrl;
    use wh_stores::kafka::RawKafka;

    fn settings(raw: &RawKafka) -> KafkaSettings {
        KafkaSettings::try_new(&ServerUrl::parse("kafka://h").unwrap(), raw, Durability::Warn).unwrap()
    }

    fn spec(name: &str) -> TopicSpec {
        *topics::ALL.iter().find(|spec| spec.name == name).unwrap()
    }

    fn told(name: &str, settings: &KafkaSettings, copies: u16) -> Config {
        config(&spec(name), settings, copies).into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    const THREE: Described = Described { partitions: 3, replicas: 3, led: true };

    #[test]
    fn a_topic_as_it_is_made_differs_in_nothing() {
        for settings in [settings(&RawKafka::default()), settings(&RawKafka { flush_messages: 1, ..RawKafka::default() })] {
            let source = told(HOSPITAL_TRANSACTIONS, &settings, 3)["max.message.bytes"].parse().ok();
            for spec in topics::ALL {
                let found = differences(&spec, THREE, &told(spec.name, &settings, 3), source);
                assert!(found.is_empty(), "{}: {found:?}", spec.name);
            }
        }
    }

    #[test]
    fn topics_are_made_as_the_design_says() {
        let settings = settings(&RawKafka::default());
        assert_eq!((copies(&settings, 1), copies(&settings, 2), copies(&settings, 9)), (1, 2, 3));
        let (scores, state, control) = (told(RISK_SCORES, &settings, 3), told(SCORER_STATE, &settings, 1), told(SCORER_CONTROL, &settings, 2));
        assert_eq!((scores["retention.ms"].as_str(), scores["cleanup.policy"].as_str(), scores["min.insync.replicas"].as_str()), ("604800000", "delete", "2"));
        assert_eq!((state["cleanup.policy"].as_str(), state["min.insync.replicas"].as_str(), state["message.timestamp.type"].as_str()), ("compact", "1", "LogAppendTime"));
        assert_eq!((control["retention.ms"].as_str(), control["min.insync.replicas"].as_str()), ("-1", "1"));
        let limit = |name: &str| told(name, &settings, 3)["max.message.bytes"].parse::<u64>().unwrap();
        assert!(limit(DEAD_LETTERS) > limit(HOSPITAL_TRANSACTIONS));
    }

    #[test]
    fn how_long_records_are_kept_is_the_brokers_word_where_it_can_be_had() {
        let kept = |topic: &str, config: &[(&str, &str)]| kept(topic, &config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        assert_eq!(kept(RISK_SCORES, &[("retention.ms", "3600000"), ("cleanup.policy", "delete")]), Some(Duration::from_secs(3_600)));
        assert_eq!(kept(RISK_SCORES, &[]), Some(Duration::from_secs(168 * 3_600)));
        assert_eq!(kept(RISK_SCORES, &[("retention.ms", "-1")]), None);
        assert_eq!(kept(SCORER_STATE, &[("retention.ms", "3600000"), ("cleanup.policy", "compact")]), None);
        assert_eq!(kept(SCORER_CONTROL, &[]), None);
    }

    #[test]
    fn what_may_lose_records_is_found() {
        let settings = settings(&RawKafka::default());
        let found = |name: &str, described: Described, changes: &[(&str, &str)]| {
            let mut config = told(name, &settings, 3);
            config.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            differences(&spec(name), described, &config, Some(9_000_000))
        };
        let one = Described { replicas: 1, ..THREE };
        for (name, described, changes, level, loses, word) in [
            (RISK_SCORES, one, [("min.insync.replicas", "1")].as_slice(), Level::Warning, true, "one copy"),
            (RISK_SCORES, one, [("min.insync.replicas", "2")].as_slice(), Level::Fault, false, "nothing can be written"),
            (RISK_SCORES, THREE, [("min.insync.replicas", "1")].as_slice(), Level::Warning, true, "one is enough"),
            (RISK_SCORES, THREE, [("cleanup.policy", "compact")].as_slice(), Level::Fault, true, "last record of each key"),
            (SCORER_STATE, THREE, [("cleanup.policy", "compact,delete")].as_slice(), Level::Warning, true, "what is old is removed"),
            (RISK_SCORES, THREE, [("message.timestamp.type", "CreateTime")].as_slice(), Level::Warning, false, "producers' time"),
            (RISK_SCORES, THREE, [("retention.ms", "3600000")].as_slice(), Level::Warning, false, "kept 1 h, expected 168 h"),
            (SCORER_CONTROL, THREE, [("retention.ms", "604800000")].as_slice(), Level::Warning, false, "expected for ever"),
            (RISK_SCORES, THREE, [("retention.bytes", "1000")].as_slice(), Level::Warning, false, "1000 bytes"),
            (RISK_SCORES, THREE, [("unclean.leader.election.enable", "true")].as_slice(), Level::Warning, true, "lacks records"),
            (DEAD_LETTERS, THREE, [("max.message.bytes", "1048588")].as_slice(), Level::Warning, false, "stops its stage"),
        ] {
            let found = found(name, described, changes);
            let seen = found.iter().any(|difference| difference.level == level && difference.loses == loses && difference.found.contains(word));
            assert!(seen, "{name} {changes:?}: {found:?}");
        }
        let flushed = found(RISK_SCORES, one, &[("min.insync.replicas", "1"), ("flush.messages", "1"), ("max.message.bytes", "9000000")]);
        assert!(flushed.is_empty(), "{flushed:?}");
    }
}
