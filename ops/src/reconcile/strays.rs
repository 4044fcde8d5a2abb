//! Rows that stand where no range looks: in a partition that there is not, or behind all that the log has.
//!
//! What must stay true: what a sink has written and not shown yet, or shows meanwhile, is no stray: the log has its record.

use std::collections::BTreeSet;
use std::sync::Arc;

use wh_schemas::Reaction;
use wh_schemas::alert::PATTERN_ROWS;
use wh_schemas::position::Seq;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_sinks::delivery::Batch;
use wh_sinks::reconcile::{Checksum, Known, Row};
use wh_stores::clock;

use super::compare::Found;
use super::{Check, RangeResult, Told};

/// Strays that are told of one pass.
const MOST: usize = 10_000;

/// Where a partition's rows stand, and how far.
#[derive(Clone, Copy)]
struct Reach {
    topic: &'static str,
    partition: u32,
    known: Known,
}

impl Check<'_> {
    /// Looks for rows outside of every range.
    pub(super) async fn strays(&mut self) -> Result<(), Reaction> {
        let mut reaches = Vec::new();
        for (topic, partition) in self.ends.keys().copied().collect::<Vec<_>>() {
            let rows = if topic == RISK_ALERTS { PATTERN_ROWS + partition } else { partition };
            reaches.push(Reach { topic, partition, known: Known { rows, below: self.visible(topic, partition) } });
        }
        let known: Vec<Known> = reaches.iter().map(|reach| reach.known).collect();
        let candidates = self.rows.strays(&known, MOST).await?;
        let more = candidates.len() >= MOST;
        let strays = self.without_those_under_way(candidates, &reaches).await?;
        let found: Vec<Found> = strays.into_iter().map(Found::Extra).collect();
        let mut range = RangeResult { store: self.store, stream: "", stored: Checksum::default(), ..RangeResult::default() };
        range.count(&found);
        if let Some(repair) = self.repair.as_deref_mut()
            && !found.is_empty()
        {
            let rows: Vec<Row> = found.iter().map(|found| found.row().clone()).collect();
            let nothing = Batch { topic: RISK_SCORES.into(), partition: 0, records: Arc::new(Vec::new()), buried: BTreeSet::new() };
            repair.repair(&rows, nothing).await?;
            let rest = self.rows.strays(&known, MOST).await?;
            let rest = self.without_those_under_way(rest, &reaches).await?;
            range.repaired = (found.len() as u64).saturating_sub(rest.len() as u64);
        }
        if more {
            (self.tell)(Told::Note(format!("{}: more than {MOST} rows stand outside of every partition: the rest is looked at by the next run", self.store)));
        }
        self.tell_found(&found);
        self.tell_range(&range);
        Ok(())
    }

    /// Leaves out what the log has a record of behind the position that was known, and sums that are to go.
    async fn without_those_under_way(&mut self, candidates: Vec<Row>, reaches: &[Reach]) -> Result<Vec<Row>, Reaction> {
        if candidates.is_empty() {
            return Ok(candidates);
        }
        let now = clock::now().0;
        let since = if self.rows.grain() > 1 { self.rows.kept_since(now).await? } else { None };
        let mut under_way: Vec<(u32, Seq, Seq)> = Vec::new();
        for Reach { topic, partition, known } in reaches {
            let end = match self.ends.get(&(*topic, *partition)) {
                Some(cursor) => cursor.clone().end(self.log).await?,
                None => known.below,
            };
            under_way.push((known.rows, known.below, end));
        }
        let is_stray = |row: &Row| {
            let comes = under_way.iter().any(|(rows, below, end)| *rows == row.at.partition && (*below..*end).contains(&row.at.seq));
            !comes && since.is_none_or(|since| row.time >= since)
        };
        Ok(candidates.into_iter().filter(is_stray).collect())
    }
}
