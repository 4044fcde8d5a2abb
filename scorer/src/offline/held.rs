//! Rows that wait until no pattern by account can be completed by them any more, so that an alert stands on its line.
//!
//! The account engine judges an event once the watermark has passed it: `lateness_minutes` behind the slowest of the partitions. Here that
//! watermark is followed from outside (`patterns/watermark.rs`); a row goes on when the watermark is past its event. Rows leave in the order in which
//! they came.
//!
//! What must stay true: at most [`MOST`] rows wait, some 60 MB of output. A partition that brought none of the last [`MOST`] is no longer waited
//! for, until it brings one. Where that does not help (a row far ahead of all others), the first row goes on early; a pattern that it
//! completes after all has no line to stand on, and is counted.

use std::collections::VecDeque;

use wh_schemas::Activity;

use crate::patterns::{AccountRules, watermark};

/// Rows that wait at most.
pub const MOST: usize = 65_536;

/// The account engines' watermark as seen from outside: up to which event time they have judged. Beside each partition stands how many rows had
/// been taken when its last one came.
#[derive(Debug)]
pub(super) struct Watermark {
    judged: watermark::Watermark<u64>,
    lateness: i64,
}

impl Watermark {
    /// With every partition awaited; of several engines' rules the largest lateness, which passes last.
    pub(super) fn new(partitions: u32, rules: &[&AccountRules]) -> Watermark {
        let lateness = rules.iter().map(|rules| rules.lateness()).max().unwrap_or(0);
        let mut judged = watermark::Watermark::new();
        for partition in 0..partitions {
            judged.expect(partition, true, lateness);
        }
        Watermark { judged, lateness }
    }

    /// Takes an activity as the account engine does; its effective time, `None` where it takes part in no pattern.
    fn take(&mut self, activity: &Activity<'_>, rows: u64) -> Option<i64> {
        self.judged.take(activity, rows, self.lateness)
    }

    /// A partition that is awaited and has brought nothing for so long; it is no longer waited for.
    fn give_up_a_silent_one(&mut self, rows: u64) -> Option<u32> {
        let (silent, _) = self.judged.awaited().find(|(_, last)| rows.saturating_sub(**last) >= MOST as u64)?;
        self.judged.expect(silent, false, self.lateness);
        Some(silent)
    }
}

#[derive(Debug)]
struct Waiting<R> {
    id: Option<String>,
    until: Option<i64>,
    row: R,
}

/// The rows that wait.
#[derive(Debug)]
pub(super) struct Held<R> {
    rows: VecDeque<Waiting<R>>,
    watermark: Watermark,
    taken: u64,
}

impl<R> Held<R> {
    pub(super) fn new(watermark: Watermark) -> Held<R> {
        Held { rows: VecDeque::new(), watermark, taken: 0 }
    }

    /// Takes a scored row whose activity the account engines have just taken.
    pub(super) fn scored(&mut self, activity: Activity<'static>, row: R) {
        self.taken += 1;
        let until = self.watermark.take(&activity, self.taken);
        self.rows.push_back(Waiting { id: Some(activity.transaction_id.0.into_owned()), until, row });
    }

    /// Takes a row that was not scored: it waits for those before it only.
    pub(super) fn other(&mut self, row: R) {
        self.taken += 1;
        self.rows.push_back(Waiting { id: None, until: None, row });
    }

    /// The row of a transaction, while it waits.
    pub(super) fn find(&mut self, transaction_id: &str) -> Option<&mut R> {
        self.rows.iter_mut().find(|waiting| waiting.id.as_deref() == Some(transaction_id)).map(|waiting| &mut waiting.row)
    }

    /// The first row, where nothing can be added to it any more.
    pub(super) fn next(&mut self) -> Option<R> {
        if self.rows.front()?.until.is_some_and(|until| !self.watermark.judged.has_passed(until)) {
            return None;
        }
        self.rows.pop_front().map(|waiting| waiting.row)
    }

    /// Whether more rows wait than may.
    pub(super) fn is_crowded(&self) -> bool {
        self.rows.len() > MOST
    }

    /// The partition that is no longer waited for from now on: the account engines must be told.
    pub(super) fn give_up_a_silent_partition(&mut self) -> Option<u32> {
        self.watermark.give_up_a_silent_one(self.taken)
    }

    /// The first row, whatever may still come.
    pub(super) fn pop(&mut self) -> Option<R> {
        self.rows.pop_front().map(|waiting| waiting.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_schemas::json::Text;
    use wh_schemas::time::SECOND;
    use wh_schemas::transaction::SCHEMA_VERSION;
    use wh_schemas::{Cents, Micros, TransactionType};

    fn activity(number: u64, partition: u32, minute: i64) -> Activity<'static> {
        Activity {
            schema_version: SCHEMA_VERSION,
            transaction_id: Text::from(number.to_string()),
            timestamp: Micros(minute * 60 * SECOND),
            user_id: Text::from("u"),
            account_id: Text::from("a"),
            counterparty_account: None,
            department: Text::from("IT"),
            transaction_type: TransactionType::Payment,
            amount: Cents(100),
            risk_score: 0,
            partition,
            seq: number,
            stream_time: Micros(minute * 60 * SECOND),
            implausible: false,
        }
    }

    fn held(partitions: u32) -> Held<u64> {
        Held::new(Watermark::new(partitions, &[&AccountRules { lateness_minutes: 15, ..AccountRules::default() }]))
    }

    #[test]
    fn a_row_waits_for_the_slowest_partition_and_the_lateness_and_leaves_in_order() {
        let mut held = held(2);
        held.scored(activity(0, 0, 100), 0);
        held.other(1);
        held.scored(activity(2, 0, 200), 2);
        assert_eq!(held.next(), None, "partition 1 may still bring an earlier one");
        held.scored(activity(3, 1, 115), 3);
        assert_eq!(held.next(), None, "at the watermark another may still come");
        held.scored(activity(4, 1, 116), 4);
        assert_eq!((held.next(), held.next(), held.next()), (Some(0), Some(1), None));
        assert_eq!(held.find("2"), Some(&mut 2));
        assert_eq!(held.find("0"), None);
    }

    #[test]
    fn a_partition_that_brings_nothing_holds_a_bounded_number_of_rows_back() {
        let mut held = held(3);
        let mut left = 0_u64;
        for number in 0..2 * MOST as u64 {
            held.scored(activity(number, 0, i64::try_from(number).unwrap()), number);
            if held.is_crowded() {
                // The two that are silent.
                assert!(held.give_up_a_silent_partition().is_some() && held.give_up_a_silent_partition().is_some());
                assert_eq!(held.give_up_a_silent_partition(), None);
            }
            while let Some(row) = held.next() {
                assert_eq!(row, left);
                left += 1;
            }
            assert!(held.rows.len() <= MOST);
        }
        assert_eq!(left, 2 * MOST as u64 - 16, "those of the last 15 minutes wait");
    }
}
