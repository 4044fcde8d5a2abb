//! Parts of groups on their way from a store: what a store can only cut finer than it is asked is put together here.
//!
//! What must stay true: parts of a group give the same in whatever order they come; no more than one group is held where a group's parts
//! follow one another; without groups there is exactly one row.

use std::collections::BTreeSet;

use crate::aggregate::{Aggregation, Bin, CalendarUnit, DAY, Function};
use crate::batch::{BatchBuilder, Cell};
use crate::errors::QueryError;
use crate::exec::Sink;

/// 1970-01-05, the first Monday.
const MONDAY: i64 = 4 * DAY;

/// A value that is held longer than the answer that it came in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    Null,
    Int(i64),
    /// Compared by its bytes.
    Text(String),
}

impl Held {
    /// What a cell holds; nothing where it is no key of a group: a real number, or one of more than 64 bits.
    pub(crate) fn of(cell: Cell<'_>) -> Option<Held> {
        match cell {
            Cell::Null => Some(Held::Null),
            Cell::Int(value) => Some(Held::Int(value)),
            Cell::Text(text) => Some(Held::Text(String::from_utf8_lossy(text).into_owned())),
            Cell::Float(_) | Cell::Wide(_) => None,
        }
    }

    fn cell(&self) -> Cell<'_> {
        match self {
            Held::Null => Cell::Null,
            Held::Int(value) => Cell::Int(*value),
            Held::Text(text) => Cell::Text(text.as_bytes()),
        }
    }
}

/// A measure of some rows of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Partial {
    Count(i64),
    /// None without a value.
    Sum(Option<i128>),
    Min(Option<Held>),
    Max(Option<Held>),
    /// The different values.
    Distinct(BTreeSet<Held>),
}

impl Partial {
    /// Of no row.
    pub(crate) fn of_nothing(function: Function) -> Partial {
        match function {
            Function::Count | Function::CountDistinct => Partial::Count(0),
            Function::Sum => Partial::Sum(None),
            Function::Min => Partial::Min(None),
            Function::Max => Partial::Max(None),
        }
    }

    /// Of these rows and of others.
    fn and(self, other: Partial) -> Partial {
        match (self, other) {
            (Partial::Count(one), Partial::Count(other)) => Partial::Count(one.saturating_add(other)),
            (Partial::Sum(one), Partial::Sum(other)) => Partial::Sum(either(one, other, i128::wrapping_add)),
            (Partial::Min(one), Partial::Min(other)) => Partial::Min(either(one, other, Ord::min)),
            (Partial::Max(one), Partial::Max(other)) => Partial::Max(either(one, other, Ord::max)),
            (Partial::Distinct(mut one), Partial::Distinct(other)) => {
                one.extend(other);
                Partial::Distinct(one)
            }
            // One measure has parts of one kind.
            (one, _) => one,
        }
    }

    fn cell(&self) -> Cell<'_> {
        match self {
            Partial::Count(count) => Cell::Int(*count),
            Partial::Sum(Some(sum)) => Cell::Wide(*sum),
            Partial::Min(Some(value)) | Partial::Max(Some(value)) => value.cell(),
            Partial::Sum(None) | Partial::Min(None) | Partial::Max(None) => Cell::Null,
            Partial::Distinct(values) => Cell::Int(i64::try_from(values.len()).unwrap_or(i64::MAX)),
        }
    }
}

fn either<T>(one: Option<T>, other: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(both(one, other)),
        (one, other) => one.or(other),
    }
}

/// Some rows of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) group: Vec<Held>,
    pub(crate) measures: Vec<Partial>,
}

impl Part {
    /// These rows and others of the same group.
    pub(crate) fn and(self, other: Part) -> Part {
        let measures = self.measures.into_iter().zip(other.measures).map(|(one, other)| one.and(other)).collect();
        Part { group: self.group, measures }
    }
}

/// Puts together the parts of a group that follow one another.
#[derive(Debug, Default)]
struct Joined(Option<Part>);

impl Joined {
    /// Takes a part; the group before it, where it begins another.
    fn take(&mut self, part: Part) -> Option<Part> {
        match self.0.take() {
            Some(last) if last.group == part.group => {
                self.0 = Some(last.and(part));
                None
            }
            last => {
                self.0 = Some(part);
                last
            }
        }
    }
}

/// Groups on their way out.
pub(crate) struct Groups<'a> {
    aggregation: &'a Aggregation,
    batch: BatchBuilder,
    sink: &'a mut Sink,
    joined: Joined,
}

impl<'a> Groups<'a> {
    /// None yet.
    pub(crate) fn new(aggregation: &'a Aggregation, sink: &'a mut Sink) -> Result<Groups<'a>, QueryError> {
        let batch = BatchBuilder::new(sink.schema(), sink.batch_rows()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))?;
        Ok(Groups { aggregation, batch, sink, joined: Joined::default() })
    }

    /// Where they go.
    pub(crate) fn sink(&self) -> &Sink {
        self.sink
    }

    /// Adds a part of a group. Returns `false` when no more rows are wanted; an error says what does not fit its column.
    pub(crate) fn add(&mut self, part: Part) -> Result<bool, String> {
        match self.joined.take(part) {
            Some(group) => self.push(&group),
            None => Ok(true),
        }
    }

    /// Hands over what there is.
    pub(crate) fn end(mut self) -> Result<(), String> {
        let nothing = || {
            let measures = self.aggregation.measures.iter().map(|measure| Partial::of_nothing(measure.function)).collect();
            self.aggregation.groups.is_empty().then(|| Part { group: Vec::new(), measures })
        };
        if let Some(group) = self.joined.0.take().or_else(nothing)
            && !self.push(&group)?
        {
            return Ok(());
        }
        if !self.batch.is_empty() {
            let batch = self.batch.finish().map_err(|error| error.to_string())?;
            self.sink.send(batch);
        }
        Ok(())
    }

    fn push(&mut self, part: &Part) -> Result<bool, String> {
        for (place, value) in part.group.iter().enumerate() {
            self.batch.push(place, value.cell()).map_err(|misfit| misfit.to_string())?;
        }
        for (place, measure) in (part.group.len()..).zip(&part.measures) {
            self.batch.push(place, measure.cell()).map_err(|misfit| misfit.to_string())?;
        }
        self.batch.end_row();
        if !self.batch.is_full() {
            return Ok(true);
        }
        let batch = self.batch.finish().map_err(|error| error.to_string())?;
        Ok(self.sink.send(batch))
    }
}

/// Bins as a store cuts time: all of one length. Those that are not are put together of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Microseconds of one; at least 1.
    pub(crate) micros: i64,
    /// Where one begins: from 0 up to, but without, `micros`.
    pub(crate) first: i64,
    /// What is put together of them.
    pub(crate) joined: Option<CalendarUnit>,
}

impl Grid {
    /// Nothing for bins without length.
    pub(crate) fn of(bin: Bin) -> Option<Grid> {
        Some(match bin {
            Bin::Every { micros, origin } if micros > 0 => Grid { micros, first: origin.rem_euclid(micros), joined: None },
            Bin::Every { .. } => return None,
            Bin::Calendar(CalendarUnit::Week) => Grid { micros: 7 * DAY, first: MONDAY, joined: None },
            Bin::Calendar(unit) => Grid { micros: DAY, first: 0, joined: Some(unit) },
        })
    }

    /// Start of the bin, in microseconds, that an instant is in; nothing where 64 bits do not hold it.
    pub(crate) fn start(self, at: i64) -> Option<i64> {
        match self.joined {
            None => Bin::Every { micros: self.micros, origin: self.first }.start(at),
            Some(unit) => Bin::Calendar(unit).start(at),
        }
    }

    /// Start of the bin behind the one that begins at `start`.
    pub(crate) fn next(self, start: i64) -> Option<i64> {
        let longest = match self.joined {
            None => self.micros,
            Some(CalendarUnit::Week) => 7 * DAY,
            Some(CalendarUnit::Month) => 31 * DAY,
            Some(CalendarUnit::Quarter) => 92 * DAY,
            Some(CalendarUnit::Year) => 366 * DAY,
        };
        // The longest is never so much longer than the shortest that a whole one lies between.
        self.start(start.checked_add(longest)?)
    }
}

#[cfg(test)]
#[path = "partial_tests.rs"]
mod tests;
