//! What the server knows of a relation without reading it, and how a scan is divided by that.
//!
//! What must stay true: a survey takes a few steps down an index; the parts of a scan together hold every key once, also those that came
//! after the survey.

use sqlx::postgres::PgRow;

use super::store::{PostgresLedger, integer};
use super::tables::{Size, Table};
use crate::errors::QueryError;
use crate::parts::DIVIDED_SHARE;
use crate::table::{Request, Survey};

/// Rows below which a scan is not divided.
const DIVIDED_FROM: usize = 200_000;
/// Rows up to which a relation without statistics is counted.
const COUNTED_TO: usize = 20_000;

/// What the server knows of a table's rows. Blocks.
pub(super) fn look(store: &PostgresLedger, table: &Table) -> Result<Survey, QueryError> {
    let told = |error: sqlx::Error| store.sessions.failed(&error);
    let mut survey = Survey::default();
    if table.keyed {
        let ends = |row: &PgRow| -> Result<(i64, i64), sqlx::Error> { Ok((integer(row, 0)?, integer(row, 1)?)) };
        let rows = store.look(keys_of(table.under))?;
        survey.keys = rows.iter().map(ends).collect::<Result<Vec<_>, _>>().map_err(told)?;
    }
    let keys: i64 = survey.keys.iter().map(|(first, last)| last - first + 1).sum();
    let keys = usize::try_from(keys).unwrap_or(usize::MAX);
    survey.rows = match table.size {
        Size::Dense => Some(keys),
        Size::OneIn(many) => Some(keys.div_ceil(many)),
        Size::Unknown => None,
        Size::Estimated => {
            let rows = store.look(rows_of(table.under))?;
            let estimated = rows.first().map_or(Ok(0), |row| integer(row, 0)).map_err(told)?;
            let estimated = usize::try_from(estimated).unwrap_or(0);
            // At the bound it is anybody's guess; a large table is the better one to probe than to build.
            Some(if estimated == COUNTED_TO { COUNTED_TO * 10 } else { estimated })
        }
    };
    Ok(survey)
}

/// The first and the last key of each partition, by a few steps down the index.
fn keys_of(table: &str) -> String {
    format!(
        "WITH RECURSIVE begun AS (SELECT min(pos) AS first FROM {table} UNION ALL SELECT (SELECT min(pos) FROM {table} WHERE pos >= ((begun.first >> 40) + 1) << 40) \
         FROM begun WHERE begun.first IS NOT NULL) SELECT first, (SELECT max(pos) FROM {table} WHERE pos < ((begun.first >> 40) + 1) << 40) FROM begun \
         WHERE first IS NOT NULL ORDER BY 1"
    )
}

/// About how many rows there are, by the server's statistics; counted up to a bound where it has none.
fn rows_of(table: &str) -> String {
    format!(
        "SELECT CASE WHEN reltuples > 0 THEN reltuples::int8 ELSE (SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {COUNTED_TO}) AS counted) END \
         FROM pg_class WHERE oid = 'public.{table}'::regclass"
    )
}

/// A range of keys for each part: even shares of all keys, where the scan reads most of a large table in any order. The first and
/// the last range reach as far as keys go: rows may have come since the survey.
pub(super) fn divided(table: &Table, request: &Request, survey: &Survey) -> Vec<(i64, i64)> {
    let rows = survey.rows.unwrap_or(0);
    let all = rows as f64;
    let unique = |column: usize| table.shape.is_unique(column);
    let share: f64 = request.predicates.iter().map(|p| p.selectivity(all, &unique)).product();
    if request.parts < 2 || rows < DIVIDED_FROM || share < DIVIDED_SHARE || !request.order.is_empty() || survey.keys.is_empty() {
        return Vec::new();
    }
    let keys: i64 = survey.keys.iter().map(|(first, last)| last - first + 1).sum();
    let each = keys / i64::try_from(request.parts).unwrap_or(1) + 1;
    let (mut cuts, mut room) = (vec![i64::MIN], each);
    for (first, last) in &survey.keys {
        let mut begin = *first;
        while last - begin + 1 > room {
            begin += room;
            cuts.push(begin);
            room = each;
        }
        room -= last - begin + 1;
    }
    cuts.push(i64::MAX);
    cuts.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::tables::ledger;
    use wh_schemas::position::SEQ_BITS;

    #[test]
    fn the_parts_of_a_scan_hold_every_key_once() {
        let table = ledger().swap_remove(0);
        let request = Request { projection: vec![0], predicates: Vec::new(), order: Vec::new(), limit: None, parts: 3 };
        let base = 1_i64 << SEQ_BITS;
        let keys = vec![(5, 100_004), (base, base + 299_999), (2 * base + 7, 2 * base + 10)];
        let parts = divided(&table, &request, &Survey { rows: Some(400_004), keys: keys.clone() });
        assert_eq!(parts.len(), 3);
        assert_eq!((parts[0].0, parts[2].1), (i64::MIN, i64::MAX));
        assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0));
        let held = |(from, until): (i64, i64)| keys.iter().map(|(first, last)| (until.min(last + 1) - from.max(*first)).max(0)).sum::<i64>();
        assert!(parts.iter().all(|part| held(*part).abs_diff(133_334) < 10), "{parts:?}");
        let small = Survey { rows: Some(10), keys };
        assert!(divided(&table, &request, &small).is_empty());
    }
}
