//! What each column means, in the words of docs/sql-reference.md.
//!
//! What must stay true: every column of the catalog is here once, and nothing else is. A meaning that begins with `JSON object` or `JSON array`
//! is of a text that holds one.

/// Columns and their meanings.
type Columns = &'static [(&'static str, &'static str)];

/// The meaning of a column; `None` where there is none.
pub(super) fn meaning(table: &str, column: &str) -> Option<&'static str> {
    columns(table).iter().find(|(name, _)| *name == column).map(|(_, meaning)| *meaning)
}

/// The columns of a table that have a meaning.
pub(super) fn columns(table: &str) -> Columns {
    match table {
        "ledger.transactions" | "ledger.high_risk_transactions" => TRANSACTIONS,
        "ledger.risk_alerts" | "ledger.recent_alerts" => RISK_ALERTS,
        "ledger.user_profiles" => USER_PROFILES,
        "ledger.audit_log" => AUDIT_LOG,
        "ledger.transaction_patterns" => TRANSACTION_PATTERNS,
        "ledger.system_metrics" => SYSTEM_METRICS,
        "ledger.transaction_summary" => TRANSACTION_SUMMARY,
        "ledger.user_risk_summary" => USER_RISK_SUMMARY,
        "documents.transaction_metadata" => TRANSACTION_METADATA,
        "documents.explanations" => EXPLANATIONS,
        "metrics.throughput" => THROUGHPUT,
        "baselines.users" => USERS,
        "search.alerts" => ALERTS,
        "system.freshness" => FRESHNESS,
        "system.stores" => STORES,
        "system.queries" => QUERIES,
        "system.reconciliation" => RECONCILIATION,
        "log.dead_letters" => DEAD_LETTERS,
        topic if topic.starts_with("log.") => TOPIC,
        _ => &[],
    }
}

const PARTITION: (&str, &str) = ("partition", "the partition of the scored record; an alert of a pattern over several accounts has 1000000");
const SEQ: (&str, &str) = ("seq", "the number of the scored record in its partition, without gaps");
const DETECTION_RULES: (&str, &str) = ("detection_rules", "JSON array of the rules that gave points, most points first");
const RULESET: (&str, &str) = ("ruleset", "16 hexadecimal digits that name the rules under which it was scored");
const RISK_SCORE: (&str, &str) = ("risk_score", "0 to 100; an alert is raised from 70 on");
const RISK_LEVEL: (&str, &str) = ("risk_level", "`low` to 30, `medium` to 70, `high` above: a 70 is medium and has an alert");
const TIMESTAMP: (&str, &str) = ("timestamp", "when the transaction happened");
const TRANSACTION_ID: (&str, &str) = ("transaction_id", "the id that its producer gave it");
const USER_ID: (&str, &str) = ("user_id", "whose it is");

const TRANSACTIONS: Columns = &[
    TRANSACTION_ID,
    TIMESTAMP,
    USER_ID,
    ("account_id", "the account that it was made on"),
    ("counterparty_account", "the other side's account, where the producer named one"),
    ("department", "the department, as it came"),
    ("transaction_type", "billing, payment, refund, transfer, adjustment, insurance_claim, payroll or procurement"),
    ("amount", "how much, exact to the cent, more than 0"),
    ("description", "free text, as it came"),
    RISK_SCORE,
    RISK_LEVEL,
    ("is_anomaly", "whether `risk_score` is 50 or more"),
    ("amount_score", "points for the amount, at most 25; the five parts add up to `risk_score`"),
    ("time_score", "points for the time, at most 20"),
    ("frequency_score", "points for how often, at most 25"),
    ("behavior_score", "points for what is not usual for the user, at most 20"),
    ("metadata_score", "points for the metadata, at most 10"),
    DETECTION_RULES,
    RULESET,
    ("metadata", "JSON object as it came; unknown fields of the record under `_extra`, labels that came with it under `_labels`"),
    ("content_hash", "SHA-256 of the content in hexadecimal digits, without labels"),
    ("processed_at", "when the scored record was appended to the log"),
    PARTITION,
    SEQ,
];

const RISK_ALERTS: Columns = &[
    ("alert_id", "a UUID made of the transaction's id and the alert's type; of a pattern's type and members for a pattern"),
    ("transaction_id", "the transaction that it is about; for a pattern the one that completes it"),
    ("user_id", "the user of that transaction"),
    ("alert_type", "the rule with most points, or the kind of pattern"),
    ("severity", "`high` from 70, `critical` from 85"),
    RISK_SCORE,
    ("title", "a heading"),
    ("message", "one sentence: who, what, how much, why"),
    DETECTION_RULES,
    ("status", "`open` in this version"),
    ("acknowledged_by", "nobody in this version"),
    ("acknowledged_at", "never in this version"),
    ("created_at", "when the scored record was appended to the log"),
    ("metadata", "JSON object: department, transaction_type, amount, dimensions; of a pattern also accounts, members, reasons"),
    PARTITION,
    SEQ,
];

const USER_PROFILES: Columns = &[
    ("user_id", "the user"),
    ("total_transactions", "how many are stored"),
    ("amount_sum", "the sum of their amounts"),
    ("amount_max", "the largest of them"),
    ("departments", "JSON object: transactions by department"),
    ("hours", "JSON array of 24 counts, by the local hour of the transaction"),
    ("alert_count", "how many of them raised an alert"),
    ("score_sum", "the sum of their scores"),
    ("score_max", "the highest of them"),
    ("first_seen", "when the earliest happened"),
    ("last_seen", "when the latest happened"),
    ("last_updated", "when the one that was taken in last happened"),
];

const AUDIT_LOG: Columns = &[
    ("event_id", "a UUID"),
    ("event_type", "what happened, as in `stages_started`, `stages_stopping`"),
    ("source", "the command"),
    ("principal", "who: `local` in this version"),
    ("severity", "`info`, or how grave it is"),
    ("data", "JSON object with the details"),
    ("timestamp", "when it happened"),
];

const TRANSACTION_PATTERNS: Columns = &[
    ("pattern_id", "a UUID made of the pattern's type and its members"),
    ("pattern_type", "the kind of scheme"),
    ("user_id", "the user, where there is only one"),
    ("accounts", "JSON array of the accounts that take part"),
    ("members", "JSON array of the ids of its transactions"),
    RISK_SCORE,
    ("description", "one sentence"),
    ("first_event", "when its earliest transaction happened"),
    ("last_event", "when its latest transaction happened"),
];

const SYSTEM_METRICS: Columns = &[
    ("name", "`lag`, `settled`, `dead_letters`, `dead_letters_alike` (by error class and fingerprint) or `append_to_visible_p99`"),
    ("value", "what was measured"),
    ("unit", "its unit"),
    ("labels", "JSON object: of which stage"),
    ("timestamp", "when it was measured: every ten seconds while the stage runs"),
];

const TRANSACTION_SUMMARY: Columns = &[
    ("hour", "the start of the hour, in UTC"),
    ("department", "the department"),
    ("transaction_type", "the type"),
    ("transactions", "how many"),
    ("amount_sum", "the sum of their amounts"),
    ("amount_max", "the largest of them"),
    ("score_sum", "the sum of their scores"),
    ("score_max", "the highest of them"),
    ("alerts", "how many scored 70 and more"),
];

const USER_RISK_SUMMARY: Columns = &[
    ("user_id", "the user"),
    ("total_transactions", "how many are stored"),
    ("alert_count", "how many of them raised an alert"),
    ("score_max", "the highest of their scores"),
    ("score_mean", "the mean of their scores"),
    ("last_seen", "when the latest happened"),
];

const TRANSACTION_METADATA: Columns = &[TRANSACTION_ID, USER_ID, TIMESTAMP, PARTITION, SEQ, ("metadata", "JSON object as it came, the same as in `ledger.transactions`")];

const EXPLANATIONS: Columns = &[
    TRANSACTION_ID,
    PARTITION,
    SEQ,
    TIMESTAMP,
    USER_ID,
    RISK_SCORE,
    RISK_LEVEL,
    ("dimensions", "JSON object: the five parts of the score: amount, time, frequency, behavior, metadata"),
    ("reasons", "JSON array of `{rule, dimension, points, evidence}`; the points of a dimension's reasons add up to it"),
    ("alerts", "JSON array: the alert that it raised, or none"),
    RULESET,
    ("state_epoch", "0, and one more each time that the scorer began anew with empty baselines"),
];

const THROUGHPUT: Columns = &[
    ("time", "the second in which the transactions happened"),
    ("department", "the department"),
    ("transaction_type", "the type"),
    RISK_LEVEL,
    ("partition", "the partition of the scored records"),
    ("block", "their `seq` divided by 1,000"),
    ("transactions", "how many"),
    ("amount_sum", "the sum of their amounts"),
    ("score_sum", "the sum of their scores"),
    ("score_max", "the highest of them"),
    ("alerts", "how many of them raised an alert"),
];

const USERS: Columns = &[
    ("user_id", "the user"),
    ("partition", "the partition of the user's transactions"),
    ("seq", "the next `seq` of the checkpoint that wrote the row"),
    ("transactions", "how many were scored"),
    ("amount_mean", "the geometric mean of the amounts that were learnt"),
    ("home_department", "the department that was seen most often"),
    ("last_event", "when the latest happened"),
    ("alerts", "how many raised an alert; they are not learnt from"),
];

const ALERTS: Columns = &[
    ("alert_id", "as in `ledger.risk_alerts`"),
    ("transaction_id", "the transaction that it is about"),
    ("user_id", "the user of that transaction"),
    ("alert_type", "the rule with most points, or the kind of pattern"),
    ("severity", "`high` from 70, `critical` from 85"),
    ("department", "the transaction's department; empty for a pattern over several"),
    RISK_SCORE,
    ("title", "a heading, for `match()`"),
    ("message", "one sentence, for `match()`: who, what, how much, why"),
    DETECTION_RULES,
    ("created_at", "when the scored record was appended to the log"),
    TIMESTAMP,
    PARTITION,
    SEQ,
    ("_score", "what `score()` gives: the row's relevance to `match()`; left out of `SELECT *` from this table alone"),
];

const TOPIC: Columns = &[
    ("partition", "the topic's partition"),
    ("offset", "the record's number in it"),
    ("append_time", "when the log took it"),
    ("key", "the transaction's id; the alert's in `risk_alerts`, the user's in `scorer_state`"),
    ("value", "the record; JSON where it is not a state's bytes"),
    ("headers", "JSON object of the record's headers"),
];

const DEAD_LETTERS: Columns = &[
    ("partition", "the topic's partition"),
    ("offset", "the record's number in it"),
    ("append_time", "when the log took it"),
    ("key", "the original key"),
    ("value", "the original bytes; empty where `headers` has `wh-value-left-out`"),
    ("headers", "JSON object of the record's headers"),
    ("stage", "the stage that could not take it: `intake`, `scorer`, `patterns` or `sink`"),
    ("store", "the store that could not take it, where a sink wrote"),
    ("origin", "topic/partition/offset of the record"),
    ("position", "partition:seq of the scored record, where it has one"),
    ("error_class", "the class of the error"),
    ("error_message", "what was expected and found"),
    ("fingerprint", "16 hexadecimal digits, the same for records that fail alike"),
    ("attempts", "how often it was tried"),
    ("disposition", "NULL for a letter; `retried` or `discarded` where the record says what became of the letter of the same stage, store and origin"),
    ("remark", "beside a disposition: why, or where it went"),
];

const FRESHNESS: Columns = &[
    ("store", "`ledger`, `documents`, `metrics` or `search`"),
    ("stream", "`scorer`, `patterns`, or `system-events` in the ledger"),
    ("partition", "the stream's partition"),
    ("next_seq", "every `seq` below it can be read there"),
    ("updated_at", "when the store said so"),
    ("stored", "rows stored"),
    ("duplicates", "rows left out: they repeat a transaction that was scored"),
    ("dead_letters", "rows that the store could not take"),
    ("discarded", "rows left out on purpose, as those without an alert in `search`; in `metrics` of closed blocks only"),
    ("lag_rows", "how many `seq` it is behind the checkpoint of the stage that emits the stream; NULL where there is none"),
];

const STORES: Columns = &[
    ("role", "`log`, `ledger`, `documents`, `metrics`, `baselines` or `search`"),
    ("kind", "the product"),
    ("place", "where it is, without secrets"),
    ("reachable", "whether it answered just now"),
    ("layout_version", "the version of what is laid out there"),
    ("bytes", "what it takes; NULL where the store does not tell"),
];

const QUERIES: Columns = &[
    ("id", "its number since the server started; `DELETE /v1/sql/queries/ID` ends it"),
    ("session", "the connection's number: what PostgreSQL's clients call the backend's pid"),
    ("principal", "who asked"),
    ("role", "the role whose limits hold"),
    ("way", "`cli`, `postgres`, `flight` or `http`"),
    ("peer", "the client's address; NULL where it is this process"),
    ("sql", "the statement; NULL where it is somebody else's"),
    ("state", "`running`, `done`, `failed` or `cancelled`"),
    ("started_at", "when it began"),
    ("elapsed_ms", "how long it has taken until now, or took"),
    ("rows_out", "rows handed over"),
    ("stores", "JSON array of what each store did: `{store, relation, rows, bytes, in_store_ms, waiting_ms}`"),
    ("error", "why it failed"),
];

const RECONCILIATION: Columns = &[
    ("checked_at", "when the run had compared it"),
    ("run", "the id of the comparison of one store"),
    ("store", "`ledger`, `documents`, `metrics`, `search` or `baselines`"),
    ("stream", "`scorer`, `patterns`, or of the baselines `users`; empty for rows outside of every partition"),
    ("partition", "the partition of the stream; NULL for rows outside of every partition"),
    ("from_seq", "first seq of the range; ranges that agree and follow each other are one"),
    ("to_seq", "the seq behind its last"),
    ("rows_expected", "rows that the records of the log say"),
    ("rows_stored", "rows that the store has, after a repair where one was asked for"),
    ("checksum_expected", "16 hexadecimal digits: the sum of the rows' hashes modulo 2^64, as the log says"),
    ("checksum_stored", "the same from the store's own fields"),
    ("missing", "rows that the store had not"),
    ("different", "rows that were not as the log says"),
    ("extra", "rows that the log knows nothing of"),
    ("repaired", "how many of them were put right"),
    ("state", "`equal`, `repaired` or `different`"),
];
