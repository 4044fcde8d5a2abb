//! What an evaluation promises.

use wh_evaluation::{Grade, generate};

use super::*;
use crate::offline::labels::Labels;

fn settings(threads: usize) -> EvaluateSettings {
    EvaluateSettings { ruleset: Ruleset::default(), reading: Reading::default(), partitions: 3, threads }
}

fn config() -> Config {
    Config { users: 40, days: 40, fraud_share: 0.02, grades: vec![Grade::Blatant], ..Config::default() }
}

#[test]
fn figures_do_not_depend_on_threads_and_better_than_chance() {
    let wanted = [Wanted { seed: 5, scheme: None }, Wanted { seed: 6, scheme: None }];
    let one = streams(&wanted, &config(), &settings(1), &|_, _| Ok(()), &|| ()).unwrap();
    let two = streams(&wanted, &config(), &settings(2), &|_, _| Ok(()), &|| ()).unwrap();
    assert_eq!(json(&one).to_string(), json(&two).to_string());
    assert!(one.iter().all(|m| m.auc > 0.6 && m.rows > 1_000 && m.fraud > 0), "{}", text(&one));
}

#[test]
fn labels_in_the_rows_change_no_byte() {
    assert_eq!(labels_matter(&generate(&config(), 5), &settings(2)).unwrap(), None);
}

#[test]
fn ones_own_file_with_labels_is_measured_as_the_generated_stream_is() {
    let stream = generate(&config(), 7);
    let truth = Labels::read(labels_file(&stream).as_bytes()).unwrap();
    let ours = generated("x", &stream, &settings(1), 1).unwrap();
    let (own, fit) = labelled("x", &mut stream.ndjson().as_bytes(), &truth, &settings(1)).unwrap();
    assert_eq!((fit.rows, fit.labels, fit.matched, fit.warnings()), (own.rows, own.rows, own.rows, Vec::new()));
    assert_eq!((ours.rows, ours.fraud, ours.alerts, ours.alerted), (own.rows, own.fraud, own.alerts, own.alerted));
    assert!((ours.auc - own.auc).abs() < 1e-12 && (ours.plain_auc - own.plain_auc).abs() < 1e-12);
}

#[test]
fn labels_and_a_file_that_do_not_belong_together_are_refused_and_halves_are_told() {
    let stream = generate(&config(), 7);
    let (text, labels) = (stream.ndjson(), labels_file(&stream));
    let measured = |text: &str, labels: &str| labelled("my.ndjson", &mut text.as_bytes(), &Labels::read(labels.as_bytes()).unwrap(), &settings(2));
    let refused = |text: &str, labels: &str| measured(text, labels).unwrap_err().to_string();
    let none = "transaction_id,fraud\n";
    let fraud = stream.labels.iter().position(|label| label.fraud).unwrap();
    let known = format!("{none}{},1\n", stream.transactions[fraud].transaction_id);
    assert!(refused("\n", &labels).contains("my.ndjson holds no line"));
    assert!(refused("nonsense\nmore\n", &labels).contains("none of the 2 lines of my.ndjson is a transaction"));
    assert!(refused(&text, none).contains("name no transaction"));
    assert!(refused(&text, "transaction_id,fraud\nnobody,1\nnowhere,0\n").contains("none of the 2 transactions that the labels name"));
    assert!(refused(&text, &known.replace(",1", ",0")).contains("none of them as fraud"));
    let (_, fit) = measured(&format!("nonsense\n{text}"), &format!("{known}nobody,1\nnowhere,0\n")).unwrap();
    assert_eq!((fit.labels, fit.matched, fit.fraud_labels, fit.fraud_matched, fit.rejected), (3, 1, 2, 1, 1));
    let told = fit.warnings().join("\n");
    assert!(told.contains("2 of 3 labels (1 of them fraud)") && told.contains("1 of") && told.contains("rejected"), "{told}");
}
