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
    assert!(recomputed_text(&again).contains("the same score") && record_text(&record).contains(&format!("= {}", again.risk_score)));

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
