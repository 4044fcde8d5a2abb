//! What the settings of Kafka accept and refuse.

use super::*;

fn settings(url: &str, raw: &RawKafka) -> Result<KafkaSettings, Vec<String>> {
    KafkaSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn)
}

#[test]
fn a_url_alone_is_enough() {
    let plain = settings("kafka://broker", &RawKafka::default()).unwrap();
    assert_eq!((plain.brokers.as_str(), plain.named("risk-scores").as_str(), plain.tls.is_some()), ("broker:9092", "risk-scores", false));
    assert_eq!((plain.replication, plain.min_insync_replicas, plain.flush_messages), (None, None, None));
    let full = settings("kafka://us%40er:p%2Fw@a:9093,b,[::1]:9095?namespace=t_1&tls=true&mechanism=plain", &RawKafka::default()).unwrap();
    assert_eq!((full.brokers.as_str(), full.user.as_deref(), full.mechanism), ("a:9093,b:9092,[::1]:9095", Some("us@er"), Mechanism::Plain));
    assert_eq!((full.named("scorer").as_str(), full.place().as_str()), ("t_1-scorer", "kafka://a:9093,b:9092,[::1]:9095?namespace=t_1"));
    assert!(full.tls.is_some() && !format!("{full:?} {full}").contains("p/w"));
}

#[test]
fn the_section_says_the_rest() {
    let raw = RawKafka {
        user: Some("wardhouse".into()),
        password: Some("s3cret".into()),
        mechanism: "scram-sha-256".into(),
        tls: true,
        ca_file: Some("ca.pem".into()),
        replication: 3,
        min_insync_replicas: 2,
        compression: "zstd".into(),
        group_instance_id: "node-1".into(),
        ..RawKafka::default()
    };
    let found = settings("kafka://broker", &raw).unwrap();
    assert_eq!((found.mechanism, found.compression, found.replication), (Mechanism::ScramSha256, Compression::Zstd, Some(3)));
    assert_eq!((found.group_instance_id.as_deref(), found.password.is_some()), (Some("node-1"), true));
    assert!(settings("kafka://wardhouse:s3cret@broker", &raw).is_ok());
}

#[test]
fn every_fault_is_told() {
    let raw = RawKafka {
        user: Some("one".into()),
        password: Some("a".into()),
        password_file: Some("b".into()),
        cert_file: Some("c".into()),
        mechanism: "gssapi".into(),
        compression: "snappy".into(),
        address_family: "v5".into(),
        heartbeat_ms: 4_000,
        max_poll_interval_ms: 5_000,
        replication: 1,
        min_insync_replicas: 2,
        queued_kib: 1,
        batch_kib: 2_048,
        group_instance_id: "a b".into(),
        ..RawKafka::default()
    };
    let faults = settings("kafka://other@a/topic?tls=maybe&namespace=Up&acks=1", &raw).unwrap_err();
    for part in [
        "unknown acks: known are namespace, tls, mechanism",
        "found a path",
        "namespace: expected 1 to 60",
        "tls: expected true or false",
        "kafka.key_file",
        "kafka.tls = false",
        "kafka.user: stores.log names another user",
        "kafka.password and kafka.password_file are both set",
        "kafka.mechanism = \"gssapi\": expected scram-sha-512, scram-sha-256, plain",
        "kafka.compression = \"snappy\": expected lz4",
        "kafka.address_family",
        "kafka.heartbeat_ms",
        "kafka.session_timeout_ms",
        "kafka.min_insync_replicas is above",
        "kafka.queued_kib = 1",
        "kafka.batch_kib is above",
        "kafka.group_instance_id",
    ] {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
    }
    assert!(settings("kafka://one@a", &RawKafka::default()).unwrap_err()[0].contains("no password"));
    let nobody = RawKafka { password: Some("a".into()), ..RawKafka::default() };
    assert!(settings("kafka://a", &nobody).unwrap_err()[0].contains("no user"));
    assert!(settings("kafka://one:other@a", &nobody).unwrap_err()[0].contains("has a password too"));
}

#[test]
fn the_defaults_are_valid() {
    assert!(settings("kafka://a", &RawKafka::default()).is_ok());
}
