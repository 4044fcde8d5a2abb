//! What an explanation promises, on a generated stream.

use bytes::Bytes;
use wh_evaluation::{Config, Grade, generate};
use wh_schemas::position::{SeqPosition, Source as Origin};
use wh_schemas::validate::{Reading, decode_transaction};

use super::*;
use crate::offline::source::{Input, Logged};
use crate::output::{self, Context};

struct Log(std::vec::IntoIter<Input>);

impl Source for Log {
    fn read(&mut self, most: usize) -> io::Result<Vec<Input>> {
        Ok(self.0.by_ref().take(most).collect())
    }
}

/// Accepted records as the log holds them, each twice as after a crash of intake.
fn accepted() -> Vec<Input> {
    let stream = generate(&Config { users: 30, days: 40, fraud_share: 0.02, grades: vec![Grade::Blatant], ..Config::default() }, 4);
    let mut inputs = Vec::new();
    for (number, line) in (0_u64..).zip(stream.ndjson().lines().take(8_000)) {
        let transaction = AcceptedTransaction::new(decode_transaction(line.as_bytes(), &Reading::default()).unwrap());
        let text = Bytes::from(serde_json::to_vec(&transaction).unwrap());
        for copy in 0..2 {
            inputs.push(Input { number: 2 * number + copy, text: text.clone(), logged: Some(Logged { partition: 0, origin: Some((0, number)) }) });
        }
    }
    inputs
}

/// The record of the lowest score that alerts, as the stage would have stored it.
fn stored(inputs: &[Input], ruleset: &Ruleset) -> Vec<u8> {
    let mut engine = Engine::new(ruleset.clone());
    let hash = ruleset.content_hash();
    let (mut lowest, mut found) = (u8::MAX, Vec::new());
    for (seq, input) in (0_u64..).zip(inputs.iter().step_by(2)) {
        let transaction: AcceptedTransaction<'_> = serde_json::from_slice(&input.text).unwrap();
        let observation = Observation::of(&transaction, engine.ruleset());
        let score = engine.score(&observation);
        if (70..lowest).contains(&score.risk_score()) {
            lowest = score.risk_score();
            let context = Context { position: SeqPosition { partition: 0, seq }, source: Origin { partition: 0, offset: seq }, ruleset: &hash, state_epoch: 0 };
            found = serde_json::to_vec(&output::scored(transaction.clone(), score, &context)).unwrap();
        }
    }
    assert!(!found.is_empty(), "no row has an alert");
    found
}

#[test]
fn a_score_is_the_same_when_it_is_computed_again_and_what_would_have_changed_it_does() {
    let (inputs, ruleset) = (accepted(), Ruleset::default());
    let stored = stored(&inputs, &ruleset);
    let record: ScoreRecord<'_> = serde_json::from_slice(&stored).unwrap();
    let again = recompute(&mut Log(inputs.clone().into_iter()), &record, &ruleset, 500_000).unwrap().unwrap();
    assert!(again.equal && again.why_not.is_empty() && again.records_before == record.seq, "{again:?}");
    assert!(!again.turns.is_empty() && again.turns.iter().all(|turn| turn.risk_score < again.risk_score && !turn.alert), "{:?}", again.turns);
    assert!(recomputed_text(&again, Provenance::Log).contains("the same score") && record_text(&record, Provenance::Log).contains(&format!("= {}", again.risk_score)));

    let mut other = ruleset.clone();
    (other.caps.amount, other.caps.frequency, other.caps.behavior) = (1, 1, 1);
    let again = recompute(&mut Log(inputs.clone().into_iter()), &record, &other, 500_000).unwrap().unwrap();
    assert!(!again.equal && again.why_not.iter().any(|why| why.contains("ruleset")), "{:?}", again.why_not);

    let late: Vec<Input> = inputs.into_iter().skip(200).collect();
    let again = recompute(&mut Log(late.into_iter()), &record, &ruleset, 500_000).unwrap();
    assert!(again.is_none_or(|again| again.equal || again.why_not.iter().any(|why| why.contains("retention"))));
}

#[test]
fn a_record_that_the_log_does_not_hold_is_not_computed() {
    let (inputs, ruleset) = (accepted(), Ruleset::default());
    let stored = stored(&inputs, &ruleset);
    let record: ScoreRecord<'_> = serde_json::from_slice(&stored).unwrap();
    assert_eq!(recompute(&mut Log(Vec::new().into_iter()), &record, &ruleset, 500_000).unwrap(), None);
}

#[test]
fn a_transaction_of_a_file_is_explained_with_the_score_that_its_line_has() {
    use crate::offline::score::{self, Order, Rejects, ScoreSettings};

    struct Unkept;
    impl Rejects for Unkept {
        fn reject(&mut self, _: u64, _: &str, _: &str, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
    }
    let stream = generate(&Config { users: 30, days: 40, fraud_share: 0.02, grades: vec![Grade::Blatant], ..Config::default() }, 4);
    let rejected = "{\"transaction_id\":\"no amount\"}";
    let mut text = format!("{rejected}\n");
    // Each twice: a duplicate is scored once.
    stream.ndjson().lines().take(3_000).for_each(|line| text.push_str(&format!("{line}\n{line}\n")));
    for order in [Order::File, Order::EventTime] {
        let settings = ScoreSettings { ruleset: Ruleset::default(), reading: Reading::default(), order, partitions: 3, threads: 1 };
        let mut out = Vec::new();
        score::run(&mut text.as_bytes(), &mut out, &mut Unkept, &settings).unwrap();
        let lines: Vec<serde_json::Value> = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect();
        let highest = lines.iter().max_by_key(|line| line["risk_score"].as_u64()).unwrap();
        for line in [highest, &lines[0], lines.last().unwrap()] {
            let id = line["transaction_id"].as_str().unwrap();
            let Sought::Found(found) = of_file(&mut text.as_bytes(), id, &settings).unwrap() else { panic!("{id} is not found") };
            let record: serde_json::Value = serde_json::from_slice(&found.record).unwrap();
            for field in ["transaction_id", "risk_score", "dimensions", "ruleset"] {
                assert_eq!(record[field], line[field], "{field} of {id}");
            }
            assert_eq!(record.get("reasons").cloned().unwrap_or_else(|| serde_json::json!([])), line["reasons"], "{id}");
            assert!(found.recomputed.equal && text.lines().nth(usize::try_from(found.line).unwrap() - 1).unwrap().contains(id));
            let provenance = Provenance::File { name: "my.ndjson", line: found.line };
            let record: ScoreRecord<'_> = serde_json::from_slice(&found.record).unwrap();
            let told = record_text(&record, provenance) + &recomputed_text(&found.recomputed, provenance);
            assert!(told.contains(&format!("line {} of my.ndjson", found.line)) && told.contains("baseline before it") && !told.contains("the log"), "{told}");
        }
        let Sought::Missing { lines, rejected, why } = of_file(&mut text.as_bytes(), "no amount", &settings).unwrap() else { panic!("a rejected line is explained") };
        assert_eq!((lines, rejected), (text.lines().count() as u64, 1));
        assert!(why.is_some_and(|why| why.starts_with("line 1: ") && why.contains("amount")));
        assert!(matches!(of_file(&mut text.as_bytes(), "nobody", &settings).unwrap(), Sought::Missing { why: None, .. }));
    }
}

#[test]
fn a_rule_without_an_answer_is_told_for_the_row() {
    let inputs = accepted();
    let ruleset =
        crate::rules::parse("metadata_keys = [\"nowhere\"]\n[[rules]]\nname = \"lost\"\nwhen = 'tx.metadata.nowhere == \"x\"'\ndimension = \"metadata\"\npoints = 5\n").unwrap();
    let stored = stored(&inputs, &ruleset);
    let record: ScoreRecord<'_> = serde_json::from_slice(&stored).unwrap();
    let again = recompute(&mut Log(inputs.into_iter()), &record, &ruleset, 500_000).unwrap().unwrap();
    assert!(again.equal, "{again:?}");
    assert_eq!(again.unanswered.iter().map(|none| none.rule.as_str()).collect::<Vec<_>>(), ["lost"]);
    assert!(recomputed_text(&again, Provenance::Log).contains("rule lost had no answer for this row"));
}
