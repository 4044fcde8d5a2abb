//! The relations of the SQLite layouts: how each column of SQL is said in the file's own words.
//!
//! What must stay true: a column that is not named in `computed` is stored under its own name and as its Arrow type says
//! (times in microseconds, money in cents, booleans as 0 and 1); what is computed is the same expression wherever it stands.

use ::arrow::datatypes::SchemaRef;
use wh_schemas::arrow as shapes;

use crate::cut::CutRule;

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
    /// Its name in SQL.
    pub(crate) name: &'static str,
    /// Its name in the file.
    pub(crate) from: &'static str,
    /// One line on what it holds.
    pub(crate) description: &'static str,
    /// Its columns.
    pub(crate) schema: SchemaRef,
    /// Columns that are not stored under their own name: name and expression.
    pub(crate) computed: &'static [(&'static str, &'static str)],
    /// Columns that the file is not asked about: their text is made on the way out.
    pub(crate) opaque: &'static [&'static str],
    /// Whether rows have the key `pos` = partition << 40 | seq.
    pub(crate) keyed: bool,
    /// Columns in which no value occurs twice.
    pub(crate) unique: &'static [&'static str],
    /// Columns by which an index sorts.
    pub(crate) sorted: &'static [&'static str],
    /// How its size is told.
    pub(crate) size: Size,
    /// How it is read as of a cut.
    pub(crate) cut: CutRule,
    /// Whether SQL calls it a view.
    pub(crate) is_view: bool,
}

impl Table {
    fn new(name: &'static str, schema: SchemaRef, description: &'static str) -> Table {
        Table {
            name,
            from: name,
            description,
            schema,
            computed: &[],
            opaque: &[],
            keyed: false,
            unique: &[],
            sorted: &[],
            size: Size::Counted,
            cut: CutRule::Latest,
            is_view: false,
        }
    }

    /// The expression of the column at `index`.
    pub(crate) fn expression(&self, index: usize) -> &str {
        let name = self.schema.field(index).name().as_str();
        self.computed.iter().find(|(column, _)| *column == name).map_or(name, |(_, expression)| *expression)
    }

    /// Place of a column in the schema.
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.schema.index_of(name).ok()
    }

    /// Whether the column at `index` is one of `names`.
    pub(crate) fn is_one_of(&self, index: usize, names: &[&str]) -> bool {
        self.schema.fields().get(index).is_some_and(|field| names.contains(&field.name().as_str()))
    }
}

/// Tables and views of the ledger.
pub(crate) fn ledger() -> Vec<Table> {
    let transactions = Table {
        keyed: true,
        unique: &["transaction_id"],
        sorted: &["timestamp"],
        size: Size::Dense,
        cut: CutRule::BySeq,
        ..Table::new("transactions", shapes::transactions(), "every scored transaction with its score and its five dimensions")
    };
    let alerts = Table {
        keyed: true,
        unique: &["alert_id"],
        sorted: &["created_at"],
        size: Size::OneIn(20),
        cut: CutRule::BySeqButStatus,
        ..Table::new("risk_alerts", shapes::risk_alerts(), "one row an alert (score 70 and more), with its present status")
    };
    let high = Table {
        name: "high_risk_transactions",
        from: "high_risk_transactions",
        description: "the transactions that scored 70 and more",
        schema: shapes::high_risk_transactions(),
        size: Size::OneIn(20),
        is_view: true,
        ..transactions.clone()
    };
    let recent = Table {
        name: "recent_alerts",
        from: "recent_alerts",
        description: "the alerts of the last 24 hours, by the clock of this machine",
        schema: shapes::recent_alerts(),
        is_view: true,
        ..alerts.clone()
    };
    vec![
        transactions,
        alerts,
        high,
        recent,
        Table { unique: &["user_id"], sorted: &["user_id"], ..Table::new("user_profiles", shapes::user_profiles(), "one row a user: totals, usual departments and hours, alerts") },
        Table { unique: &["event_id"], sorted: &["timestamp"], cut: CutRule::Outside, ..Table::new("audit_log", shapes::audit_log(), "what stages and operators did") },
        Table { unique: &["pattern_id"], ..Table::new("transaction_patterns", shapes::transaction_patterns(), "patterns over several transactions") },
        Table { cut: CutRule::Outside, ..Table::new("system_metrics", shapes::system_metrics(), "what the stages measured of themselves") },
        Table { is_view: true, size: Size::Unknown, ..Table::new("transaction_summary", shapes::transaction_summary(), "transactions by hour, department and type") },
        Table { unique: &["user_id"], is_view: true, ..Table::new("user_risk_summary", shapes::user_risk_summary(), "alerts and mean score by user") },
    ]
}

/// The two tables over one document a transaction.
pub(crate) fn documents() -> Vec<Table> {
    let metadata = Table {
        from: "documents",
        computed: &[("metadata", "json(metadata)")],
        opaque: &["metadata"],
        keyed: true,
        unique: &["transaction_id"],
        size: Size::Dense,
        cut: CutRule::BySeq,
        ..Table::new("transaction_metadata", shapes::transaction_metadata(), "the metadata of each transaction as it came (JSON: metadata->>'ip')")
    };
    let explanations = Table {
        name: "explanations",
        description: "why each transaction got its score: dimensions, reasons with evidence, alerts (JSON)",
        schema: shapes::explanations(),
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
        ..metadata.clone()
    };
    vec![metadata, explanations]
}

/// The one table of the metrics.
pub(crate) fn metrics() -> Vec<Table> {
    vec![Table { sorted: &["time"], ..Table::new("throughput", shapes::throughput(), "counts and sums by second, department, type and level") }]
}

/// What SQL sees of the baselines.
pub(crate) fn baselines() -> Vec<Table> {
    vec![Table { unique: &["user_id"], ..Table::new("users", shapes::users(), "what the scorer has learnt of each user, as of its last checkpoint") }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_a_table_is_one_of_its_columns() {
        for table in ledger().into_iter().chain(documents()).chain(metrics()).chain(baselines()) {
            let computed = table.computed.iter().map(|(name, _)| *name);
            let names = computed.chain(table.opaque.iter().copied()).chain(table.unique.iter().copied()).chain(table.sorted.iter().copied());
            for name in names {
                assert!(table.index_of(name).is_some(), "{}.{name}", table.name);
            }
            if table.keyed {
                assert!(table.index_of("partition").is_some() && table.index_of("seq").is_some(), "{}", table.name);
            }
        }
    }
}
