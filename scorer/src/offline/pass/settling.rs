//! The calling thread's part of a pass: patterns by account, and rows that wait for them.
//!
//! What must stay true: rows leave in the order of the source; an alert stands on the row that completes it, or is counted.

use std::io;

use wh_schemas::scored::ALERT_SCORE;

use super::lane::Answer;
use super::{Fate, Passed, Row, Sharing};
use crate::offline::held::Held;
use crate::patterns::{AccountEngine, Found};

/// The calling thread's part: patterns by account, and rows that wait for them.
pub(super) struct Settling<'s, T> {
    pub(super) sharing: Sharing,
    pub(super) engines: Vec<AccountEngine>,
    pub(super) held: Held<Row<T>>,
    pub(super) found: Vec<Found>,
    pub(super) passed: Passed,
    pub(super) sink: &'s mut dyn FnMut(Row<T>) -> io::Result<()>,
}

impl<T> Settling<'_, T> {
    /// Takes what a thread answered, in the order of the source.
    pub(super) fn take(&mut self, number: u64, answer: Answer<T>) -> io::Result<()> {
        self.passed.records += 1;
        match answer {
            Answer::Other(fate) => {
                match fate {
                    Fate::Duplicate => self.passed.duplicates += 1,
                    Fate::Copy => self.passed.copies += 1,
                    Fate::Rejected { .. } => self.passed.rejected += 1,
                    Fate::Scored { .. } => {}
                }
                self.held.other(Row { number, fate });
            }
            Answer::Scored { seen, mut activity, risks } => {
                self.passed.scored += 1;
                // What is found now was completed by an earlier row, or by this one: it must wait before it is looked for.
                let mut told = Vec::new();
                for (at, engine) in self.engines.iter_mut().enumerate() {
                    let ruleset = self.sharing.accounts[at];
                    activity.risk_score = self.sharing.engine_of.get(ruleset).and_then(|engine| risks.get(*engine)).copied().unwrap_or(0);
                    engine.take(&activity, &mut self.found);
                    told.extend(self.found.drain(..).map(|found| (at, found)));
                }
                self.held.scored(*activity, Row { number, fate: Fate::Scored { seen, patterns: Vec::new() } });
                for (at, found) in told {
                    self.tell(at, found);
                }
            }
        }
        self.release()?;
        while self.held.is_crowded() {
            match self.held.give_up_a_silent_partition() {
                Some(partition) => {
                    for at in 0..self.engines.len() {
                        if let Some(engine) = self.engines.get_mut(at) {
                            engine.expect(partition, false, &mut self.found);
                        }
                        self.tell_found(at);
                    }
                    self.release()?;
                }
                None => {
                    if let Some(row) = self.held.pop() {
                        (self.sink)(row)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn tell_found(&mut self, at: usize) {
        for found in std::mem::take(&mut self.found) {
            self.tell(at, found);
        }
    }

    /// Puts an alert on the row that completes it; what is no alert is not told offline.
    fn tell(&mut self, at: usize, found: Found) {
        if found.pattern.risk_score < ALERT_SCORE {
            return;
        }
        let Some(Row { fate: Fate::Scored { patterns, .. }, .. }) = self.held.find(&found.transaction_id) else {
            self.passed.without_row += 1;
            return;
        };
        for (ruleset, account) in self.sharing.account_of.iter().enumerate() {
            if *account == at {
                patterns.push((ruleset, found.clone()));
            }
        }
    }

    fn release(&mut self) -> io::Result<()> {
        while let Some(row) = self.held.next() {
            (self.sink)(row)?;
        }
        Ok(())
    }

    /// The end: everything that waits is judged and goes on.
    pub(super) fn finish(mut self) -> io::Result<Passed> {
        for at in 0..self.engines.len() {
            if let Some(engine) = self.engines.get_mut(at) {
                engine.flush(&mut self.found);
            }
            self.tell_found(at);
        }
        while let Some(row) = self.held.pop() {
            (self.sink)(row)?;
        }
        Ok(self.passed)
    }
}
