//! A transaction of a file, explained without a log: the file is scored from an empty state up to it, as `wardhouse score` does.
//!
//! What must stay true: score, dimensions and reasons are those of the transaction's line in `wardhouse score` with the same settings.

use std::io::{self, BufRead};

use hashbrown::HashMap;
use serde::Deserialize;
use wh_schemas::AcceptedTransaction;
use wh_schemas::json::Text;
use wh_schemas::position::{SeqPosition, Source as Origin};
use wh_schemas::validate::decode_transaction;

use super::walk::{Habits, Walk};
use super::{Before, Recomputed, explained};
use crate::dedup::DEFAULT_HORIZON;
use crate::engine::Observation;
use crate::offline::pass::lane_of;
use crate::offline::score::{Order, ScoreSettings};
use crate::offline::source::{Lines, Sorted, Source};
use crate::output::{self, Context};

/// A transaction of a file, explained.
#[derive(Clone, Debug)]
pub struct FromFile {
    /// Its line, from one on.
    pub line: u64,
    /// Its record as `risk-scores` would hold it, in JSON.
    pub record: Vec<u8>,
    /// The baseline before it, and what would have changed its level.
    pub recomputed: Recomputed,
}

/// What was found of a transaction in a file.
#[derive(Clone, Debug)]
pub enum Sought {
    /// It is there.
    Found(Box<FromFile>),
    /// No line that can be scored has its id.
    Missing {
        /// Lines that were read.
        lines: u64,
        /// Of them rejected.
        rejected: u64,
        /// Where a line with its id was rejected: which, and why.
        why: Option<String>,
    },
}

/// Scores the lines of `input` up to a transaction. Threads are not used: the state before it is what is asked for.
///
/// # Errors
/// Where the input cannot be read.
pub fn of_file(input: &mut dyn BufRead, transaction_id: &str, settings: &ScoreSettings) -> io::Result<Sought> {
    let mut lines = Lines::new(input);
    match settings.order {
        Order::File => sought(&mut lines, transaction_id, settings),
        Order::EventTime => sought(&mut Sorted::new(&mut lines, &settings.reading)?, transaction_id, settings),
    }
}

fn sought(source: &mut dyn Source, transaction_id: &str, settings: &ScoreSettings) -> io::Result<Sought> {
    let partitions = settings.partitions.max(1);
    let mut walks: Vec<Walk> = (0..partitions).map(|_| Walk::new(&settings.ruleset, DEFAULT_HORIZON)).collect();
    // Whose transaction it is, is not known before it comes.
    let mut habits: HashMap<String, Habits> = HashMap::new();
    let (mut lines, mut rejected, mut why) = (0, 0, None);
    loop {
        let inputs = source.read(1_024)?;
        if inputs.is_empty() {
            return Ok(Sought::Missing { lines, rejected, why });
        }
        for input in inputs {
            lines += 1;
            let transaction = match decode_transaction(&input.text, &settings.reading) {
                Ok(transaction) => AcceptedTransaction::new(transaction),
                Err(rejection) => {
                    rejected += 1;
                    if names(&input.text, transaction_id) {
                        why = Some(format!("line {}: {rejection}", input.number));
                    }
                    continue;
                }
            };
            let partition = lane_of(&input, partitions);
            let Some(walk) = walks.get_mut(partition as usize) else { continue };
            if !walk.is_new(&transaction) {
                continue;
            }
            let observation = Observation::of(&transaction, walk.engine.ruleset());
            let user = transaction.user_id.as_str();
            if transaction.transaction_id.as_str() == transaction_id {
                let none = Habits::default();
                let habits = habits.get(user).unwrap_or(&none);
                let position = SeqPosition { partition, seq: walk.before };
                return Ok(Sought::Found(Box::new(found(walk, &transaction, observation, habits, position, input.number)?)));
            }
            match habits.get_mut(user) {
                Some(habits) => habits.learn(&transaction, &observation),
                None => {
                    let mut first = Habits::default();
                    first.learn(&transaction, &observation);
                    habits.insert(user.to_owned(), first);
                }
            }
            walk.pass(&observation);
        }
    }
}

fn found(walk: &Walk, transaction: &AcceptedTransaction<'_>, observation: Observation<'_>, habits: &Habits, position: SeqPosition, line: u64) -> io::Result<FromFile> {
    let ruleset = walk.engine.ruleset();
    let hash = ruleset.content_hash();
    let before = Before { user: walk.engine.user(observation.user_id).cloned(), observation: observation.clone(), engine: &walk.engine, habits };
    let score = before.score(&observation, ruleset);
    let context = Context { position, source: Origin { partition: position.partition, offset: line }, ruleset: &hash, state_epoch: 0 };
    let record = output::scored(transaction.clone(), score, &context);
    let recomputed = explained(walk, observation, habits, &record);
    Ok(FromFile { line, record: serde_json::to_vec(&record)?, recomputed })
}

/// Whether a line that cannot be scored has this id all the same.
fn names(text: &[u8], transaction_id: &str) -> bool {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        transaction_id: Text<'a>,
    }
    serde_json::from_slice::<Named<'_>>(text).is_ok_and(|named| named.transaction_id.as_str() == transaction_id)
}
