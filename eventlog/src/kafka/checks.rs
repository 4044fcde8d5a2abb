//! What `wardhouse doctor` looks at in a Kafka cluster.
//!
//! What must stay true: looking changes nothing; what this user may not see is left out, not guessed.

use wh_schemas::Reaction;
use wh_schemas::time::SECOND;
use wh_schemas::topics::{self as names, HOSPITAL_TRANSACTIONS, SYSTEM_EVENTS};
use wh_stores::kafka::{KafkaSettings, Mechanism};
use wh_stores::{Durability, Finding, Level, clock};

use super::connect::{self, Cluster};
use super::topics::{self, Config, Looked};
use super::{KafkaReader, errors};

/// How far a broker's clock may be ahead of this machine's.
const AHEAD: i64 = 60 * SECOND;
/// How long groups must be remembered at least, in minutes: as long as records are kept.
const REMEMBERED_MINUTES: i64 = names::DEFAULT_RETENTION_MS / 60_000;

/// Connects and looks at version, encryption, groups, topics and clocks.
pub async fn examine(settings: &KafkaSettings) -> Vec<Finding> {
    let cluster = match connect::connect(settings).await {
        Ok(cluster) => cluster,
        Err(reaction) => return vec![Finding::fault("server", reaction.to_string(), "")],
    };
    let brokers = cluster.brokers.len();
    let mut findings = vec![Finding::fine("server", format!("{settings}: cluster {}, {brokers} broker{}", cluster.id, if brokers == 1 { "" } else { "s" }))];
    findings.push(tls(settings));
    match looked(&cluster).await {
        Ok((config, looked)) => {
            findings.push(version(&config));
            findings.extend(groups(settings, &config, brokers));
            findings.extend(layout(settings, &looked));
        }
        Err(reaction) => findings.push(Finding::fault("topics", reaction.to_string(), "")),
    }
    let reader = KafkaReader { cluster };
    findings.extend(clocks(&reader).await);
    findings
}

async fn looked(cluster: &Cluster) -> Result<(Config, Looked), Reaction> {
    let admin = cluster.admin()?;
    let config = topics::broker(cluster, &admin).await;
    let looked = topics::look(cluster, &admin, &names::ALL).await;
    topics::close(admin);
    Ok((config?, looked?))
}

fn tls(settings: &KafkaSettings) -> Finding {
    const SUBJECT: &str = "tls";
    let near = settings.brokers.split(',').all(|broker| ["127.", "localhost:", "[::1]:"].iter().any(|near| broker.starts_with(near)));
    match (&settings.tls, &settings.user) {
        (Some(_), Some(_)) => Finding::fine(SUBJECT, format!("TLS, the user by {}", settings.mechanism.as_str())),
        (Some(tls), None) if tls.identity.is_some() => Finding::fine(SUBJECT, "TLS, known by a certificate"),
        (Some(_), None) => Finding::fine(SUBJECT, "TLS, no user"),
        (None, Some(_)) if settings.mechanism == Mechanism::Plain => {
            Finding::warning(SUBJECT, "the password crosses the network as it is (kafka.mechanism = plain without TLS)", "set kafka.tls = true, or a scram mechanism")
        }
        (None, _) if near => Finding::fine(SUBJECT, "none, on this machine alone"),
        (None, _) => Finding::warning(SUBJECT, "records cross the network as they are", "set kafka.tls = true and name the brokers' TLS port"),
    }
}

/// `3.7-IV4` is 3.7.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Brokers say their version up to 3.9 only.
fn version(config: &Config) -> Finding {
    const SUBJECT: &str = "version";
    let oldest = format!("{}.{}", errors::OLDEST.0, errors::OLDEST.1);
    match config.get("inter.broker.protocol.version") {
        None if config.is_empty() => Finding::fine(SUBJECT, "this user may not see it"),
        None => Finding::fine(SUBJECT, "Kafka 4.0 or newer"),
        Some(text) => match parse_version(text) {
            Some(found) if found < errors::OLDEST => Finding::fault(SUBJECT, format!("Kafka {text}"), format!("expected {oldest} or newer: upgrade the brokers")),
            Some(_) => Finding::fine(SUBJECT, format!("Kafka {text}")),
            None => Finding::warning(SUBJECT, format!("Kafka {text}, which is no version that is known"), format!("expected {oldest} or newer")),
        },
    }
}

fn groups(settings: &KafkaSettings, config: &Config, brokers: usize) -> Vec<Finding> {
    const SUBJECT: &str = "groups";
    let number = |name: &str| config.get(name).and_then(|value| value.parse::<i64>().ok());
    let mut found = Vec::new();
    if let Some(minutes) = number("offsets.retention.minutes").filter(|minutes| *minutes < REMEMBERED_MINUTES) {
        found.push(Finding::warning(
            SUBJECT,
            format!("the brokers forget a group's positions {minutes} minutes after its last member left"),
            format!("set offsets.retention.minutes = {REMEMBERED_MINUTES} on the brokers: until then stages begin again at the log's start, and drop what they have"),
        ));
    }
    let session = i64::try_from(settings.session_timeout.as_millis()).unwrap_or(i64::MAX);
    let (least, most) = (number("group.min.session.timeout.ms").unwrap_or(0), number("group.max.session.timeout.ms").unwrap_or(i64::MAX));
    if session < least || session > most {
        found.push(Finding::fault(SUBJECT, format!("kafka.session_timeout_ms = {session}, the brokers allow {least} to {most}"), "set it within, or change theirs"));
    }
    if brokers >= 3 && number("offsets.topic.replication.factor") == Some(1) {
        found.push(Finding::warning(
            SUBJECT,
            "positions of groups may have one copy (offsets.topic.replication.factor = 1)",
            "check `kafka-topics --describe --topic __consumer_offsets`, and add replicas",
        ));
    }
    if found.is_empty() {
        found.push(Finding::fine(SUBJECT, format!("members count as gone after {session} ms")));
    }
    found
}

fn layout(settings: &KafkaSettings, looked: &Looked) -> Vec<Finding> {
    const SUBJECT: &str = "topics";
    let mut found = Vec::new();
    if looked.missing.is_empty() {
        found.push(Finding::fine(SUBJECT, format!("{} topics", looked.present.len())));
    } else {
        found.push(Finding::warning(SUBJECT, format!("not there yet: {}", looked.missing.join(", ")), "run `wardhouse migrate`; a stage that starts makes them too"));
    }
    let ours = looked.present.iter().filter(|(spec, _)| !spec.single_partition && spec.name != HOSPITAL_TRANSACTIONS);
    let counts: Vec<(&str, u32)> = ours.map(|(spec, described)| (spec.name, described.partitions)).collect();
    if counts.iter().any(|(_, count)| Some(*count) != counts.first().map(|(_, first)| *first)) {
        let said: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        found.push(Finding::fault(
            SUBJECT,
            format!("other numbers of partitions: {}", said.join(", ")),
            "one partition of a user's must be one in each: restore the topics, or use another namespace",
        ));
    }
    for (difference, topics) in &looked.differences {
        let subject = if difference.loses { "durability" } else { SUBJECT };
        let said = format!("{}: {}", topics.join(", "), difference.found);
        let refused = difference.loses && settings.durability == Durability::Strict;
        found.push(match difference.level {
            Level::Fault => Finding::fault(subject, said, &*difference.remedy),
            _ if refused => Finding::fault(subject, said, &*difference.remedy),
            _ => Finding::warning(subject, said, &*difference.remedy),
        });
    }
    if !looked.present.is_empty() && !looked.differences.keys().any(|difference| difference.loses) {
        found.push(Finding::fine("durability", "what was acknowledged outlives one broker, or its power"));
    }
    found
}

/// Kafka does not tell its time; a record from the future does.
async fn clocks(reader: &KafkaReader) -> Option<Finding> {
    const SUBJECT: &str = "clock";
    reader.partitions_if_any(SYSTEM_EVENTS).await.ok()??;
    match reader.first_since(SYSTEM_EVENTS, 0, clock::now().0 + AHEAD).await {
        Ok(None) => Some(Finding::fine(SUBJECT, "no record from the future")),
        Ok(Some(offset)) => Some(Finding::warning(
            SUBJECT,
            format!("{SYSTEM_EVENTS} has a record at offset {offset} that was appended more than a minute from now"),
            "set the clocks of the brokers and of this machine (NTP)",
        )),
        Err(reaction) => Some(Finding::fault(SUBJECT, reaction.to_string(), "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_stores::ServerUrl;
    use wh_stores::kafka::RawKafka;

    fn settings(url: &str, raw: &RawKafka) -> KafkaSettings {
        KafkaSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn).unwrap()
    }

    fn config(entries: &[(&str, &str)]) -> Config {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_old_broker_is_a_fault() {
        let level = |text: &str| version(&config(&[("inter.broker.protocol.version", text)])).level;
        assert_eq!((level("2.3-IV1"), level("2.4-IV0"), level("3.9-IV0"), level("what")), (Level::Fault, Level::Fine, Level::Fine, Level::Warning));
        assert_eq!(version(&config(&[("group.min.session.timeout.ms", "6000")])).found, "Kafka 4.0 or newer");
        assert_eq!(version(&config(&[])).level, Level::Fine);
    }

    #[test]
    fn groups_that_would_be_forgotten_or_refused_are_told() {
        let settings = settings("kafka://h", &RawKafka::default());
        let found = groups(&settings, &config(&[("offsets.retention.minutes", "60"), ("group.min.session.timeout.ms", "30000"), ("offsets.topic.replication.factor", "1")]), 3);
        assert_eq!(found.iter().map(|finding| finding.level).collect::<Vec<_>>(), [Level::Warning, Level::Fault, Level::Warning]);
        assert_eq!(groups(&settings, &config(&[("offsets.retention.minutes", "10080"), ("group.min.session.timeout.ms", "6000")]), 1)[0].level, Level::Fine);
    }

    #[test]
    fn a_password_in_the_clear_is_told() {
        let plain = RawKafka { mechanism: "plain".into(), ..RawKafka::default() };
        assert_eq!(tls(&settings("kafka://u:p@h", &plain)).level, Level::Warning);
        assert_eq!(tls(&settings("kafka://u:p@h?tls=true", &plain)).level, Level::Fine);
        assert_eq!(tls(&settings("kafka://127.0.0.1:1", &RawKafka::default())).level, Level::Fine);
        assert_eq!(tls(&settings("kafka://h", &RawKafka::default())).level, Level::Warning);
    }
}
