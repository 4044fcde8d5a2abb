//! How large a user's state is when serialised, and what it gives up where it would be too large.
//!
//! An ordinary user stays far below the bound. One with a row a minute, long ids, many keys and many parties gives up, in this order, what a
//! score needs least: how exactly the older events of the day are counted, names of old rows, old amounts, old parties.
//!
//! What must stay true: it is done as the state goes on, and by the state alone; so a state that was written and read back goes on as the one in
//! memory does. It ends below the bound whatever came.

use super::UserState;
use crate::engine::encoded::{length, signed, varint};

/// Bytes that a user's state has at most when serialised, its version included.
pub const MOST_BYTES: usize = 4_096;

/// One step of giving up: whether there was something.
type Step = fn(&mut UserState) -> bool;

/// What is given up, one thing at a time, each as long as it goes.
const STEPS: [Step; 14] = [
    |user| user.window.coarsen(64),
    |user| user.recent.forget_name(8),
    |user| user.repeats.forget_oldest(44),
    |user| user.counterparties.forget_oldest(16),
    |user| user.recent.forget_oldest(14),
    |user| user.window.coarsen(1),
    |user| user.recent.forget_name(0),
    |user| user.repeats.forget_oldest(0),
    |user| user.forget_a_value(1),
    |user| user.quarantined.len() > 16 && user.forget_a_quarantined(),
    |user| user.counterparties.forget_oldest(4),
    |user| user.recent.forget_oldest(0),
    |user| user.window.forget_oldest(32),
    |user| user.accounts.forget_oldest(4),
];

impl UserState {
    /// Gives up what does not fit.
    pub(super) fn fit(&mut self) {
        let mut bytes = self.bytes();
        for step in STEPS {
            while bytes > MOST_BYTES && step(self) {
                bytes = self.bytes();
            }
        }
    }

    /// Forgets the oldest value of the metadata key that has most, the first of equals, where it has more than `keep`.
    fn forget_a_value(&mut self, keep: usize) -> bool {
        let most = self.metadata.iter().map(|keyed| keyed.values.distinct()).max().unwrap_or(0);
        self.metadata.iter_mut().find(|keyed| keyed.values.distinct() == most).is_some_and(|keyed| keyed.values.forget_oldest(keep))
    }

    fn forget_a_quarantined(&mut self) -> bool {
        self.quarantined.remove(0);
        true
    }

    /// Bytes when serialised, the version included: what [`UserState::to_bytes`] writes.
    #[must_use]
    pub(in crate::engine) fn bytes(&self) -> usize {
        let counts = varint(self.events) + varint(self.alerts) + varint(self.touched) + varint(self.learnt);
        let times = signed(self.first) + signed(self.last) + signed(self.woke);
        let amounts: usize = self.amounts.iter().map(|amounts| amounts.bytes()).sum();
        let types: usize = self.types.iter().map(|count| varint((*count).into())).sum();
        let bursts = self.bursts.len() + self.bursts_today.len();
        let parties = self.accounts.bytes() + self.counterparties.bytes();
        let known = self.kinds.bytes() + self.departments.bytes() + self.prices.bytes();
        let home = length(self.home_department.len()) + self.home_department.len();
        let metadata = length(self.metadata.len()) + self.metadata.iter().map(|keyed| 4 + keyed.values.bytes()).sum::<usize>();
        // The sum and the two faded counts of 8 bytes; gap, rates, points, heat and freshness of 4.
        let numbers = 3 * 8 + 4 * (1 + 2 * self.rates.len() + 2 + 1 + 1);
        let memories = self.window.bytes() + self.hours.bytes() + self.repeats.bytes() + self.recent.bytes();
        let quarantined = length(self.quarantined.len()) + 4 * self.quarantined.len();
        let waiting = 1 + self.waiting.as_ref().map_or(0, |waiting| waiting.bytes());
        1 + counts + times + amounts + types + bursts + parties + known + home + metadata + numbers + memories + quarantined + waiting
    }
}
