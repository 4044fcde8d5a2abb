//! Where an embedded store that holds nothing yet begins.

use std::path::Path;

use rusqlite::{TransactionBehavior, params};
use wh_schemas::Reaction;
use wh_schemas::layout::Layout;
use wh_stores::sqlite;

use super::file::{self, Failure};
use crate::delivery::StorePosition;
use crate::delivery::walk::{Halt, stream_of};

/// Lets a store begin at these positions, by topic.
///
/// # Errors
/// Fatal where it has a position in any of them already, or cannot be written.
pub fn begin(path: &Path, layout: &Layout, positions: &[(&str, Vec<StorePosition>)]) -> Result<(), Reaction> {
    let mut connection = sqlite::open_writer(path, layout, sqlite::Settings::default())?;
    let mut work = || -> Result<(), Failure> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (topic, places) in positions {
            let stream = stream_of(topic);
            let held: i64 = transaction.query_row("SELECT count(*) FROM positions WHERE stream = ?1", params![stream], |row| row.get(0))?;
            if held > 0 {
                let told = format!("{}: {} has a position in {topic} already: a store begins once", layout.role, path.display());
                return Err(Failure::Halt(Halt::Reaction(Reaction::fatal(told))));
            }
            for place in places {
                file::publish(&transaction, stream, place)?;
            }
        }
        transaction.commit()?;
        Ok(())
    };
    work().map_err(|failure| match failure {
        Failure::Sqlite(error) => sqlite::reaction(layout.role, path, &error),
        Failure::Halt(Halt::Reaction(reaction)) => reaction,
        Failure::Halt(Halt::Refused(refused)) => Reaction::fatal(refused.message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_schemas::layout::DOCUMENTS;
    use wh_schemas::topics::RISK_SCORES;

    #[test]
    fn a_store_begins_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("documents.db");
        let place = StorePosition { partition: 1, next_seq: 7, next_offset: 9, visible_seq: 7, visible_offset: 9, ..StorePosition::default() };
        begin(&path, &DOCUMENTS, &[(RISK_SCORES, vec![place])]).unwrap();
        assert_eq!(file::read_positions(&path, &DOCUMENTS, "scorer").unwrap(), [place]);
        let again = begin(&path, &DOCUMENTS, &[(RISK_SCORES, vec![place])]).unwrap_err();
        assert!(again.to_string().contains("begins once"), "{again}");
    }
}
