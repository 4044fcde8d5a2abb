//! `reconcile`: proves a store equal to the log, or says where it is not, and puts it right.
//!
//! For each partition and range of 10,000 `seq`, rows are counted and their hashes summed, once as the store has them and once as the records of the log
//! say; where the two differ, the rows themselves are told: missing, extra, different, with each field. The rows of both sides come
//! from `wh_sinks::reconcile`.
//!
//! What must stay true: what is compared lies below what the store had shown before, so that a store that lives raises no alarm; a row that is rightly
//! not there (retention, dead letters, a transaction sent again) is no finding, and a row that is there is always compared; what is held in memory is a
//! part of one range; nothing is written without being asked for.

pub mod baselines;
mod buried;
mod compare;
mod cursor;
mod excuse;
mod partition;
pub mod report;
mod strays;
pub mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use wh_eventlog::Reader;
use wh_schemas::Reaction;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::topics::RISK_ALERTS;
use wh_scorer::pattern_alert;
use wh_sinks::delivery::identity::Binding;
use wh_sinks::reconcile::{Checksum, Difference, NOWHERE, Reached, Repair, Row, StoredRows};

use buried::Buried;
pub use compare::Found;
use cursor::Cursor;

/// How many seqs one range has.
pub const RANGE: u64 = 10_000;
/// How often everything is compared where something was put right.
const PASSES: u32 = 3;

/// What is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// One partition; all where `None`.
    pub partition: Option<u32>,
    /// First `seq`.
    pub from: Option<Seq>,
    /// The `seq` behind the last.
    pub to: Option<Seq>,
    /// How long rows are kept after their records were appended; `None` for ever.
    pub retention: Option<Duration>,
    /// Rows a second at most; `None`: as fast as it goes.
    pub rate: Option<u64>,
}

impl Options {
    /// Whether every row of the store is looked at.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.partition.is_none() && self.from.is_none() && self.to.is_none()
    }
}

/// What became of one range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeResult {
    /// The role of the store.
    pub store: &'static str,
    /// `scorer`, `patterns`, or of the baselines `users`.
    pub stream: &'static str,
    /// The partition; `None` for what stands outside every partition's rows.
    pub partition: Option<u32>,
    /// First `seq`.
    pub from: Seq,
    /// The `seq` behind the last.
    pub to: Seq,
    /// What the log says.
    pub expected: Checksum,
    /// What the store has, after it was put right where that was asked for.
    pub stored: Checksum,
    /// Rows that the store should have and has not.
    pub missing: u64,
    /// Rows that are not as the log says.
    pub different: u64,
    /// Rows that the log knows nothing of.
    pub extra: u64,
    /// How many of them were put right.
    pub repaired: u64,
}

impl RangeResult {
    /// Rows that were not as they should be.
    #[must_use]
    pub fn findings(&self) -> u64 {
        self.missing + self.different + self.extra
    }

    fn count(&mut self, found: &[Found]) {
        for found in found {
            match found {
                Found::Missing(_) => self.missing += 1,
                Found::Extra(_) => self.extra += 1,
                Found::Different { .. } => self.different += 1,
            }
        }
    }
}

/// How a row is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It should be there.
    Missing,
    /// The log knows nothing of it.
    Extra,
    /// It is not as the log says.
    Different,
}

impl What {
    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            What::Missing => "missing",
            What::Extra => "extra",
            What::Different => "different",
        }
    }
}

/// A row that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The role of the store.
    pub store: &'static str,
    /// The table, collection or measurement.
    pub table: &'static str,
    /// Where it stands.
    pub at: SeqPosition,
    /// The transaction, alert or user; of a sum what it is of.
    pub id: String,
    /// What is wrong.
    pub what: What,
    /// In which fields it differs.
    pub differences: Vec<Difference>,
    /// What the store has in place of a position, where that is none of ours; empty where it has nothing there.
    pub nowhere: Option<String>,
}

impl Finding {
    pub(crate) fn of(store: &'static str, found: &Found) -> Finding {
        let (row, what, differences): (&Row, What, Vec<Difference>) = match found {
            Found::Missing(row) => (row, What::Missing, Vec::new()),
            Found::Extra(row) => (row, What::Extra, Vec::new()),
            Found::Different { expected, stored } => (expected, What::Different, expected.differences(stored)),
        };
        let id = if row.id.is_empty() { row.key.clone() } else { row.id.clone() };
        let nowhere = (row.at == NOWHERE).then(|| row.place.clone());
        Finding { store, table: row.table, at: row.at, id, what, differences, nowhere }
    }
}

/// What is told on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<'t> {
    /// A range was compared.
    Range(&'t RangeResult),
    /// A row is not as it should be.
    Finding(&'t Finding),
    /// Something could not be compared, and why.
    Note(String),
    /// Seqs compared, of so many.
    Progress(u64, u64),
}

/// The store that is put right.
pub type Repairing<'r> = &'r mut (dyn Repair + 'static);

/// Who is told.
pub type Tell<'t> = &'t mut (dyn FnMut(Told<'_>) + Send);

/// What a comparison came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Ranges compared.
    pub ranges: u64,
    /// Rows that the store has in them.
    pub rows: u64,
    /// Rows that were missing.
    pub missing: u64,
    /// Rows that were different.
    pub different: u64,
    /// Rows that were too many.
    pub extra: u64,
    /// How many of them are still not as they should be.
    pub left: u64,
}

impl Summary {
    /// Rows that were not as they should be.
    #[must_use]
    pub fn findings(&self) -> u64 {
        self.missing + self.different + self.extra
    }
}

/// Compares a store with the log, and puts it right where `repair` is given.
///
/// # Errors
/// Where the log or the store cannot be read; fatal where the store was filled from another log.
pub async fn reconcile(log: &dyn Reader, rows: &mut dyn StoredRows, mut repair: Option<Repairing<'_>>, options: Options, tell: Tell<'_>) -> Result<Summary, Reaction> {
    if let Some(repair) = &mut repair {
        Binding::default().check(log, &mut **repair).await?;
    }
    let mut total = Summary::default();
    for pass in 1..=PASSES {
        let mut check = Check::begin(log, &mut *rows, repair.as_deref_mut(), options, &mut *tell).await?;
        check.is_again = pass > 1;
        let summary = check.run().await?;
        let is_first = pass == 1;
        total = if is_first { summary } else { Summary { left: summary.left, ..total } };
        // What was moved shows where it went only once the rest is right: everything is looked at again.
        if repair.is_none() || summary.findings() == 0 || !options.is_whole() {
            break;
        }
    }
    Ok(total)
}

/// One pass over a store.
struct Check<'c> {
    log: &'c dyn Reader,
    rows: &'c mut dyn StoredRows,
    repair: Option<Repairing<'c>>,
    options: Options,
    tell: Tell<'c>,
    store: &'static str,
    /// How far the store could be read when the pass began.
    reached: BTreeMap<&'static str, Vec<Reached>>,
    buried: Buried,
    /// Where reading the log has ended, by topic and partition.
    ends: BTreeMap<(&'static str, u32), Cursor>,
    summary: Summary,
    done: u64,
    whole: u64,
    /// Whether everything was compared before: only what is found is told.
    is_again: bool,
}

impl<'c> Check<'c> {
    async fn begin(log: &'c dyn Reader, rows: &'c mut dyn StoredRows, repair: Option<Repairing<'c>>, options: Options, tell: Tell<'c>) -> Result<Check<'c>, Reaction> {
        let store = rows.role();
        rows.refresh().await?;
        let mut reached = BTreeMap::new();
        for topic in rows.topics() {
            reached.insert(*topic, rows.reached(topic).await?);
        }
        // Behind that: whatever is buried below a position was buried before it was published.
        let buried = Buried::read(log, store).await?;
        Ok(Check { log, rows, repair, options, tell, store, reached, buried, ends: BTreeMap::new(), summary: Summary::default(), done: 0, whole: 0, is_again: false })
    }

    async fn run(mut self) -> Result<Summary, Reaction> {
        let (mut places, wanted) = (Vec::new(), self.options.partition);
        for topic in self.rows.topics() {
            let partitions = if *topic == RISK_ALERTS { pattern_alert::PARTITION..pattern_alert::PARTITION + 1 } else { 0..self.log.partitions(topic).await? };
            for partition in partitions.filter(|partition| wanted.is_none_or(|wanted| wanted == *partition)) {
                let visible = self.visible(topic, partition);
                self.whole += self.options.to.unwrap_or(u64::MAX).min(visible).saturating_sub(self.options.from.unwrap_or(0));
                places.push((*topic, partition, visible));
            }
        }
        for (topic, partition, visible) in places {
            self.partition(topic, partition, visible).await?;
        }
        if self.options.is_whole() {
            self.strays().await?;
        } else if !self.is_again {
            (self.tell)(Told::Note(format!("{}: rows outside of what was asked for were not looked for", self.store)));
        }
        Ok(self.summary)
    }

    fn visible(&self, topic: &str, partition: u32) -> Seq {
        self.reached.get(topic).into_iter().flatten().find(|reached| reached.partition == partition).map_or(0, |reached| reached.visible)
    }

    /// Tells what was found.
    fn tell_found(&mut self, found: &[Found]) {
        for found in found {
            (self.tell)(Told::Finding(&Finding::of(self.store, found)));
        }
    }

    /// Tells a range and counts it.
    fn tell_range(&mut self, range: &RangeResult) {
        self.summary.ranges += 1;
        self.summary.rows += range.stored.rows;
        self.summary.missing += range.missing;
        self.summary.different += range.different;
        self.summary.extra += range.extra;
        self.summary.left += range.findings().saturating_sub(range.repaired);
        if !self.is_again || range.findings() > 0 {
            (self.tell)(Told::Range(range));
        }
    }
}

/// The name of what a topic carries.
fn stream(topic: &str) -> &'static str {
    if topic == RISK_ALERTS { "patterns" } else { "scorer" }
}
