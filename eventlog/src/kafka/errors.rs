//! What the codes of Kafka and of its client ask for. Pure.
//!
//! | reaction | codes |
//! |---|---|
//! | fatal: credentials, rights | authentication, SASL, TLS, authorization of topic, group or cluster |
//! | fatal: it is not there | a topic or partition that the brokers do not know, a position out of range, a truncated log |
//! | fatal: it cannot be so | replication, configuration, policy, versions, group protocols, session bounds, a fenced instance id |
//! | fatal: no gap may be left | what an idempotent producer cannot repair |
//! | rejected | a record or batch that is too large |
//! | transient | TLS or authentication that breaks off with its connection, once the log was reached |
//! | transient | the group has moved on; leaders, coordinators, replicas, timeouts, the network; every code not named |
//!
//! What must stay true: no message holds a secret or a record's content; what may mend itself is never fatal.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use wh_schemas::Reaction;
use wh_stores::kafka::KafkaSettings;

use crate::Bounds;
use crate::incidents::PRODUCER_ENDED;

/// Oldest Kafka that is supported: static members and cooperative rebalances without surprises.
pub(super) const OLDEST: (u32, u32) = (2, 4);

/// The code in an error, where there is one.
pub(super) fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// The reaction to a failure of `what`.
pub(super) fn reaction(what: &str, error: &KafkaError) -> Reaction {
    match (code_of(error), error) {
        (Some(code), _) => of_code(what, code),
        // The value may be a secret.
        (None, KafkaError::ClientConfig(_, said, setting, _)) => Reaction::fatal(format!("{what}: the client does not take its setting {setting}: {said}")),
        (None, KafkaError::Canceled) => Reaction::transient(format!("{what}: the client was closed")),
        (None, other) => Reaction::fatal(format!("{what}: {other}")),
    }
}

/// The reaction to a code.
pub(super) fn of_code(what: &str, code: Code) -> Reaction {
    let fatal = |remedy: &str| Reaction::fatal(format!("{what}: {code}: {remedy}"));
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism | Code::IllegalSASLState => {
            fatal("check kafka.user, kafka.password and kafka.mechanism")
        }
        Code::SSL => fatal("check kafka.tls, kafka.ca_file and the brokers' certificates"),
        Code::TopicAuthorizationFailed => fatal("allow this user to describe, read and write the topic"),
        Code::GroupAuthorizationFailed => fatal("allow this user to read the group"),
        Code::ClusterAuthorizationFailed | Code::TransactionalIdAuthorizationFailed | Code::DelegationTokenAuthorizationFailed => {
            fatal("this user lacks rights on the cluster: run `wardhouse migrate` with one who may create topics, and allow idempotent writes")
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownTopicId => {
            fatal("it is not there: run `wardhouse migrate`, or check the brokers and the namespace in stores.log")
        }
        Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::LogTruncation => {
            fatal("the position is not there: raise the topic's retention.ms, and restore the store that asked from a backup")
        }
        Code::InvalidReplicationFactor => fatal("set kafka.replication to at most the number of brokers"),
        Code::PolicyViolation | Code::InvalidConfig | Code::InvalidPartitions | Code::InvalidTopic | Code::InvalidRequest | Code::InvalidReplicaAssignment => {
            fatal("the brokers do not allow this: see their log for the reason")
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature | Code::UnsupportedForMessageFormat | Code::UnsupportedCompressionType => {
            fatal(&format!("the brokers are too old or configured as such: expected Kafka {}.{} or newer", OLDEST.0, OLDEST.1))
        }
        Code::FencedInstanceId | Code::UnreleasedInstanceId => fatal("another process is a member under the same kafka.group_instance_id: give each its own"),
        Code::InconsistentGroupProtocol | Code::UnsupportedAssignor => {
            fatal("the group has members of another kind (not cooperative-sticky): stop them, or use another namespace in stores.log")
        }
        Code::InvalidSessionTimeout => fatal("set kafka.session_timeout_ms within the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms"),
        Code::GroupMaxSizeReached => fatal("the group has as many members as the brokers' group.max.size allows: start fewer instances"),
        Code::OffsetMetadataTooLarge | Code::InvalidCommitOffsetSize => fatal("raise the brokers' offset.metadata.max.bytes"),
        Code::GaplessGuarantee
        | Code::Fatal
        | Code::OutOfOrderSequenceNumber
        | Code::UnknownProducerId
        | Code::InvalidProducerEpoch
        | Code::InvalidProducerIdMapping
        | Code::Fenced
        | Code::ProducerFenced
        | Code::Inconsistent => fatal(&format!("{PRODUCER_ENDED}: start the stage again, which reads from the log what stands in it")),
        Code::BadMessage | Code::InvalidMessage | Code::BadCompression | Code::InvalidRecord | Code::InvalidMessageSize => {
            fatal("what came cannot be read as Kafka's: check that stores.log names its brokers, and the brokers' disks")
        }
        Code::InvalidArgument | Code::NotImplemented | Code::NotConfigured | Code::UnknownProtocol | Code::UnknownGroup | Code::CriticalSystemResource | Code::FileSystem => {
            fatal("this should not happen: see the messages before this one")
        }
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => Reaction::Rejected(format!("{what}: {code}: larger than the topic's max.message.bytes")),
        Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress | Code::AssignmentLost | Code::FencedMemberEpoch | Code::StaleMemberEpoch => {
            Reaction::transient(format!("{what}: {code}: the group has moved on; the partitions will be told anew"))
        }
        // `Code::UnknownPartition` is the client's own word for what it has not learnt in time, behind brokers that answer slowly. Whether a
        // partition is there, they themselves are asked before.
        _ => Reaction::transient(format!("{what}: {code}")),
    }
}

/// What is said where a position is out of a partition's bounds.
pub(super) fn position_gone(topic: &str, partition: u32, position: u64, bounds: Bounds) -> Reaction {
    Reaction::fatal(format!(
        "{topic} partition {partition}: the position {position} is not there (the log holds {} to {}): records between are gone; raise the topic's retention.ms, and restore the store that asked from a backup",
        bounds.start, bounds.end
    ))
}

/// Whether a complaint of TLS or of the user only says that the connection broke in the midst of it.
pub(super) fn is_broken_off(said: &str) -> bool {
    ["Disconnected", "closed by peer", "reset by peer", "unexpected eof", "Broker transport failure", "timed out"].iter().any(|word| said.contains(word))
}

/// Why a first connection cannot be made, where waiting would not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Whether it is certain at once; otherwise it is likely once the time for connecting is over.
    pub(super) certain: bool,
    /// What to do.
    pub(super) remedy: &'static str,
}

/// What the client's last complaint means while nothing has been answered yet.
pub(super) fn refusal(said: &str, settings: &KafkaSettings) -> Option<Refusal> {
    let certain = |remedy| Some(Refusal { certain: true, remedy });
    let likely = |remedy| Some(Refusal { certain: false, remedy });
    if said.contains("certificate verify failed") || said.contains("certificate has expired") {
        certain("the brokers' certificate is expired, of another host, or of an authority that kafka.ca_file does not hold: mend the certificate or the file")
    } else if said.contains("connecting to a PLAINTEXT broker listener") || (said.contains("closed by peer") && said.contains("in state SSL_HANDSHAKE")) {
        likely("the brokers do not speak TLS there: remove tls, or name their TLS port")
    } else if said.contains("SSL handshake failed") {
        certain("check kafka.tls, kafka.ca_file, kafka.cert_file and the brokers' certificates")
    } else if said.contains("supported mechanisms:") {
        certain("the brokers do not take this mechanism there: set kafka.mechanism to one that they do, or remove the user")
    } else if said.contains("SASL authentication error") || said.contains("SASL SCRAM authentication failed") {
        certain("check kafka.user, kafka.password and kafka.mechanism")
    } else if said.contains("Invalid response size") {
        certain("this is no Kafka broker: check host and port in stores.log")
    } else if said.contains("state APIVERSION_QUERY") && settings.tls.is_none() {
        likely("it takes connections and does not answer as Kafka does: add ?tls=true to stores.log if the port speaks TLS, else check host and port")
    } else if said.contains("state APIVERSION_QUERY") {
        likely("it takes connections and does not answer as Kafka does: check host and port in stores.log")
    } else if said.contains("state UP") && settings.user.is_none() {
        likely("the brokers close the connection once it is made: set kafka.user and kafka.password if they ask for them")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_stores::kafka::RawKafka;
    use wh_stores::{Durability, ServerUrl};

    #[test]
    fn what_may_mend_itself_is_transient() {
        for code in [
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::Resolve,
            Code::OperationTimedOut,
            Code::TimedOutQueue,
            Code::LeaderNotAvailable,
            Code::NotLeaderForPartition,
            Code::RequestTimedOut,
            Code::NotEnoughReplicas,
            Code::NotEnoughReplicasAfterAppend,
            Code::CoordinatorLoadInProgress,
            Code::CoordinatorNotAvailable,
            Code::NotCoordinator,
            Code::WaitingForCoordinator,
            Code::KafkaStorageError,
            Code::IllegalGeneration,
            Code::UnknownMemberId,
            Code::RebalanceInProgress,
            Code::OffsetNotAvailable,
            Code::ThrottlingQuotaExceeded,
            Code::UnknownPartition,
        ] {
            assert_eq!(of_code("x", code).class(), "transient", "{code:?}");
        }
    }

    #[test]
    fn what_a_person_must_mend_is_fatal_and_says_what_to_do() {
        for (code, word) in [
            (Code::Authentication, "kafka.password"),
            (Code::SSL, "kafka.ca_file"),
            (Code::TopicAuthorizationFailed, "allow"),
            (Code::ClusterAuthorizationFailed, "wardhouse migrate"),
            (Code::UnknownTopicOrPartition, "namespace"),
            (Code::AutoOffsetReset, "retention.ms"),
            (Code::InvalidReplicationFactor, "kafka.replication"),
            (Code::UnsupportedFeature, "2.4"),
            (Code::FencedInstanceId, "kafka.group_instance_id"),
            (Code::InconsistentGroupProtocol, "namespace"),
            (Code::GaplessGuarantee, "without a gap"),
            (Code::InvalidSessionTimeout, "kafka.session_timeout_ms"),
        ] {
            let told = of_code("kafka://h: committing", code);
            assert!(matches!(&told, Reaction::Fatal(said) if said.starts_with("kafka://h: committing: ") && said.contains(word)), "{told:?}");
        }
        assert_eq!(of_code("x", Code::MessageSizeTooLarge).class(), "rejected");
    }

    #[test]
    fn what_the_client_says_while_connecting_is_understood() {
        let settings = |url: &str| KafkaSettings::try_new(&ServerUrl::parse(url).unwrap(), &RawKafka::default(), Durability::Warn).unwrap();
        let (plain, tls) = (settings("kafka://h"), settings("kafka://u:p@h?tls=true"));
        let understood = |said: &str, settings: &KafkaSettings| refusal(said, settings).map(|refusal| (refusal.certain, refusal.remedy.to_owned()));
        for (said, settings, certain, word) in [
            (
                "sasl_ssl://h:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified",
                &tls,
                true,
                "kafka.ca_file",
            ),
            ("sasl_ssl://h:1/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener?", &tls, false, "remove tls"),
            ("sasl_ssl://h:1/bootstrap: SASL authentication error: Authentication failed: Invalid username or password", &tls, true, "kafka.password"),
            (
                "sasl_plaintext://h:1/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request not valid in current SASL state: broker's supported mechanisms:  (after 1ms)",
                &tls,
                true,
                "kafka.mechanism",
            ),
            ("h:1/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000)", &plain, true, "no Kafka broker"),
            ("h:1/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 0ms in state APIVERSION_QUERY)", &plain, false, "?tls=true"),
            ("h:1/bootstrap: Connection setup timed out in state APIVERSION_QUERY (after 3002ms in state APIVERSION_QUERY)", &plain, false, "host and port"),
            ("ssl://h:1/bootstrap: Disconnected: SSL connection closed by peer (after 0ms in state UP)", &plain, false, "kafka.user"),
        ] {
            let (found, remedy) = understood(said, settings).unwrap();
            assert!(found == certain && remedy.contains(word), "{said}: {found} {remedy}");
        }
        assert_eq!(refusal("h:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)", &plain), None);
        assert_eq!(refusal("h:9092/bootstrap: Failed to resolve 'h:9092': Name or service not known", &plain), None);
        assert_eq!(refusal("ssl://h:1/bootstrap: Disconnected (after 9ms in state UP)", &tls), None);
    }
}
