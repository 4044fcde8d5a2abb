//! The relations of the ledger's layout on PostgreSQL: of which type each column is there, and how it is said in a statement.
//!
//! What must stay true: a column is read as the type that the layout gives it; what is compared is its text by its bytes, its
//! number, or its instant, as SQL would compare what is read.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::DataType;

use crate::joins;
use crate::shape::{self, Shape};

/// How a column's values come over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `text`, in the form of `wh_stores::postgres::text`.
    Text,
    /// `json`: its own text.
    Json,
    /// The two columns of a transaction's metadata.
    Metadata,
    /// `smallint`, `integer`, `bigint`.
    Int,
    /// `double precision`
    Float,
    /// `boolean`
    Flag,
    /// `timestamptz`
    Instant,
    /// `numeric` with two places.
    Money,
}

/// About how many rows a relation has, told without counting them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// About as many as there are keys between the first and the last of each partition.
    Dense,
    /// About one in so many of those keys.
    OneIn(usize),
    /// As many as the server's statistics say.
    Estimated,
    /// Telling it would mean reading it.
    Unknown,
}

/// A table or view of the layout.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// What SQL sees of it.
    pub(crate) shape: Shape,
    /// Its name there, or the two tables that it joins.
    pub(crate) from: Cow<'static, str>,
    /// The table by which it is surveyed.
    pub(crate) under: &'static str,
    /// Columns of type `json`.
    json: &'static [&'static str],
    /// The column that is kept in two, `metadata` and `metadata_text`.
    metadata: Option<&'static str>,
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
        Table { from: Cow::Borrowed(shape.name), under: shape.name, shape, json: &[], metadata: None, keyed: false, sorted: &[], size: Size::Estimated, alias: None, sides: None }
    }

    /// The table that has the column at `index`, and its place there.
    fn at(&self, index: usize) -> (&Table, usize) {
        let Some(sides) = &self.sides else { return (self, index) };
        let left = sides[0].shape.schema.fields().len();
        if index < left { (&sides[0], index) } else { (&sides[1], index - left) }
    }

    /// How the column at `index` comes; `None` for a type that the layout does not have.
    pub(crate) fn kind(&self, index: usize) -> Option<Kind> {
        let (table, index) = self.at(index);
        table.own_kind(index)
    }

    fn own_kind(&self, index: usize) -> Option<Kind> {
        let field = self.shape.schema.fields().get(index)?;
        let name = field.name().as_str();
        Some(match field.data_type() {
            DataType::Utf8 if self.metadata == Some(name) => Kind::Metadata,
            DataType::Utf8 if self.json.contains(&name) => Kind::Json,
            DataType::Utf8 => Kind::Text,
            DataType::Int32 | DataType::Int64 => Kind::Int,
            DataType::Float64 => Kind::Float,
            DataType::Boolean => Kind::Flag,
            DataType::Timestamp(_, _) => Kind::Instant,
            DataType::Decimal128(_, _) => Kind::Money,
            _ => return None,
        })
    }

    /// The column at `index` in a list of what is wanted.
    pub(crate) fn selected(&self, index: usize) -> String {
        let (table, index) = self.at(index);
        match table.own_kind(index) {
            Some(Kind::Metadata) => format!("{}, {}", table.quoted("metadata_text"), table.quoted("metadata")),
            _ => table.quoted(table.shape.schema.field(index).name()),
        }
    }

    fn quoted(&self, name: &str) -> String {
        self.alias.map_or_else(|| format!("\"{name}\""), |alias| format!("{alias}.\"{name}\""))
    }

    /// The column at `index` in a condition or an order.
    pub(crate) fn expression(&self, index: usize) -> String {
        let (table, index) = self.at(index);
        let name = table.quoted(table.shape.schema.field(index).name());
        match table.own_kind(index) {
            Some(Kind::Json) => format!("({name}::text COLLATE \"C\")"),
            _ => name,
        }
    }

    /// The two columns that the JSON of the column at `index` is kept in: `jsonb`, and the text where that would not give it back. `None` where
    /// it is kept in one.
    pub(crate) fn document(&self, index: usize) -> Option<[String; 2]> {
        let (table, index) = self.at(index);
        (table.own_kind(index) == Some(Kind::Metadata)).then(|| ["metadata", "metadata_text"].map(|name| table.quoted(name)))
    }

    /// This table and another of the same database as one; `None` where the columns of a pair are not compared as SQL would.
    pub(crate) fn joined(&self, other: &Table, on: &[(usize, usize)]) -> Option<Table> {
        if on.is_empty() || self.sides.is_some() || other.sides.is_some() {
            return None;
        }
        let side = |table: &Table, alias| Table { alias: Some(alias), ..table.clone() };
        let sides = [side(self, joins::LEFT), side(other, joins::RIGHT)];
        let mut from = format!("{} AS {} JOIN {} AS {}", self.from, joins::LEFT, other.from, joins::RIGHT);
        for (i, (left, right)) in on.iter().enumerate() {
            let kind = self.kind(*left)?;
            let data_type = self.shape.schema.fields().get(*left)?.data_type();
            if self.kind(*left) != other.kind(*right) || !matches!(kind, Kind::Text | Kind::Int | Kind::Instant | Kind::Money) || !joins::compares_alike(data_type) {
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
    let transactions =
        |shape: Shape| Table { under: "transactions", json: &["detection_rules"], metadata: Some("metadata"), keyed: true, sorted: &["timestamp"], ..Table::new(shape) };
    let alerts =
        |shape: Shape| Table { under: "risk_alerts", json: &["detection_rules", "metadata"], keyed: true, sorted: &["created_at"], size: Size::OneIn(20), ..Table::new(shape) };
    let stored = |shape: Shape| match shape.name {
        "transactions" => Table { size: Size::Dense, ..transactions(shape) },
        "high_risk_transactions" => Table { size: Size::OneIn(20), ..transactions(shape) },
        "risk_alerts" | "recent_alerts" => alerts(shape),
        "user_profiles" => Table { json: &["departments", "hours"], sorted: &["user_id"], ..Table::new(shape) },
        "audit_log" => Table { json: &["data"], sorted: &["timestamp"], ..Table::new(shape) },
        "transaction_patterns" => Table { json: &["accounts", "members"], ..Table::new(shape) },
        "system_metrics" => Table { json: &["labels"], ..Table::new(shape) },
        "transaction_summary" => Table { size: Size::Unknown, ..Table::new(shape) },
        "user_risk_summary" => Table { under: "user_profiles", ..Table::new(shape) },
        _ => Table::new(shape),
    };
    shape::ledger().into_iter().map(stored).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_a_table_is_one_of_its_columns() {
        for table in ledger() {
            for name in table.json.iter().chain(table.metadata.iter()).chain(table.sorted) {
                assert!(table.shape.index_of(name).is_some(), "{}.{name}", table.shape.name);
            }
            if table.keyed {
                assert!(table.shape.index_of("partition").is_some() && table.shape.index_of("seq").is_some(), "{}", table.shape.name);
            }
            for index in 0..table.shape.schema.fields().len() {
                assert!(table.kind(index).is_some(), "{}.{}", table.shape.name, table.shape.schema.field(index).name());
            }
        }
    }

    #[test]
    fn every_relation_and_column_is_in_the_layout() {
        let layout = include_str!("../../../schemas/postgres/0001_ledger.sql");
        for table in ledger() {
            let made = if table.shape.is_view { format!("CREATE VIEW {} AS", table.shape.name) } else { format!("CREATE TABLE {} (", table.shape.name) };
            let (_, rest) = layout.split_once(&made).unwrap_or_else(|| panic!("{made}"));
            let (body, _) = rest.split_once(");").unwrap_or((rest, ""));
            for (index, field) in table.shape.schema.fields().iter().enumerate().filter(|_| !table.shape.is_view) {
                let line = body.lines().find(|line| line.trim_start().starts_with(&format!("{} ", field.name()))).unwrap_or_else(|| panic!("{}", field.name()));
                let of_type = |name: &str| line.split_whitespace().nth(1).is_some_and(|found| found.starts_with(name));
                assert_eq!(table.kind(index) == Some(Kind::Json), of_type("json") && !of_type("jsonb"), "{line}");
                assert_eq!(field.is_nullable(), !line.contains("NOT NULL") && !line.contains("PRIMARY KEY") && !of_type("jsonb"), "{line}");
            }
        }
    }
}
