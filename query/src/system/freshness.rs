//! How far each store has come, and how far behind the stage that emits its stream that is.

use wh_schemas::position::{LOG_STREAM, WITNESS_STREAM};

use super::Own;
use crate::places::Stores;
use crate::positions::Position;

/// The rows of `system.freshness`, by store, stream and partition.
pub(super) fn rows(stores: &Stores) -> Vec<Vec<Own>> {
    let scorer = stores.baselines.reached().unwrap_or_default();
    let patterns = stores.baselines.patterns().unwrap_or_default();
    let published = [("ledger", &stores.ledger), ("documents", &stores.documents), ("metrics", &stores.metrics), ("search", &stores.search)];
    let mut rows = Vec::new();
    for (store, published) in published {
        // Which log the positions are of, and what was taken from it last, is no position.
        for position in published.positions().unwrap_or_default().into_iter().filter(|position| ![LOG_STREAM, WITNESS_STREAM].contains(&position.stream.as_str())) {
            let reached = match position.stream.as_str() {
                "scorer" => scorer.get(&position.partition).copied(),
                // The stream has one partition; of the others of its topic a sink publishes too that it has come through.
                "patterns" if position.partition == 0 => patterns,
                _ => None,
            };
            // A sink may be ahead of the checkpoint: what is emitted is durable before it is checkpointed.
            let lag = reached.map_or(Own::Null, |reached| Own::Int((reached - position.next_seq).max(0)));
            rows.push(row(store, position, lag));
        }
    }
    rows
}

fn row(store: &str, position: Position, lag: Own) -> Vec<Own> {
    vec![
        Own::Text(store.to_owned()),
        Own::Text(position.stream),
        Own::Int(position.partition),
        Own::Int(position.next_seq),
        Own::Int(position.updated_at),
        Own::Int(position.stored),
        Own::Int(position.duplicates),
        Own::Int(position.dead_letters),
        Own::Int(position.discarded),
        lag,
    ]
}
