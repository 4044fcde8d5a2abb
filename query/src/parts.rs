//! Who of the parts of a divided scan reads what, once it is known what a join has learnt.
//!
//! A list of keys finds few rows by an index. Asked by each part, the store would look up every one of them as often as there are parts.
//!
//! What must stay true: it is decided once for all parts of a scan, by whichever begins first, so that together they read every row once,
//! whatever each of them knows.

use std::sync::OnceLock;

use crate::predicate::Predicate;

/// The least share of the rows for which a scan is divided.
pub(crate) const DIVIDED_SHARE: f64 = 0.25;

/// What one part reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Its own keys.
    Share,
    /// All keys.
    All,
    /// Nothing: another part reads all.
    Nothing,
}

/// The decision, made when the first part begins.
#[derive(Debug, Default)]
pub(crate) struct Turns(OnceLock<bool>);

impl Turns {
    /// What `part` reads; `is_few` tells whether what is known now leaves so little that one part reads all.
    pub(crate) fn of(&self, part: usize, is_few: impl FnOnce() -> bool) -> Turn {
        match (*self.0.get_or_init(is_few), part) {
            (false, _) => Turn::Share,
            (true, 0) => Turn::All,
            (true, _) => Turn::Nothing,
        }
    }
}

/// Whether lists that a join has learnt leave few of the rows. `unique` tells the columns whose values are all different.
pub(crate) fn leave_few(rows: usize, late: &[Predicate], unique: &dyn Fn(usize) -> bool) -> bool {
    let lists = late.iter().filter(|late| matches!(late, Predicate::In { .. }));
    lists.map(|list| list.selectivity(rows as f64, unique)).product::<f64>() < DIVIDED_SHARE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::{Op, Value};

    #[test]
    fn the_first_that_begins_decides_for_all() {
        let turns = Turns::default();
        assert_eq!(turns.of(1, || true), Turn::Nothing);
        assert_eq!((turns.of(0, || false), turns.of(2, || false)), (Turn::All, Turn::Nothing));
        let turns = Turns::default();
        assert_eq!((turns.of(0, || false), turns.of(1, || true)), (Turn::Share, Turn::Share));
    }

    #[test]
    fn a_list_of_keys_leaves_few_rows_and_bounds_do_not() {
        let list = |column: usize, values: i64| Predicate::In { column, values: (0..values).map(Value::Int).collect() };
        let bound = Predicate::Compare { column: 0, op: Op::GtEq, value: Value::Int(7) };
        let few = |late: &[Predicate]| leave_few(1_000_000, late, &|column| column == 0);
        assert!(few(&[list(0, 4_000)]) && few(&[bound.clone(), list(1, 4)]));
        assert!(!few(&[list(1, 5)]) && !few(&[bound]) && !few(&[]));
    }
}
