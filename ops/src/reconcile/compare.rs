//! Two sets of rows, compared. Pure.
//!
//! What must stay true: a row is told at most once; of rows at one place those that are equal belong together, so that one that is there twice is told
//! as one too many.

use std::collections::BTreeMap;

use wh_schemas::position::SeqPosition;
use wh_sinks::reconcile::{Checksum, Row};

/// A row that is not as the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The store has it not.
    Missing(Row),
    /// The log has it not.
    Extra(Row),
    /// They are not the same.
    Different {
        /// As the log says.
        expected: Row,
        /// As the store has it.
        stored: Row,
    },
}

impl Found {
    /// The row that tells what it is about.
    pub(super) fn row(&self) -> &Row {
        match self {
            Found::Missing(row) | Found::Extra(row) | Found::Different { expected: row, .. } => row,
        }
    }
}

/// What a comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) expected: Checksum,
    pub(super) stored: Checksum,
    pub(super) found: Vec<Found>,
}

/// What tells rows from each other.
type Place = (&'static str, SeqPosition, String);

fn place(row: &Row) -> Place {
    (row.table, row.at, row.key.clone())
}

/// Compares rows. Where number and checksum agree, no row is looked at by itself.
pub(super) fn compare(expected: Vec<Row>, stored: Vec<Row>) -> Compared {
    let (wanted, held) = (Checksum::of(&expected), Checksum::of(&stored));
    let found = if wanted == held { Vec::new() } else { differing(expected, stored) };
    Compared { expected: wanted, stored: held, found }
}

fn differing(expected: Vec<Row>, stored: Vec<Row>) -> Vec<Found> {
    let mut places: BTreeMap<Place, (Vec<Row>, Vec<Row>)> = BTreeMap::new();
    for row in expected {
        places.entry(place(&row)).or_default().0.push(row);
    }
    for row in stored {
        places.entry(place(&row)).or_default().1.push(row);
    }
    let mut found = Vec::new();
    for (mut expected, mut stored) in places.into_values() {
        expected.retain(|row| match stored.iter().position(|held| held.has_fields_of(row)) {
            Some(at) => {
                stored.swap_remove(at);
                false
            }
            None => true,
        });
        let mut stored = stored.into_iter();
        for expected in expected {
            found.push(match stored.next() {
                Some(stored) => Found::Different { expected, stored },
                None => Found::Missing(expected),
            });
        }
        found.extend(stored.map(Found::Extra));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u64, key: &str, value: &str) -> Row {
        let mut row = Row::new("t", SeqPosition { partition: 0, seq }, vec![("v".into(), Some(value.to_owned()))]);
        key.clone_into(&mut row.key);
        row
    }

    fn told(found: &[Found]) -> Vec<String> {
        let tell = |found: &Found| match found {
            Found::Missing(row) => format!("missing {}", row.at.seq),
            Found::Extra(row) => format!("extra {} {}", row.at.seq, row.field("v").unwrap_or_default()),
            Found::Different { expected, stored } => format!("different {} {}", expected.at.seq, stored.field("v").unwrap_or_default()),
        };
        found.iter().map(tell).collect()
    }

    #[test]
    fn equal_rows_in_any_order_are_equal() {
        let rows = vec![row(1, "", "a"), row(2, "", "b"), row(3, "x", "c")];
        let compared = compare(rows.clone(), rows.iter().rev().cloned().collect());
        assert_eq!((compared.found.len(), compared.expected, compared.expected.rows), (0, compared.stored, 3));
    }

    #[test]
    fn what_is_missing_extra_and_different_is_told_once() {
        let expected = vec![row(1, "", "a"), row(2, "", "b"), row(3, "", "c")];
        let stored = vec![row(1, "", "a"), row(2, "", "B"), row(4, "", "d"), row(1, "", "a")];
        assert_eq!(told(&compare(expected, stored).found), ["extra 1 a", "different 2 B", "missing 3", "extra 4 d"]);
    }

    #[test]
    fn of_two_at_one_place_the_one_that_belongs_there_stays() {
        assert_eq!(told(&compare(vec![row(1, "", "a")], vec![row(1, "", "x"), row(1, "", "a")]).found), ["extra 1 x"]);
    }
}
