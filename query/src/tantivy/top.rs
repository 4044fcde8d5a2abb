//! The first documents in an order.
//!
//! What must stay true: no more documents are held than are wanted, and of the others nothing is read but what they are sorted by; texts are
//! compared by their bytes, NULL stands where it is wanted.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ::tantivy::{DocId, Score};

use crate::table::Order;

/// What a document is sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rank {
    Null,
    Number(i64),
    Text(String),
    Score(Score),
}

impl Rank {
    /// Which of two comes first.
    fn against(&self, other: &Rank, by: &Order) -> Ordering {
        let nulls = |is_left: bool| if is_left == by.nulls_first { Ordering::Less } else { Ordering::Greater };
        let plain = match (self, other) {
            (Rank::Null, Rank::Null) => return Ordering::Equal,
            (Rank::Null, _) => return nulls(true),
            (_, Rank::Null) => return nulls(false),
            (Rank::Number(one), Rank::Number(other)) => one.cmp(other),
            (Rank::Text(one), Rank::Text(other)) => one.cmp(other),
            (Rank::Score(one), Rank::Score(other)) => one.total_cmp(other),
            // A column has values of one kind.
            _ => Ordering::Equal,
        };
        if by.descending { plain.reverse() } else { plain }
    }
}

/// Where a document is: the place of its segment, and its number there.
pub(super) type Place = (usize, DocId);

/// A document that may be one of the first.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    /// Its relevance, where that is computed.
    pub(super) score: Option<Score>,
    ranks: Vec<Rank>,
}

struct Held<'o> {
    found: Found,
    order: &'o [Order],
}

impl Held<'_> {
    fn against(&self, ranks: &[Rank], place: Place) -> Ordering {
        let by_ranks = self.found.ranks.iter().zip(ranks).zip(self.order).map(|((one, other), by)| one.against(other, by));
        by_ranks.fold(Ordering::Equal, Ordering::then).then(self.found.place.cmp(&place))
    }
}

impl Ord for Held<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.against(&other.found.ranks, other.found.place)
    }
}

impl PartialOrd for Held<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Held<'_> {}

/// The first documents so far, the last of them on top.
pub(super) struct First<'o> {
    order: &'o [Order],
    most: usize,
    held: BinaryHeap<Held<'o>>,
}

impl<'o> First<'o> {
    pub(super) fn new(order: &'o [Order], most: usize) -> First<'o> {
        First { order, most, held: BinaryHeap::new() }
    }

    /// Takes a document, if it is one of the first. `rank` reads what it is sorted by: only as far as it takes to tell that it is none.
    pub(super) fn offer<E>(&mut self, place: Place, score: Option<Score>, mut rank: impl FnMut(usize) -> Result<Rank, E>) -> Result<(), E> {
        let is_full = self.held.len() >= self.most;
        let mut is_ahead = !is_full;
        let mut ranks = Vec::with_capacity(self.order.len());
        for (at, by) in self.order.iter().enumerate() {
            let read = rank(at)?;
            if !is_ahead {
                let Some(last) = self.held.peek().and_then(|last| last.found.ranks.get(at)) else { return Ok(()) };
                match read.against(last, by) {
                    Ordering::Less => is_ahead = true,
                    Ordering::Equal => {}
                    Ordering::Greater => return Ok(()),
                }
            }
            ranks.push(read);
        }
        // Among those that sort alike, those that came first stay.
        if is_ahead {
            if is_full {
                self.held.pop();
            }
            self.held.push(Held { found: Found { place, score, ranks }, order: self.order });
        }
        Ok(())
    }

    /// The documents in their order.
    pub(super) fn found(self) -> Vec<Found> {
        self.held.into_sorted_vec().into_iter().map(|held| held.found).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn first(order: &[Order], most: usize, documents: &[[Rank; 2]]) -> Vec<DocId> {
        let mut first = First::new(order, most);
        for (doc, ranks) in (0..).zip(documents) {
            first.offer((0, doc), None, |at| Ok::<_, Infallible>(ranks[at].clone())).unwrap();
        }
        first.found().into_iter().map(|found| found.place.1).collect()
    }

    #[test]
    fn the_first_documents_come_in_their_order() {
        let by = |descending: bool, nulls_first: bool| Order { column: 0, descending, nulls_first };
        let text = |text: &str| Rank::Text(text.to_owned());
        let documents = [
            [Rank::Number(5), text("b")],
            [Rank::Null, text("x")],
            [Rank::Number(5), text("a")],
            [Rank::Number(-1), text("")],
            [Rank::Number(7), Rank::Null],
            [Rank::Number(5), text("é")],
        ];
        for most in 0..7 {
            let all = |order: [Order; 2], wanted: [DocId; 6]| assert_eq!(first(&order, most, &documents), wanted[..most.min(6)], "{order:?}");
            all([by(true, true), by(false, false)], [1, 4, 2, 0, 5, 3]);
            all([by(false, false), by(true, true)], [3, 5, 0, 2, 4, 1]);
        }
        let scores = [[Rank::Score(0.5), text("b")], [Rank::Score(1.5), text("c")], [Rank::Score(0.5), text("a")]];
        assert_eq!(first(&[by(true, true), by(false, false)], 2, &scores), [1, 2]);
    }

    #[test]
    fn what_cannot_be_one_of_the_first_is_read_no_further() {
        let order = [Order { column: 0, descending: false, nulls_first: false }; 2];
        let mut first = First::new(&order, 1);
        first.offer((0, 0), None, |_| Ok::<_, Infallible>(Rank::Number(1))).unwrap();
        let mut read = 0;
        first
            .offer((0, 1), None, |_| {
                read += 1;
                Ok::<_, Infallible>(Rank::Number(2))
            })
            .unwrap();
        assert_eq!(read, 1);
    }
}
