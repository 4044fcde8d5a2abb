//! Where a column of SQL stands in an answer of InfluxDB, and its value. Pure.
//!
//! What must stay true: a value that a point lacks is told as that, never taken for another.

use wh_schemas::time::SECOND;
use wh_stores::influxdb::answer::{Datum, Series};
use wh_stores::influxdb::points::{second_and_block, text_of};

use super::dialect::{Kind, kind};
use crate::batch::Cell;
use crate::shape::Shape;

/// Where a column stands in the rows of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The second of the time in the first column.
    SecondOfTime,
    /// Its nanoseconds.
    BlockOfTime,
    /// A field that holds the second.
    Second(usize),
    /// A tag that holds a number.
    Number(usize),
    /// A tag that holds a text.
    Text(usize),
    /// A field.
    Field(usize),
    /// It is not there.
    Nowhere,
}

/// Where a column stands in the rows of a series.
pub(super) fn place_of(shape: &Shape, column: usize, series: &Series<'_>) -> Place {
    let find = |name: &str| series.columns.iter().position(|found| found == name);
    let name = shape.schema.field(column).name();
    match kind(shape, column) {
        Kind::Time => find("second").map_or(Place::SecondOfTime, Place::Second),
        Kind::Block => find("block").map_or(Place::BlockOfTime, Place::Field),
        Kind::Number => find(name).map_or(Place::Nowhere, Place::Number),
        Kind::Tag => find(name).map_or(Place::Nowhere, Place::Text),
        Kind::Field => find(name).map_or(Place::Nowhere, Place::Field),
    }
}

impl Place {
    /// Gives a row's value to `take`; `None` where there is none.
    pub(super) fn cell<T>(self, row: &[Datum<'_>], take: impl FnOnce(Cell<'_>) -> T) -> Option<T> {
        let int = |at: usize| row.get(at).and_then(Datum::int);
        Some(match self {
            Place::SecondOfTime => take(Cell::Int(second_and_block(int(0)?).0.checked_mul(SECOND)?)),
            Place::BlockOfTime => take(Cell::Int(second_and_block(int(0)?).1)),
            Place::Second(at) => take(Cell::Int(int(at)?.checked_mul(SECOND)?)),
            Place::Number(at) => take(Cell::Int(row.get(at)?.text()?.parse().ok()?)),
            Place::Text(at) => take(Cell::Text(text_of(row.get(at)?.text()?).as_bytes())),
            Place::Field(at) => take(Cell::Int(int(at)?)),
            Place::Nowhere => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use wh_stores::influxdb::answer::Reader;

    use super::*;
    use crate::shape;

    fn read(line: &str, names: &[&str]) -> Vec<String> {
        let parts = Reader::new(1).read(line.as_bytes()).unwrap();
        let (shape, series) = (shape::metrics(), &parts[0].series[0]);
        let places: Vec<Place> = names.iter().map(|name| place_of(&shape, shape.index_of(name).unwrap(), series)).collect();
        places.iter().map(|place| place.cell(&series.values[0], |cell| format!("{cell:?}")).unwrap_or_else(|| "nothing".to_owned())).collect()
    }

    #[test]
    fn a_points_time_is_its_second_and_its_block() {
        let line =
            r#"{"results":[{"statement_id":0,"series":[{"name":"throughput","columns":["time","department","partition","alerts"],"values":[[1767268800000000017,"%","3",4]]}]}]}"#;
        let found = read(line, &["time", "block", "department", "partition", "alerts", "score_sum"]);
        assert_eq!(found, ["Int(1767268800000000)", "Int(17)", "Text([])", "Int(3)", "Int(4)", "nothing"]);
    }

    #[test]
    fn a_point_out_of_range_says_its_second_and_its_block() {
        let line = r#"{"results":[{"statement_id":0,"series":[{"name":"throughput_out_of_range","columns":["time","alerts","second","block"],"values":[[-9223372036000000000,4,253402300799,2]]}]}]}"#;
        assert_eq!(read(line, &["time", "block"]), ["Int(253402300799000000)", "Int(2)"]);
    }
}
