//! What a file knows of a table without reading it, and how a scan is divided by that.
//!
//! What must stay true: a survey takes a few steps down the table's tree; the parts of a scan together hold every key once, also those that
//! came after the survey.

use rusqlite::Connection;
use wh_schemas::position::SEQ_BITS;

use super::tables::{Size, Table};
use crate::parts::DIVIDED_SHARE;
use crate::table::{Request, Survey};

/// Rows below which a scan is not divided.
const DIVIDED_FROM: usize = 200_000;
/// Rows up to which a table is counted.
const COUNTED_TO: i64 = 20_000;

/// The keys' ranges by stream partition, and about how many rows there are, by a few steps down the table's tree.
pub(super) fn look(connection: &Connection, table: &Table) -> rusqlite::Result<Survey> {
    let mut survey = Survey::default();
    // A view is surveyed by the table under it.
    let from = match table.shape.name {
        "high_risk_transactions" => "transactions",
        "recent_alerts" => "risk_alerts",
        _ => table.from.as_ref(),
    };
    if table.keyed {
        let mut first = connection.prepare(&format!("SELECT min(pos) FROM {from} WHERE pos >= ?1"))?;
        let mut last = connection.prepare(&format!("SELECT max(pos) FROM {from} WHERE pos < ?1"))?;
        let mut at = 0_i64;
        while let Some(begin) = first.query_row([at], |row| row.get::<_, Option<i64>>(0))? {
            at = ((begin >> SEQ_BITS) + 1) << SEQ_BITS;
            let end = last.query_row([at], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(begin);
            survey.keys.push((begin, end));
        }
    }
    let keys: i64 = survey.keys.iter().map(|(first, last)| last - first + 1).sum();
    let keys = usize::try_from(keys).unwrap_or(usize::MAX);
    survey.rows = match table.size {
        Size::Dense => Some(keys),
        Size::OneIn(many) => Some(keys.div_ceil(many)),
        Size::Unknown => None,
        Size::Counted => {
            let counted: i64 = connection.query_row(&format!("SELECT count(*) FROM (SELECT 1 FROM {from} LIMIT {COUNTED_TO})"), [], |row| row.get(0))?;
            let counted = usize::try_from(counted).unwrap_or(0);
            // At the bound it is anybody's guess; a large table is the better one to probe than to build.
            Some(if counted < usize::try_from(COUNTED_TO).unwrap_or(0) { counted } else { counted * 10 })
        }
    };
    Ok(survey)
}

/// Ranges of keys for each part: even shares of all keys, where the scan reads most of a large table in any order.
pub(super) fn divided(table: &Table, request: &Request, survey: &Survey) -> Vec<Vec<(i64, i64)>> {
    let rows = survey.rows.unwrap_or(0);
    let all = rows as f64;
    let unique = |column: usize| table.shape.is_unique(column);
    let share: f64 = request.predicates.iter().map(|p| p.selectivity(all, &unique)).product();
    if request.parts < 2 || rows < DIVIDED_FROM || share < DIVIDED_SHARE || !request.order.is_empty() || survey.keys.is_empty() {
        return Vec::new();
    }
    let keys: i64 = survey.keys.iter().map(|(first, last)| last - first + 1).sum();
    let parts = i64::try_from(request.parts).unwrap_or(1);
    let each = keys / parts + 1;
    let mut divided = vec![Vec::new()];
    let mut room = each;
    for (index, (first, last)) in survey.keys.iter().enumerate() {
        let mut begin = *first;
        // The first and the last range reach as far as keys go: rows may have come since the survey.
        let begin_of_all = if index == 0 { 0 } else { begin };
        let end_of_all = if index + 1 == survey.keys.len() { i64::MAX } else { survey.keys.get(index + 1).map_or(i64::MAX, |(next, _)| *next) };
        let mut from = begin_of_all;
        while last - begin + 1 > room {
            let until = begin + room;
            if let Some(part) = divided.last_mut() {
                part.push((from, until));
            }
            divided.push(Vec::new());
            (begin, from, room) = (until, until, each);
        }
        room -= last - begin + 1;
        if let Some(part) = divided.last_mut() {
            part.push((from, end_of_all));
        }
    }
    divided
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::tables::ledger;

    #[test]
    fn the_parts_of_a_scan_hold_every_key_once() {
        let table = ledger().swap_remove(0);
        let request = Request { projection: vec![0], predicates: Vec::new(), order: Vec::new(), limit: None, parts: 3 };
        let base = 1_i64 << SEQ_BITS;
        let keys = vec![(5, 100_004), (base, base + 299_999), (2 * base + 7, 2 * base + 10)];
        let parts = divided(&table, &request, &Survey { rows: Some(400_004), keys: keys.clone() });
        assert_eq!(parts.len(), 3);
        let mut ranges: Vec<(i64, i64)> = parts.concat();
        ranges.sort_unstable();
        assert_eq!(ranges.first().unwrap().0, 0);
        assert_eq!(ranges.last().unwrap().1, i64::MAX);
        for pair in ranges.windows(2) {
            assert_eq!(pair[0].1, pair[1].0);
        }
        let small = Survey { rows: Some(10), keys };
        assert!(divided(&table, &request, &small).is_empty());
    }
}
