//! Writes what the combination measures of each line of a stream: what `evaluation/training/train.py` fits it on.
//!
//! `measure STREAM.ndjson > MEASURES`: for each line the measurements and how many events its user had taught, as 4-byte
//! little-endian floats. Lines that are no transactions are told on standard error and left out.

use std::io::{self, BufRead, BufReader, BufWriter, Write};

use wh_schemas::validate::{Reading, decode_transaction};
use wh_schemas::{AcceptedTransaction, ids};
use wh_scorer::engine::{Engine, Observation, Ruleset};

/// Partitions that users are spread over, as in the log.
const PARTITIONS: u32 = 3;

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| io::Error::other("name the stream: measure STREAM.ndjson"))?;
    let input = BufReader::new(std::fs::File::open(path)?);
    let mut out = BufWriter::new(io::stdout());
    let ruleset = Ruleset::default();
    let mut engines: Vec<Engine> = (0..PARTITIONS).map(|_| Engine::new(ruleset.clone())).collect();
    for (number, line) in input.lines().enumerate() {
        let line = line?;
        let transaction = match decode_transaction(line.as_bytes(), &Reading::default()) {
            Ok(transaction) => AcceptedTransaction::new(transaction),
            Err(rejection) => {
                eprintln!("line {}: {rejection}", number + 1);
                continue;
            }
        };
        let observation = Observation::of(&transaction, &ruleset);
        let Some(engine) = engines.get_mut(ids::partition_of(transaction.user_id.as_bytes(), PARTITIONS) as usize) else { continue };
        for measure in engine.measures(&observation) {
            out.write_all(&measure.to_le_bytes())?;
        }
        let learnt = engine.user(observation.user_id).map_or(0, |user| u16::try_from(user.learnt).unwrap_or(u16::MAX));
        out.write_all(&f32::from(learnt).to_le_bytes())?;
        engine.score(&observation);
    }
    out.flush()
}
