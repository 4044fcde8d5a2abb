//! The relations of the SQLite layouts: how each column of SQL is said in the file's own words.
//!
//! What must stay true: a column that is not named in `computed` is stored under its own name and as its Arrow type says
//! (times in microseconds, money in cents, booleans as 0 and 1); what is computed is the same expression wherever it stands.

use crate::shape::{self, Shape};

/// About how many rows a relation has, told without counting them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// About as many as there are keys between the first and the last of each partition.
    Dense,
    /// About one in so many of those keys.
    OneIn(usize),
    /// It is counted, up to a bound.
    Counted,
    /// Telling it would mean reading it.
    Unknown,
}

/// A table or view of a SQLite file.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// What SQL sees of it.
    pub(crate) shape: Shape,
    /// Its name in the file.
    pub(crate) from: &'static str,
    /// Columns that are not stored under their own name: name and expression.
    pub(crate) computed: &'static [(&'static str, &'static str)],
    /// Columns that the file is not asked about: their text is made on the way out.
    pub(crate) opaque: &'static [&'static str],
    /// Whether rows have the key `pos` = partition << 40 | seq.
    pub(crate) keyed: bool,
    /// Columns by which an index sorts.
    pub(crate) sorted: &'static [&'static str],
    /// How its size is told.
    pub(crate) size: Size,
}

impl Table {
    fn new(shape: Shape) -> Table {
        Table { from: shape.name, shape, computed: &[], opaque: &[], keyed: false, sorted: &[], size: Size::Counted }
    }

    /// The expression of the column at `index`.
    pub(crate) fn expression(&self, index: usize) -> &str {
        let name = self.shape.schema.field(index).name().as_str();
        self.computed.iter().find(|(column, _)| *column == name).map_or(name, |(_, expression)| *expression)
    }
}

/// Tables and views of the ledger.
pub(crate) fn ledger() -> Vec<Table> {
    let stored = |shape: Shape| match shape.name {
        "transactions" => Table { keyed: true, sorted: &["timestamp"], size: Size::Dense, ..Table::new(shape) },
        "high_risk_transactions" => Table { keyed: true, sorted: &["timestamp"], size: Size::OneIn(20), ..Table::new(shape) },
        "risk_alerts" | "recent_alerts" => Table { keyed: true, sorted: &["created_at"], size: Size::OneIn(20), ..Table::new(shape) },
        "user_profiles" => Table { sorted: &["user_id"], ..Table::new(shape) },
        "audit_log" => Table { sorted: &["timestamp"], ..Table::new(shape) },
        "transaction_summary" => Table { size: Size::Unknown, ..Table::new(shape) },
        _ => Table::new(shape),
    };
    shape::ledger().into_iter().map(stored).collect()
}

/// The two tables over one document a transaction.
pub(crate) fn documents() -> Vec<Table> {
    let [metadata, explanations] = shape::documents();
    let stored = |shape: Shape| Table { from: "documents", keyed: true, size: Size::Dense, ..Table::new(shape) };
    vec![
        Table { computed: &[("metadata", "json(metadata)")], opaque: &["metadata"], ..stored(metadata) },
        Table {
            computed: &[
                ("risk_score", "CAST(json_extract(explanation, '$.risk_score') AS INTEGER)"),
                ("risk_level", "CAST(json_extract(explanation, '$.risk_level') AS TEXT)"),
                ("dimensions", "json_extract(explanation, '$.dimensions')"),
                ("reasons", "json_extract(explanation, '$.reasons')"),
                ("alerts", "json_extract(explanation, '$.alerts')"),
                ("ruleset", "CAST(json_extract(explanation, '$.ruleset') AS TEXT)"),
                ("state_epoch", "CAST(json_extract(explanation, '$.state_epoch') AS INTEGER)"),
            ],
            opaque: &["dimensions", "reasons", "alerts"],
            ..stored(explanations)
        },
    ]
}

/// The one table of the metrics.
pub(crate) fn metrics() -> Vec<Table> {
    vec![Table { sorted: &["time"], ..Table::new(shape::metrics()) }]
}

/// What SQL sees of the baselines.
pub(crate) fn baselines() -> Vec<Table> {
    vec![Table::new(shape::baselines())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_a_table_is_one_of_its_columns() {
        for table in ledger().into_iter().chain(documents()).chain(metrics()).chain(baselines()) {
            let computed = table.computed.iter().map(|(name, _)| *name);
            let names = computed.chain(table.opaque.iter().copied()).chain(table.shape.unique.iter().copied()).chain(table.sorted.iter().copied());
            for name in names {
                assert!(table.shape.index_of(name).is_some(), "{}.{name}", table.shape.name);
            }
            if table.keyed {
                assert!(table.shape.index_of("partition").is_some() && table.shape.index_of("seq").is_some(), "{}", table.shape.name);
            }
        }
    }
}
