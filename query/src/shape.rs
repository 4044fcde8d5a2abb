//! What SQL sees of each relation, whichever store holds it: name, columns, keys, and how it obeys a cut.

use arrow::datatypes::SchemaRef;
use wh_schemas::arrow as shapes;

use crate::cut::CutRule;

/// A table or view as SQL sees it.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Its name in SQL, without its schema.
    pub(crate) name: &'static str,
    /// One line for the user.
    pub(crate) description: &'static str,
    /// Every column.
    pub(crate) schema: SchemaRef,
    /// Columns that have no value twice.
    pub(crate) unique: &'static [&'static str],
    /// How it is read as of a cut.
    pub(crate) cut: CutRule,
    /// Whether SQL calls it a view.
    pub(crate) is_view: bool,
}

impl Shape {
    /// Place of a column in the schema.
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.schema.index_of(name).ok()
    }

    /// Whether the column at `index` is one of `names`.
    pub(crate) fn is_one_of(&self, index: usize, names: &[&str]) -> bool {
        self.schema.fields().get(index).is_some_and(|field| names.contains(&field.name().as_str()))
    }

    /// Whether the column at `index` has no value twice.
    pub(crate) fn is_unique(&self, index: usize) -> bool {
        self.is_one_of(index, self.unique)
    }
}

fn table(name: &'static str, schema: SchemaRef, unique: &'static [&'static str], cut: CutRule, description: &'static str) -> Shape {
    Shape { name, description, schema, unique, cut, is_view: false }
}

fn view(name: &'static str, schema: SchemaRef, unique: &'static [&'static str], cut: CutRule, description: &'static str) -> Shape {
    Shape { is_view: true, ..table(name, schema, unique, cut, description) }
}

/// Tables and views of the ledger.
pub(crate) fn ledger() -> Vec<Shape> {
    use CutRule::{BySeq, BySeqButStatus, Latest, Outside};
    vec![
        table("transactions", shapes::transactions(), &["transaction_id"], BySeq, "every scored transaction with its score and its five dimensions"),
        table("risk_alerts", shapes::risk_alerts(), &["alert_id"], BySeqButStatus, "one row an alert of a transaction or a pattern (score 70 and more), with its present status"),
        view("high_risk_transactions", shapes::high_risk_transactions(), &["transaction_id"], BySeq, "the transactions that scored 70 and more"),
        view("recent_alerts", shapes::recent_alerts(), &["alert_id"], BySeqButStatus, "the alerts of the last 24 hours, by the clock of this machine"),
        table("user_profiles", shapes::user_profiles(), &["user_id"], Latest, "one row a user: totals, usual departments and hours, alerts"),
        table("audit_log", shapes::audit_log(), &["event_id"], Outside, "what stages and operators did"),
        table("transaction_patterns", shapes::transaction_patterns(), &["pattern_id"], Latest, "patterns over several transactions"),
        table("system_metrics", shapes::system_metrics(), &[], Outside, "what the stages measured of themselves"),
        view("transaction_summary", shapes::transaction_summary(), &[], Latest, "transactions by hour, department and type"),
        view("user_risk_summary", shapes::user_risk_summary(), &["user_id"], Latest, "alerts and mean score by user"),
    ]
}

/// The two tables over one document a transaction.
pub(crate) fn documents() -> [Shape; 2] {
    let unique: &[&str] = &["transaction_id"];
    [
        table("transaction_metadata", shapes::transaction_metadata(), unique, CutRule::BySeq, "the metadata of each transaction as it came (JSON: metadata->>'ip')"),
        table("explanations", shapes::explanations(), unique, CutRule::BySeq, "why each transaction got its score: dimensions, reasons with evidence, alerts (JSON)"),
    ]
}

/// The one table of the metrics.
pub(crate) fn metrics() -> Shape {
    table("throughput", shapes::throughput(), &[], CutRule::Latest, "counts and sums by second, department, type and level")
}

/// What SQL sees of the baselines.
pub(crate) fn baselines() -> Shape {
    table("users", shapes::users(), &["user_id"], CutRule::Latest, "what the scorer has learnt of each user, as of its last checkpoint")
}

/// The alerts of the search store.
pub(crate) fn search() -> Shape {
    let description = "the alerts as raised, for full text: WHERE match(message, 'refund AND counterparty') ORDER BY score() DESC";
    table("alerts", shapes::alerts(), &["alert_id"], CutRule::BySeqButPatterns, description)
}
