//! The fence of a partition: exactly the next `seq` is taken, a lower one is a copy, a higher one is a gap.

use wh_schemas::position::Seq;

/// What to do with a record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is the next one.
    Take,
    /// It was settled before: drop it.
    Copy,
}

/// A `seq` is missing: something between the stage that numbered and this sink lost a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected seq {expected}, found {found}: {} records are missing from the log", found - expected)]
pub struct Gap {
    /// The next one to be taken.
    pub expected: Seq,
    /// The one that was read.
    pub found: Seq,
}

/// The next `seq` of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    next: Seq,
    unreadable: u64,
}

impl Fence {
    /// Takes `next` next.
    #[must_use]
    pub fn new(next: Seq) -> Fence {
        Fence { next, unreadable: 0 }
    }

    /// Takes `next` next, behind so many buried records that could not be read.
    #[must_use]
    pub fn behind(next: Seq, unreadable: u64) -> Fence {
        Fence { next, unreadable }
    }

    /// Buried records behind the last one taken.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Every `seq` below it is settled.
    #[must_use]
    pub fn next(&self) -> Seq {
        self.next
    }

    /// A record that cannot be read was buried: it may stand for the next `seq`, as the one behind it will tell.
    pub fn bury_unreadable(&mut self) {
        self.unreadable += 1;
    }

    /// Admits a record. Seqs that unreadable records stood for are passed over; their number is the second value.
    ///
    /// # Errors
    /// A gap that unreadable records cannot explain.
    pub fn admit(&mut self, seq: Seq) -> Result<(Admission, u64), Gap> {
        if seq < self.next {
            return Ok((Admission::Copy, 0));
        }
        let missing = seq - self.next;
        if missing > self.unreadable {
            return Err(Gap { expected: self.next, found: seq });
        }
        self.unreadable = 0;
        self.next = seq + 1;
        Ok((Admission::Take, missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_dropped_and_gaps_stop() {
        let mut fence = Fence::new(5);
        assert_eq!(fence.admit(5), Ok((Admission::Take, 0)));
        assert_eq!(fence.admit(5), Ok((Admission::Copy, 0)));
        assert_eq!(fence.admit(7), Err(Gap { expected: 6, found: 7 }));
        assert_eq!(Gap { expected: 6, found: 9 }.to_string(), "expected seq 6, found 9: 3 records are missing from the log");
    }

    #[test]
    fn an_unreadable_record_explains_a_gap_of_one() {
        let mut fence = Fence::new(5);
        fence.bury_unreadable();
        assert_eq!(fence.admit(6), Ok((Admission::Take, 1)));
        assert!(fence.admit(8).is_err());
        // One that was written by a stranger stands for no seq.
        fence.bury_unreadable();
        assert_eq!(fence.admit(7), Ok((Admission::Take, 0)));
    }
}
