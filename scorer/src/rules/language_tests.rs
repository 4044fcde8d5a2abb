//! Conditions and what they answer, held to the interpreter of the crate `cel`; evidence; what is refused when it is loaded.

use std::borrow::Cow;

use super::facts::{Facts, TransactionFacts, UserFacts};
use super::{CompiledRules, TeamRule, metadata_texts};

fn sample<'a>() -> Facts<'a> {
    Facts {
        tx: TransactionFacts {
            amount: 1234.5,
            cents: 123_450,
            transaction_type: "refund",
            department: "Pharmacy",
            user_id: "u-1",
            account_id: "a-1",
            counterparty: "",
            hour: 23,
            weekday: 7,
            metadata: vec![("ip", Cow::Borrowed("10.0.0.7"))],
        },
        user: UserFacts {
            events: 40,
            learnt: 38,
            days_known: 12.5,
            idle_days: 0.25,
            home_department: "Pharmacy",
            usual_amount: 100.0,
            amount_z: 4.2,
            hour_share: 0.1,
            events_10m: 1,
            events_1h: 2,
            events_24h: 9,
            counterparty_known: 0,
            account_known: 3,
            type_share: 0.2,
            department_share: 1.0,
        },
    }
}

fn keys() -> Vec<String> {
    vec!["ip".to_owned(), "channel".to_owned()]
}

fn rule(when: &str) -> TeamRule {
    TeamRule { name: "a".into(), when: when.into(), points: 5, ..TeamRule::default() }
}

/// What a condition says of the sample: none where it has no answer.
fn answer(when: &str) -> Option<bool> {
    let compiled = CompiledRules::compile(&[rule(when)], &keys()).unwrap_or_else(|faults| panic!("{when}: {faults:?}"));
    let mut held = false;
    compiled.evaluate(&sample(), |_, _, _| held = true);
    (compiled.unanswered().count() == 0).then_some(held)
}

/// Conditions over the sample and what CEL says of them.
const ANSWERS: &[(&str, Option<bool>)] = &[
    ("tx.amount > 1000", Some(true)),
    ("tx.amount > 3.0 * user.usual_amount && tx.type == 'refund'", Some(true)),
    ("tx.cents == 123450 && tx.cents / 100 == 1234 && tx.cents % 100 == 50", Some(true)),
    ("tx.hour < 6 || tx.hour >= 22", Some(true)),
    ("tx.weekday in [6, 7]", Some(true)),
    ("tx.type in ['billing', \"payment\"]", Some(false)),
    ("tx.department != user.home_department", Some(false)),
    ("tx.counterparty == ''", Some(true)),
    ("tx.user_id.startsWith('u-') && tx.account_id.endsWith('1') && tx.department.contains('harm')", Some(true)),
    ("size(tx.department) == 8 && tx.department.size() == 8", Some(true)),
    ("has(tx.metadata.ip) && tx.metadata.ip.startsWith('10.')", Some(true)),
    ("has(tx.metadata.channel)", Some(false)),
    ("'channel' in tx.metadata", Some(false)),
    ("tx.metadata['ip'] == '10.0.0.7'", Some(true)),
    ("tx.metadata.channel == 'web'", None),
    ("has(tx.metadata.channel) && tx.metadata.channel == 'web'", Some(false)),
    ("tx.metadata.channel == 'web' && tx.hour == 1", Some(false)),
    ("tx.metadata.channel == 'web' || tx.hour == 23", Some(true)),
    ("tx.metadata.channel == 'web' || tx.hour == 1", None),
    ("tx.hour / user.counterparty_known == 1", None),
    ("tx.cents * 9223372036854775807 > 0", None),
    ("tx.amount / 0.0 > 1.0", Some(true)),
    ("!(tx.hour == 23)", Some(false)),
    ("-tx.amount < -1000.0", Some(true)),
    ("tx.hour > 12 ? tx.amount > 1.0 : tx.amount > 1.0e6", Some(true)),
    ("int(tx.amount) == 1234", Some(true)),
    ("double(user.events) / 2.0 == 20.0", Some(true)),
    ("int('12') + 1 == 13", Some(true)),
    ("int('twelve') == 12", None),
    ("double('1.5') == 1.5", Some(true)),
    ("user.events >= 40 && user.learnt < user.events", Some(true)),
    ("user.days_known < 30 && user.idle_days < 1", Some(true)),
    ("user.amount_z > 3.0 && user.hour_share < 0.5", Some(true)),
    ("user.events_10m + user.events_1h + user.events_24h == 12", Some(true)),
    ("user.account_known == 3 && user.type_share <= 0.2 && user.department_share == 1.0", Some(true)),
    ("true && !false", Some(true)),
    ("'a' < 'b' && 'B' < 'a'", Some(true)),
    ("1 == 1.0 && 1 < 1.5 && 2.5 > 2", Some(true)),
    ("tx.hour - 30 < 0", Some(true)),
    ("(tx.hour > 22) == (tx.weekday == 7)", Some(true)),
];

#[test]
fn conditions_are_answered() {
    for &(when, wanted) in ANSWERS {
        assert_eq!(answer(when), wanted, "{when}");
    }
}

#[test]
fn the_answers_are_those_of_the_interpreter() {
    use cel::{Context, Program, Value};
    use std::collections::HashMap;
    let facts = sample();
    let mut tx: HashMap<String, Value> = HashMap::new();
    let mut user: HashMap<String, Value> = HashMap::new();
    for field in &super::facts::FIELDS {
        let value: Value = match (field.read)(&facts) {
            super::language::Value::Truth(value) => Value::Bool(value),
            super::language::Value::Int(value) => Value::Int(value),
            super::language::Value::Double(value) => Value::Float(value),
            super::language::Value::Text(value) => Value::from(value),
        };
        match field.name.split_once('.').unwrap() {
            ("tx", name) => tx.insert(name.to_owned(), value),
            (_, name) => user.insert(name.to_owned(), value),
        };
    }
    tx.insert("metadata".to_owned(), Value::from(HashMap::from([("ip".to_owned(), Value::from("10.0.0.7"))])));
    let mut context = Context::default();
    context.add_variable_from_value("tx", tx);
    context.add_variable_from_value("user", user);
    for &(when, wanted) in ANSWERS {
        let given = match Program::compile(when).unwrap().execute(&context) {
            Ok(Value::Bool(value)) => Some(value),
            Ok(other) => panic!("{when}: {other:?}"),
            Err(_) => None,
        };
        assert_eq!(given, wanted, "{when}");
    }
}

#[test]
fn what_cannot_be_answered_is_a_fault_when_it_is_loaded() {
    for (when, offset, word) in [
        ("tx.amount * 2 > 1.0", 10, "write 2.0 for 2"),
        ("tx.hour * user.amount_z > 1.0", 8, "double(x)"),
        ("tx.amount", 0, "true or false"),
        ("tx.type > 3", 8, "compares a string with an int"),
        ("tx.hour > 3 && tx.type", 0, "is a string where a bool is needed"),
        ("tx.type in 'refund'", 8, "a list such as"),
        ("tx.type in ['a', 3]", 17, "is an int in a list"),
        ("[1, 2].exists(x, x > 1)", 0, "all, exists"),
        ("now() > 3", 0, "there is no such call"),
        ("timestamp('2026-01-01T00:00:00Z') == 1", 0, "there is no such call"),
        ("tx.type.matches('r.*')", 0, "there is no such call"),
        ("tx.metadata.color == 'red'", 0, "metadata_keys does not have it"),
        ("tx.metadata == 'red'", 0, "say which key"),
        ("tx == user", 0, "say which field"),
        ("account > 3", 0, "a rule sees tx and user"),
        ("has(tx.amount)", 0, "always there"),
        ("tx.hour > 3u", 0, "leave out the u"),
        ("{'a': 1} == {'a': 1}", 0, "maps"),
        ("tx.hour > 3 ? 1 : 2.0", 0, "one type"),
    ] {
        let faults = CompiledRules::compile(&[rule(when)], &keys()).expect_err(when);
        assert!(faults[0].message.contains(word), "{when}: {faults:?}");
        // Where the parser puts an operator's place is its own affair; names and operators between operands are pinned.
        assert!(offset == 0 || faults[0].offset == offset, "{when}: {faults:?}");
    }
}

#[test]
fn a_rule_gives_its_points_with_its_evidence() {
    let rules = [
        TeamRule { evidence: Some("{tx.type} of {tx.amount} from {tx.metadata.ip} ({{sic}})".into()), ..rule("tx.amount > 1000.0") },
        TeamRule { enabled: false, ..rule("true") },
        rule("tx.metadata.channel == 'web'"),
        rule("user.events > 10 &&\n tx.hour > 20"),
    ];
    let compiled = CompiledRules::compile(&rules, &keys()).unwrap();
    let mut found = Vec::new();
    compiled.evaluate(&sample(), |index, rule, evidence| found.push((index, rule.points, evidence)));
    assert_eq!(found, [(0, 5, "refund of 1234.50 from 10.0.0.7 ({sic})".to_owned()), (3, 5, "user.events > 10 && tx.hour > 20: user.events 40, tx.hour 23".to_owned())]);
    let unanswered: Vec<(&str, u64)> = compiled.unanswered().map(|(rule, _, records)| (rule, records)).collect();
    assert_eq!(unanswered, [("a", 1)]);
    fn shared<T: Send + Sync + std::fmt::Debug>(_: &T) {}
    shared(&compiled);
}

#[test]
fn only_allowed_metadata_is_seen_and_as_text() {
    let keys: Vec<String> = ["ip", "n", "gone", "o"].map(str::to_owned).to_vec();
    let seen = metadata_texts(&keys, r#"{"ip":"a\"b","n":12.50,"o":null,"secret":1}"#);
    assert_eq!(seen, [("ip", Cow::Borrowed("a\"b")), ("n", Cow::Borrowed("12.50"))]);
    let nested = metadata_texts(&keys, r#"{"ip":{"is_fraud":true},"n":[1,{"label":1}],"o":true}"#);
    assert_eq!(nested, [("o", Cow::Borrowed("true"))]);
}
