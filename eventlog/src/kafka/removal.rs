//! Removing what a namespace holds, for what was made to be thrown away: a measurement, a trial.
//!
//! What must stay true: without a namespace nothing is removed, so that nobody's own topics ever are; what is not there is no fault.

use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::error::RDKafkaErrorCode as Code;
use wh_schemas::Reaction;
use wh_schemas::topics;
use wh_stores::kafka::KafkaSettings;

use super::connect;

/// How long a broker may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a group whose members have not left yet is tried again, and how long after.
const ATTEMPTS: u32 = 20;
const AGAIN: Duration = Duration::from_millis(500);

/// Removes every topic of the settings' namespace, and these groups of it. Members must have left or been silent for a session.
///
/// # Errors
/// Fatal without a namespace; what the brokers say.
pub async fn remove(settings: &KafkaSettings, groups: &[&str]) -> Result<(), Reaction> {
    if settings.namespace.is_none() {
        return Err(Reaction::fatal(format!("{settings}: nothing is removed without a namespace")));
    }
    let cluster = connect::connect(settings).await?;
    let admin = cluster.admin()?;
    let patience = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    let named: Vec<String> = topics::ALL.iter().map(|spec| settings.named(spec.name)).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let outcome = async {
        for removed in admin.delete_topics(&named, &patience).await.map_err(|error| cluster.reaction("removing topics", &error))? {
            if let Err((topic, code)) = removed
                && !matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic)
            {
                return Err(Reaction::fatal(format!("{settings}: the topic {topic} was not removed: {code}: remove it by hand")));
            }
        }
        let mut left: Vec<String> = groups.iter().map(|group| settings.named(group)).collect();
        for attempt in 1..=ATTEMPTS {
            let asked: Vec<&str> = left.iter().map(String::as_str).collect();
            let removed = admin.delete_groups(&asked, &patience).await.map_err(|error| cluster.reaction("removing groups", &error))?;
            left = removed.into_iter().filter_map(|outcome| outcome.err().filter(|(_, code)| !matches!(code, Code::GroupIdNotFound)).map(|(group, _)| group)).collect();
            if left.is_empty() {
                break;
            }
            if attempt == ATTEMPTS {
                return Err(Reaction::fatal(format!("{settings}: the groups {} were not removed: they still have members", left.join(", "))));
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    };
    let outcome = outcome.await;
    connect::close_behind(admin);
    outcome
}
