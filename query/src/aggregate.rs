//! GROUP BY and aggregates, in values: what a store can be asked for instead of rows.
//!
//! What must stay true: pure; an aggregation means exactly what SQL means by it: NULL is a group of its own, and no value to a measure;
//! texts are compared by their bytes; bins of time are those of UTC, in every year.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Schema, SchemaRef};

use crate::numbers::WHOLE;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400 * SECOND;
/// How many rows fall into one group, for want of anything better.
const ROWS_A_GROUP: usize = 10;

/// GROUP BY and aggregates, asked of a store in one native query. The answer's columns are the groups, then the measures, as `schema` has
/// them. Without groups there is exactly one row, also over no rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregation {
    pub(crate) groups: Vec<Group>,
    pub(crate) measures: Vec<Measure>,
    pub(crate) schema: SchemaRef,
}

/// What rows are grouped by. No two groups of an aggregation are alike.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Group {
    /// A column's value; NULL is a group of its own.
    Column(usize),
    /// The start of the bin in which a timestamp column's value lies, in microseconds UTC; NULL is a group of its own.
    Time { column: usize, bin: Bin },
}

/// A division of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bin {
    /// Bins of this many microseconds, more than none, one of which begins at `origin`.
    Every { micros: i64, origin: i64 },
    /// The calendar's, in UTC.
    Calendar(CalendarUnit),
}

/// Units of the Gregorian calendar, which is that of all years. A week begins on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CalendarUnit {
    Week,
    Month,
    Quarter,
    Year,
}

/// What is computed of a group's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    pub(crate) function: Function,
    /// `None` only for [`Function::Count`]: rows are counted.
    pub(crate) column: Option<usize>,
}

/// An aggregate function. NULL is no value; of no values the sum, the least and the greatest are NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Count,
    Sum,
    Min,
    Max,
    CountDistinct,
}

impl Aggregation {
    /// The column of the relation that a column of the answer is as it stands.
    pub(crate) fn plain_column(&self, index: usize) -> Option<usize> {
        match self.groups.get(index)? {
            Group::Column(column) => Some(*column),
            Group::Time { .. } => None,
        }
    }

    /// The aggregation without the measures that nobody wants of an answer whose columns `wanted` are, and the place of each of its
    /// columns in this one. Groups stay: they tell rows apart.
    pub(crate) fn pruned(&self, wanted: &[usize]) -> (Aggregation, Vec<usize>) {
        let groups = self.groups.len();
        let mut kept: Vec<usize> = (0..groups + self.measures.len()).filter(|index| *index < groups || wanted.contains(index)).collect();
        if kept.is_empty() {
            // One row, whatever is in it.
            kept.push(0);
        }
        let measures = kept.iter().filter_map(|index| self.measures.get(index.checked_sub(groups)?).copied()).collect();
        let fields: Vec<_> = kept.iter().filter_map(|index| self.schema.fields().get(*index).cloned()).collect();
        (Aggregation { groups: self.groups.clone(), measures, schema: Arc::new(Schema::new(fields)) }, kept)
    }

    /// About how many rows the answer to so many rows has; `unique` tells the columns whose values are all different.
    pub(crate) fn rows(&self, rows: usize, unique: &dyn Fn(usize) -> bool) -> usize {
        if self.groups.is_empty() {
            1
        } else if self.groups.iter().any(|group| matches!(group, Group::Column(column) if unique(*column))) {
            rows
        } else {
            rows.div_ceil(ROWS_A_GROUP)
        }
    }

    /// Its text for a reader of EXPLAIN.
    pub(crate) fn display(&self, schema: &Schema) -> String {
        let measures: Vec<String> = self.measures.iter().map(|measure| measure.display(schema)).collect();
        let groups: Vec<String> = self.groups.iter().map(|group| group.display(schema)).collect();
        match (measures.is_empty(), groups.is_empty()) {
            (true, _) => format!("by {}", groups.join(", ")),
            (false, true) => measures.join(", "),
            (false, false) => format!("{} by {}", measures.join(", "), groups.join(", ")),
        }
    }
}

impl Group {
    /// Its text over the relation's columns, also the name of its column where it is no column as it stands.
    pub(crate) fn display(&self, schema: &Schema) -> String {
        match self {
            Group::Column(column) => name(schema, *column).to_owned(),
            Group::Time { column, bin } => match bin {
                Bin::Every { micros, origin: 0 } => format!("date_bin({}, {})", Span(*micros), name(schema, *column)),
                Bin::Every { micros, origin } => format!("date_bin({}, {}, {origin})", Span(*micros), name(schema, *column)),
                Bin::Calendar(unit) => format!("date_trunc({}, {})", unit.word(), name(schema, *column)),
            },
        }
    }
}

impl Measure {
    /// Its text over the relation's columns, also the name of its column.
    pub(crate) fn display(&self, schema: &Schema) -> String {
        let word = match self.function {
            Function::Count => "count(",
            Function::Sum => "sum(",
            Function::Min => "min(",
            Function::Max => "max(",
            Function::CountDistinct => "count(distinct ",
        };
        format!("{word}{})", self.column.map_or("*", |column| name(schema, column)))
    }

    /// The type in which its values come, over a relation with this schema; `None` for what is not computed in stores.
    pub(crate) fn data_type(&self, schema: &Schema) -> Option<DataType> {
        let of = self.column.and_then(|column| schema.fields().get(column)).map(|field| field.data_type());
        match (self.function, of) {
            (Function::Count, _) | (Function::CountDistinct, Some(_)) => Some(DataType::Int64),
            // Wider than in SQL: what does not fit there is told above the scan.
            (Function::Sum, Some(DataType::Int32 | DataType::Int64)) => Some(WHOLE),
            (Function::Sum, Some(DataType::Decimal128(precision, scale))) => Some(DataType::Decimal128(DECIMAL128_MAX_PRECISION.min(precision + 10), *scale)),
            (Function::Min | Function::Max, Some(of)) => Some(of.clone()),
            _ => None,
        }
    }

    /// Whether it may be NULL.
    pub(crate) fn is_nullable(&self) -> bool {
        !matches!(self.function, Function::Count | Function::CountDistinct)
    }
}

fn name(schema: &Schema, column: usize) -> &str {
    schema.fields().get(column).map_or("?", |field| field.name().as_str())
}

/// A length of time as SQL writes it.
struct Span(i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(DAY, "day"), (3_600 * SECOND, "hour"), (60 * SECOND, "minute"), (SECOND, "second")];
        match units.iter().find(|(unit, _)| self.0 % unit == 0) {
            Some((unit, word)) => write!(f, "{} {word}", self.0 / unit),
            None => write!(f, "{} µs", self.0),
        }
    }
}

impl Bin {
    /// The start of the bin in which an instant lies; `None` where 64 bits do not hold it.
    pub(crate) fn start(self, at: i64) -> Option<i64> {
        match self {
            Bin::Every { micros, origin } => at.checked_sub(at.checked_sub(origin)?.checked_rem_euclid(micros)?),
            Bin::Calendar(unit) => unit.first_day(at.div_euclid(DAY)).checked_mul(DAY),
        }
    }
}

impl CalendarUnit {
    /// Its word in SQL.
    pub(crate) fn word(self) -> &'static str {
        match self {
            CalendarUnit::Week => "week",
            CalendarUnit::Month => "month",
            CalendarUnit::Quarter => "quarter",
            CalendarUnit::Year => "year",
        }
    }

    /// The first day of the unit in which a day lies, both counted from 1970-01-01.
    fn first_day(self, day: i64) -> i64 {
        let (year, month, day_of_month) = civil(day);
        match self {
            // 1970-01-01 was a Thursday.
            CalendarUnit::Week => day - (day + 3).rem_euclid(7),
            CalendarUnit::Month => day - (day_of_month - 1),
            CalendarUnit::Quarter => days_to(year, month - (month - 1) % 3),
            CalendarUnit::Year => days_to(year, 1),
        }
    }
}

/// Year, month and day of month of a day counted from 1970-01-01.
///
/// Source: H. Hinnant, *chrono-Compatible Low-Level Date Algorithms*, `civil_from_days`.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_based = (5 * of_year + 2) / 153;
    let month = if march_based < 10 { march_based + 3 } else { march_based - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * march_based + 2) / 5 + 1)
}

/// Days from 1970-01-01 to the first of a month. Source: as [`civil`], `days_from_civil`.
fn days_to(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
