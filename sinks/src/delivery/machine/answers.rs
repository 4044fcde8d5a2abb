//! What an answer changes. Pure.
//!
//! What must stay true: an answer whose ticket is no longer waited for, or whose rows were read under an earlier epoch, settles nothing; a
//! failure that is not a row's buries none; what ends the stage is the only error.

use std::collections::BTreeMap;
use std::sync::Arc;

use wh_eventlog::Bounds;
use wh_schemas::Reaction;

use super::partition::Piece;
use super::placing::judge;
use super::protocol::{Answer, Letter, Moment, Order, Place, Ticket};
use super::{Burial, Call, LogCall, Machine, Newcomer};
use crate::delivery::{StorePosition, Written};

/// Class of a row that a store refuses without saying so itself: it was found by halving its batch.
const ALONE: &str = "row:rejected";

impl Machine {
    /// A task came to its end.
    ///
    /// # Errors
    /// What ends the stage.
    pub fn answered(&mut self, ticket: Ticket, answer: Answer, now: Moment) -> Result<(), Reaction> {
        if let Some((_, call)) = self.log_call.take_if(|(waited_for, _)| *waited_for == ticket) {
            return match (call, answer) {
                (LogCall::Register(newcomers), Answer::Committed(result)) => self.registered(newcomers, result, now),
                (LogCall::Commit(commits), Answer::Committed(result)) => self.committed(commits, result),
                (_, answer) => Err(mistaken(&answer)),
            };
        }
        let Some((_, call)) = self.call.take_if(|(waited_for, _)| *waited_for == ticket) else { return Ok(()) };
        match (call, answer) {
            (Call::Ask { topic }, Answer::Stands { positions, bound, bounds }) => self.stands(&topic, positions, bound, bounds, now),
            (Call::Bind, Answer::Bound(result)) => self.bound(result, now),
            (Call::Write { place, epoch, piece, begun }, Answer::Wrote(result)) => self.wrote(place, epoch, piece, begun, result, now),
            (Call::Bury(burial), Answer::Buried(result)) => self.buried(burial, result, now),
            (Call::Publish, Answer::Published(result)) => self.published(result, now),
            (Call::Retain, Answer::Retained(result)) => self.retained(result, now),
            (_, answer) => Err(mistaken(&answer)),
        }
    }

    fn stands(
        &mut self,
        topic: &Arc<str>,
        positions: Result<Vec<StorePosition>, Reaction>,
        bound: bool,
        bounds: Result<BTreeMap<u32, Bounds>, Reaction>,
        now: Moment,
    ) -> Result<(), Reaction> {
        let positions = match positions {
            Ok(positions) => positions,
            Err(Reaction::Transient { retry_after, .. }) => {
                self.breaker.failed(now, retry_after);
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        self.breaker.answered();
        self.bound = bound;
        let bounds = match bounds {
            Ok(bounds) => bounds,
            Err(Reaction::Transient { retry_after, .. }) => {
                self.log_not_before = now + self.log_backoff.wait(retry_after);
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        self.log_backoff.reset();
        for (place, partition) in self.partitions.iter_mut().filter(|((of, _), partition)| of == topic && !partition.placed) {
            // One that was assigned meanwhile is asked for next.
            let Some(bounds) = bounds.get(&place.1).copied() else { continue };
            let position = positions.iter().find(|position| position.partition == place.1).copied();
            let position = position.unwrap_or(StorePosition { partition: place.1, ..StorePosition::default() });
            judge(self.role, place, &position, bounds, partition.committed.is_some() || bound)?;
            let Some(committed) = partition.committed else {
                // The log's first record, but for a store that keeps its mark and has come further: another member was first.
                let start = if position.next_offset > 0 { position.next_offset } else { bounds.start };
                self.newcomers.push(Newcomer { place: place.clone(), epoch: partition.epoch, position, start });
                continue;
            };
            if position.next_offset > committed {
                // Who wrote it was gone before it committed.
                self.commits.insert(place.clone(), position.next_offset);
            }
            partition.place(position.next_offset);
            self.orders.push(Order::Placed(place.clone(), position));
        }
        Ok(())
    }

    fn bound(&mut self, result: Result<(), Reaction>, now: Moment) -> Result<(), Reaction> {
        match result {
            Ok(()) => {
                self.bound = true;
                Ok(())
            }
            Err(Reaction::Transient { retry_after, .. }) => {
                if self.breaker.failed(now, retry_after) {
                    self.put_aside();
                }
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    fn registered(&mut self, newcomers: Vec<Newcomer>, result: Result<(), Reaction>, now: Moment) -> Result<(), Reaction> {
        match result {
            Ok(()) => {
                for Newcomer { place, epoch, position, start } in newcomers {
                    if let Some(partition) = self.partitions.get_mut(&place).filter(|partition| partition.epoch == epoch) {
                        partition.committed = Some(start);
                        partition.place(position.next_offset);
                        self.orders.push(Order::Placed(place, position));
                    }
                }
                Ok(())
            }
            // They are not placed: the store is asked again.
            Err(Reaction::Transient { retry_after, .. }) => {
                self.log_not_before = now + self.log_backoff.wait(retry_after);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    fn committed(&mut self, commits: BTreeMap<Place, u64>, result: Result<(), Reaction>) -> Result<(), Reaction> {
        match result {
            Ok(()) => Ok(()),
            // The store's own position is what counts; the log's note may be late.
            Err(Reaction::Transient { .. }) => {
                for (place, next_offset) in commits {
                    if self.partitions.contains_key(&place) {
                        self.commits.entry(place).or_insert(next_offset);
                    }
                }
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    fn wrote(&mut self, place: Place, epoch: u64, piece: Piece, begun: Moment, result: Result<Written, Reaction>, now: Moment) -> Result<(), Reaction> {
        let current = self.is_current(&place, epoch);
        match result {
            Err(Reaction::Transient { retry_after, .. }) => {
                if self.breaker.failed(now, retry_after) {
                    // A store that has gone back, or was gone on with by another, takes no batch from here: it is asked where it stands.
                    self.put_aside();
                } else if current {
                    self.give_back(&place, piece);
                }
                Ok(())
            }
            Err(Reaction::Fatal(message)) => Err(Reaction::Fatal(message)),
            // Read under an epoch that is over: its rows are read again, here or elsewhere.
            _ if !current => Ok(()),
            Err(Reaction::Rejected(message)) => self.divide(place, epoch, piece, message),
            Ok(Written::Done { position, .. }) => {
                self.unpublished_since.get_or_insert(begun);
                let unpublished = self.unpublished.entry(place).or_default();
                unpublished.position = position;
                // What the store does not count as taken keeps its token from being settled, whatever it says of the batch.
                let reached = position.next_offset.max(position.visible_offset);
                let taken = piece.records.iter().zip(piece.tokens).filter(|(record, _)| record.offset < reached).map(|(_, token)| token);
                unpublished.tokens.extend(taken);
                Ok(())
            }
            Ok(Written::Refused { offset, position, class, message }) => {
                let Some(record) = piece.records.iter().find(|record| record.offset == offset).cloned() else {
                    return Err(Reaction::fatal(format!("{} refused a record (offset {offset}) that was not in its batch", self.role)));
                };
                if piece.buried.contains(&offset) {
                    return Err(Reaction::fatal(format!("{} refused a record (offset {offset}) that the dead letters hold: {message}", self.role)));
                }
                let letter = Letter { topic: Arc::clone(&place.0), partition: place.1, record, position, class, message, attempts: piece.attempts };
                self.burial = Some(Burial { place, epoch, piece, letter });
                Ok(())
            }
        }
    }

    /// Halves a batch that a store refuses as a whole, until the row stands alone that it is refused for.
    fn divide(&mut self, place: Place, epoch: u64, piece: Piece, message: String) -> Result<(), Reaction> {
        let open = piece.open();
        match open.as_slice() {
            [] => Err(Reaction::fatal(format!("{message}; every record of the batch is in the dead letters already, so that none explains it"))),
            [alone] => {
                let Some(record) = piece.records.get(*alone).cloned() else { return Ok(()) };
                let letter = Letter { topic: Arc::clone(&place.0), partition: place.1, record, position: None, class: ALONE.to_owned(), message, attempts: piece.attempts };
                self.burial = Some(Burial { place, epoch, piece, letter });
                Ok(())
            }
            several => {
                let (front, back) = piece.split(several.get(several.len() / 2).copied().unwrap_or(1));
                self.give_back(&place, back);
                self.give_back(&place, front);
                Ok(())
            }
        }
    }

    fn buried(&mut self, burial: Burial, result: Result<(), Reaction>, now: Moment) -> Result<(), Reaction> {
        match result {
            Ok(()) => {
                self.log_backoff.reset();
                if self.is_current(&burial.place, burial.epoch) {
                    let Burial { place, mut piece, letter, .. } = burial;
                    piece.buried.insert(letter.record.offset);
                    self.give_back(&place, piece);
                }
                Ok(())
            }
            // It stalls its stage; it is never skipped.
            Err(Reaction::Transient { retry_after, .. }) => {
                self.log_not_before = now + self.log_backoff.wait(retry_after);
                self.burial = Some(burial);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    fn published(&mut self, result: Result<(), Reaction>, now: Moment) -> Result<(), Reaction> {
        self.unpublished_since = None;
        let published = std::mem::take(&mut self.unpublished);
        match result {
            Ok(()) => {
                self.breaker.succeeded();
                for (place, written) in published {
                    let Some(partition) = self.partitions.get_mut(&place) else { continue };
                    for token in written.tokens {
                        partition.prefix.settle(token);
                    }
                    // The store's own word may be behind, by an open block; it may be ahead, by what another member wrote.
                    self.commits.insert(place.clone(), partition.prefix.settled().min(written.position.next_offset));
                    self.orders.push(Order::Visible(place, written.position));
                }
                Ok(())
            }
            // What was not made visible may be given up by the store: it is read again from where the store says.
            Err(Reaction::Transient { retry_after, .. }) => {
                self.breaker.failed(now, retry_after);
                self.put_aside();
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    fn retained(&mut self, result: Result<bool, Reaction>, now: Moment) -> Result<(), Reaction> {
        match result {
            Ok(true) => {
                self.retain_at = self.retain_at.min(now + self.limits.retain_again);
                Ok(())
            }
            // It is tried again when it is due; what else the store is asked for tells whether it is away.
            Ok(false) | Err(Reaction::Transient { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }
}

/// A driver that answers another question than it was asked would settle what is not.
fn mistaken(answer: &Answer) -> Reaction {
    let word = match answer {
        Answer::Stands { .. } => "where the store stands",
        Answer::Bound(_) => "about the log's mark",
        Answer::Wrote(_) => "how a write ended",
        Answer::Buried(_) => "about a dead letter",
        Answer::Published(_) => "about what is visible",
        Answer::Committed(_) => "about a commit",
        Answer::Retained(_) => "about retention",
    };
    Reaction::fatal(format!("the delivery machine was told {word}, which it had not asked; this is a fault of Wardhouse"))
}
