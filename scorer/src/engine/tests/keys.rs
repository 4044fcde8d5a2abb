//! A metadata key's values are its own, wherever it stands among the others.

use super::*;

const TEXT: &str = r#"{"ip":"10.0.0.7","terminal":"T1","channel":"web"}"#;

fn ruleset(keys: &[&str]) -> Ruleset {
    Ruleset { metadata_keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..Ruleset::default() }
}

fn row<'a>(engine: &Engine, at: i64, metadata: &'a str) -> Observation<'a> {
    Observation { metadata_text: metadata, metadata: engine.ruleset().metadata_values(metadata), ..observation(at, "U1", 20_000 + at % 977) }
}

/// Thirty rows from one place, an hour apart.
fn at_home(keys: &[&str]) -> Engine {
    let mut engine = Engine::new(ruleset(keys));
    for i in 0..30 {
        engine.score(&row(&engine, MONDAY + i * HOUR, TEXT));
    }
    engine
}

fn surprises(engine: &Engine, metadata: &str) -> Vec<bool> {
    engine.look(&row(engine, MONDAY + 40 * HOUR, metadata)).0.metadata_bits.iter().map(|bits| *bits > 0.0).collect()
}

#[test]
fn reordered_keys_keep_their_values() {
    let mut engine = at_home(&["ip", "terminal", "channel"]);
    assert_eq!(surprises(&engine, TEXT), [false; 3]);
    assert_eq!(surprises(&engine, r#"{"ip":"10.0.0.8","terminal":"T1","channel":"10.0.0.7"}"#), [true, false, true]);
    engine.set_ruleset(ruleset(&["channel", "ip", "terminal"]));
    assert_eq!(surprises(&engine, TEXT), [false; 3]);
    assert_eq!(surprises(&engine, r#"{"ip":"10.0.0.8","terminal":"T1","channel":"web"}"#), [false, true, false]);
    // It goes on learning into what is each key's own.
    for i in 30..60 {
        engine.score(&row(&engine, MONDAY + i * HOUR, TEXT));
    }
    assert_eq!(surprises(&engine, TEXT), [false; 3]);
    assert_eq!(surprises(&engine, r#"{"ip":"T1","terminal":"web","channel":"10.0.0.7"}"#), [true; 3]);
}

#[test]
fn a_key_that_is_added_begins_with_nothing_and_one_that_is_gone_is_forgotten() {
    let mut engine = at_home(&["ip", "terminal", "channel"]);
    engine.set_ruleset(ruleset(&["device", "channel", "ip"]));
    let elsewhere = r#"{"ip":"10.0.0.8","terminal":"T9","channel":"app","device":"D1"}"#;
    assert_eq!(surprises(&engine, elsewhere), [false, true, true]);
    let knows = |engine: &Engine, key: &str| engine.user("U1").unwrap().values_of(Ruleset::key_print(key)).is_some();
    assert!(knows(&engine, "terminal"));
    engine.score(&row(&engine, MONDAY + 31 * HOUR, TEXT));
    assert!(!knows(&engine, "terminal") && knows(&engine, "ip"));
    engine.set_ruleset(ruleset(&["terminal", "channel", "ip"]));
    assert_eq!(surprises(&engine, elsewhere), [false, true, true]);
}

#[test]
fn a_label_within_a_value_moves_nothing() {
    let mut engines = [at_home(&["ip", "device"]), at_home(&["ip", "device"])];
    for i in 30..200 {
        let scores: Vec<Score> = engines
            .iter_mut()
            .zip(["true", "false"])
            .map(|(engine, label)| {
                let label = if i % 7 == 0 { label } else { "false" };
                let metadata = format!(r#"{{"ip":"10.0.0.7","device":{{"is_fraud":{label}}}}}"#);
                engine.score(&row(engine, MONDAY + i * HOUR, &metadata))
            })
            .collect();
        assert_eq!(scores[0], scores[1]);
    }
}
