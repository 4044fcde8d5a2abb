//! Names of the fields of an alert in the stores of the search role, which are those of its columns in SQL.
//!
//! What must stay true: Tantivy's index and Elasticsearch's (`schemas/elasticsearch/alerts.json`) have the same fields.

/// Identity of the alert; whole.
pub const ALERT_ID: &str = "alert_id";
/// The transaction that raised it; whole.
pub const TRANSACTION_ID: &str = "transaction_id";
/// Whose transaction it was; whole.
pub const USER_ID: &str = "user_id";
/// The rule with most points; whole.
pub const ALERT_TYPE: &str = "alert_type";
/// `high` or `critical`; whole.
pub const SEVERITY: &str = "severity";
/// Of the transaction; whole.
pub const DEPARTMENT: &str = "department";
/// 0 to 100.
pub const RISK_SCORE: &str = "risk_score";
/// Partition of the scored record.
pub const PARTITION: &str = "partition";
/// Its number within the partition.
pub const SEQ: &str = "seq";
/// When the scored record was appended: microseconds UTC.
pub const CREATED_AT: &str = "created_at";
/// When the transaction happened: microseconds UTC.
pub const TIMESTAMP: &str = "timestamp";
/// Heading; analysed.
pub const TITLE: &str = "title";
/// The sentence; analysed.
pub const MESSAGE: &str = "message";
/// Names of the rules that gave points, each whole.
pub const DETECTION_RULES: &str = "detection_rules";
