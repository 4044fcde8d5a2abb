//! The relations of the SQLite layouts: how each column of SQL is said in the file's own words.
//!
//! What must stay true: a column that is not named in `computed` is stored under its own name and as its Arrow type says
//! (times in microseconds, money in cents, booleans as 0 and 1); what is computed is the same expression wherever it stands.

use std::borrow::Cow;
use std::sync::Arc;

use crate::joins;
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
    /// Its name in the file, or the two tables that it joins.
    pub(crate) from: Cow<'static, str>,
    /// Columns that are not stored under their own name: name and expression.
    pub(crate) computed: &'static [(&'static str, &'static str)],
    /// Columns that the file is not asked about: their text is made on the way out.
    pub(crate) opaque: &'static [&'static str],
    /// Columns that are JSON: name, the column of the file that holds it, and the path in there.
    json: &'static [(&'static str, &'static str, &'static str)],
    /// Whether rows have the key `pos` = partition << 40 | seq.
    pub(crate) keyed: bool,
    /// Columns by which an index sorts.
    pub(crate) sorted: &'static [&'static str],
    /// How its size is told.
    pub(crate) size: Size,
    /// What its columns stand behind, where it is one of two.
    alias: Option<&'static str>,
    /// The two tables that it joins, whose columns are its own.
    sides: Option<Arc<[Table; 2]>>,
}

impl Table {
    fn new(shape: Shape) -> Table {
        Table { from: Cow::Borrowed(shape.name), shape, computed: &[], opaque: &[], json: &[], keyed: false, sorted: &[], size: Size::Counted, alias: None, sides: None }
    }

    /// The expression of the column at `index`.
    pub(crate) fn expression(&self, index: usize) -> Cow<'_, str> {
        if let Some(sides) = &self.sides {
            let left = sides[0].shape.schema.fields().len();
            return if index < left { sides[0].expression(index) } else { sides[1].expression(index - left) };
        }
        let name = self.shape.schema.field(index).name().as_str();
        match self.alias {
            Some(alias) => Cow::Owned(format!("{alias}.{name}")),
            None => Cow::Borrowed(self.computed.iter().find(|(column, _)| *column == name).map_or(name, |(_, expression)| *expression)),
        }
    }

    /// Where the JSON is that the column at `index` has: an expression, and the path in its value. `None` where it is no JSON.
    pub(crate) fn json(&self, index: usize) -> Option<(Cow<'static, str>, &'static str)> {
        if let Some(sides) = &self.sides {
            let left = sides[0].shape.schema.fields().len();
            return if index < left { sides[0].json(index) } else { sides[1].json(index - left) };
        }
        let name = self.shape.schema.fields().get(index)?.name();
        let (_, document, path) = self.json.iter().find(|(column, ..)| column == name)?;
        let document = self.alias.map_or(Cow::Borrowed(*document), |alias| Cow::Owned(format!("{alias}.{document}")));
        Some((document, *path))
    }

    /// This table and another of the same file as one; `None` where the columns of a pair are not compared as SQL would, or a column is
    /// stored under no name of its own.
    pub(crate) fn joined(&self, other: &Table, on: &[(usize, usize)]) -> Option<Table> {
        let is_plain = |table: &Table| table.computed.is_empty() && table.opaque.is_empty() && table.sides.is_none();
        if on.is_empty() || !is_plain(self) || !is_plain(other) {
            return None;
        }
        let side = |table: &Table, alias| Table { alias: Some(alias), ..table.clone() };
        let sides = [side(self, joins::LEFT), side(other, joins::RIGHT)];
        let mut from = format!("{} AS {} JOIN {} AS {}", self.from, joins::LEFT, other.from, joins::RIGHT);
        for (i, (left, right)) in on.iter().enumerate() {
            let (kind, other_kind) = (self.shape.schema.fields().get(*left)?.data_type(), other.shape.schema.fields().get(*right)?.data_type());
            if kind != other_kind || !joins::compares_alike(kind) {
                return None;
            }
            let word = if i > 0 { "AND" } else { "ON" };
            from.push_str(&format!(" {word} {} = {}", sides[0].expression(*left), sides[1].expression(*right)));
        }
        let shape = joins::shape(&self.shape, &other.shape);
        Some(Table { from: Cow::Owned(from), sides: Some(Arc::new(sides)), ..Table::new(shape) })
    }
}

/// Tables and views of the ledger.
pub(crate) fn ledger() -> Vec<Table> {
    let risky = |shape: Shape| Table { json: &[("metadata", "metadata", "$"), ("detection_rules", "detection_rules", "$")], keyed: true, ..Table::new(shape) };
    let stored = |shape: Shape| match shape.name {
        "transactions" => Table { sorted: &["timestamp"], size: Size::Dense, ..risky(shape) },
        "high_risk_transactions" => Table { sorted: &["timestamp"], size: Size::OneIn(20), ..risky(shape) },
        "risk_alerts" | "recent_alerts" => Table { sorted: &["created_at"], size: Size::OneIn(20), ..risky(shape) },
        "user_profiles" => Table { json: &[("departments", "departments", "$"), ("hours", "hours", "$")], sorted: &["user_id"], ..Table::new(shape) },
        "audit_log" => Table { json: &[("data", "data", "$")], sorted: &["timestamp"], ..Table::new(shape) },
        "transaction_patterns" => Table { json: &[("accounts", "accounts", "$"), ("members", "members", "$")], ..Table::new(shape) },
        "system_metrics" => Table { json: &[("labels", "labels", "$")], ..Table::new(shape) },
        "transaction_summary" => Table { size: Size::Unknown, ..Table::new(shape) },
        _ => Table::new(shape),
    };
    shape::ledger().into_iter().map(stored).collect()
}

/// The two tables over one document a transaction.
pub(crate) fn documents() -> Vec<Table> {
    let [metadata, explanations] = shape::documents();
    let stored = |shape: Shape| Table { from: Cow::Borrowed("documents"), keyed: true, size: Size::Dense, ..Table::new(shape) };
    vec![
        Table { computed: &[("metadata", "json(metadata)")], opaque: &["metadata"], json: &[("metadata", "metadata", "$")], ..stored(metadata) },
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
            json: &[("dimensions", "explanation", "$.dimensions"), ("reasons", "explanation", "$.reasons"), ("alerts", "explanation", "$.alerts")],
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
            let names = computed
                .chain(table.json.iter().map(|(name, ..)| *name))
                .chain(table.opaque.iter().copied())
                .chain(table.shape.unique.iter().copied())
                .chain(table.sorted.iter().copied());
            for name in names {
                assert!(table.shape.index_of(name).is_some(), "{}.{name}", table.shape.name);
            }
            if table.keyed {
                assert!(table.shape.index_of("partition").is_some() && table.shape.index_of("seq").is_some(), "{}", table.shape.name);
            }
        }
    }
}
