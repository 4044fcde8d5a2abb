//! Which positions of a partition are settled: rows are settled in any order, a position advances over the contiguous prefix only.
//!
//! A [`Token`] stands for one row. Dropping it without settling counts as not settled: the prefix stays before it.

use std::collections::VecDeque;

use crate::Offset;

/// The rows of one partition that are on their way.
#[derive(Debug, Default)]
pub struct Prefix {
    /// The offset behind the last row that was taken in.
    next: Offset,
    /// In order of their offsets, and whether they are settled. What stands before the first that is not is forgotten.
    rows: VecDeque<(Offset, bool)>,
}

/// One row on its way.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a token that is dropped counts as not settled"]
pub struct Token(Offset);

impl Prefix {
    /// Nothing on its way; the next row has the offset `next`.
    #[must_use]
    pub fn starting_at(next: Offset) -> Prefix {
        Prefix { next, rows: VecDeque::new() }
    }

    /// Takes the next row in. Offsets between, which the log left out, count as settled. `None` for one that was taken before.
    pub fn take(&mut self, offset: Offset) -> Option<Token> {
        if offset < self.next {
            return None;
        }
        self.next = offset + 1;
        self.rows.push_back((offset, false));
        Some(Token(offset))
    }

    /// The row is in its store, or in the dead letters.
    pub fn settle(&mut self, token: Token) {
        let Token(offset) = token;
        if let Ok(at) = self.rows.binary_search_by_key(&offset, |(offset, _)| *offset)
            && let Some((_, settled)) = self.rows.get_mut(at)
        {
            *settled = true;
        }
        while let Some((_, true)) = self.rows.front() {
            self.rows.pop_front();
        }
    }

    /// The offset up to which every row is settled: what may be committed.
    #[must_use]
    pub fn settled(&self) -> Offset {
        self.rows.front().map_or(self.next, |(offset, _)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_dropped_token_holds_the_position_back() {
        let mut prefix = Prefix::starting_at(5);
        let lost = prefix.take(5).unwrap();
        let kept = prefix.take(6).unwrap();
        drop(lost);
        prefix.settle(kept);
        assert_eq!(prefix.settled(), 5);
        assert!(prefix.take(6).is_none());
    }

    #[test]
    fn offsets_that_the_log_left_out_take_no_room() {
        let mut prefix = Prefix::starting_at(0);
        let first = prefix.take(u64::MAX / 2).unwrap();
        assert_eq!((prefix.settled(), prefix.rows.len()), (u64::MAX / 2, 1));
        prefix.settle(first);
        assert_eq!(prefix.settled(), u64::MAX / 2 + 1);
    }

    proptest! {
        #[test]
        fn the_position_is_the_first_row_not_settled(start in 0u64..100, gaps in proptest::collection::vec(0u64..3, 1..60), order: prop::sample::Index, skip in proptest::collection::vec(any::<bool>(), 60)) {
            let mut prefix = Prefix::starting_at(start);
            let mut offset = start;
            let mut tokens = Vec::new();
            for gap in &gaps {
                offset += gap;
                tokens.push((offset, prefix.take(offset).unwrap()));
                offset += 1;
            }
            let turn = order.index(tokens.len());
            tokens.rotate_left(turn);
            let mut open = Vec::new();
            for (i, (offset, token)) in tokens.into_iter().enumerate() {
                if skip[i] { open.push(offset); } else { prefix.settle(token); }
            }
            prop_assert_eq!(prefix.settled(), open.into_iter().min().unwrap_or(offset));
        }
    }
}
