-- The ledger as an embedded SQLite file. Layout version 1.
-- Times are microseconds since 1970-01-01 UTC, money is integer cents.
-- `pos` is (partition << 40) | seq: rows arrive in that order, so the table's own B-tree is appended to,
-- a range of seq is a range of keys, and a row that is already there conflicts.
CREATE TABLE transactions (
    pos                  INTEGER PRIMARY KEY,
    partition            INTEGER GENERATED ALWAYS AS (pos >> 40) VIRTUAL,
    seq                  INTEGER GENERATED ALWAYS AS (pos & 0xFFFFFFFFFF) VIRTUAL,
    transaction_id       TEXT    NOT NULL,
    timestamp            INTEGER NOT NULL,
    user_id              TEXT    NOT NULL,
    account_id           TEXT    NOT NULL,
    counterparty_account TEXT,
    department           TEXT    NOT NULL,
    transaction_type     TEXT    NOT NULL,
    amount               INTEGER NOT NULL,
    description          TEXT,
    risk_score           INTEGER NOT NULL,
    risk_level           TEXT    NOT NULL,
    is_anomaly           INTEGER NOT NULL,
    amount_score         INTEGER NOT NULL,
    time_score           INTEGER NOT NULL,
    frequency_score      INTEGER NOT NULL,
    behavior_score       INTEGER NOT NULL,
    metadata_score       INTEGER NOT NULL,
    detection_rules      TEXT    NOT NULL, -- JSON array of names
    ruleset              TEXT    NOT NULL,
    metadata             TEXT    NOT NULL, -- JSON object
    content_hash         TEXT    NOT NULL,
    processed_at         INTEGER NOT NULL  -- append time of the scored record
) STRICT;
CREATE UNIQUE INDEX transactions_id ON transactions (transaction_id);
CREATE INDEX transactions_user_time ON transactions (user_id, timestamp);
CREATE INDEX transactions_time ON transactions (timestamp);
CREATE INDEX transactions_high_risk ON transactions (risk_score, timestamp) WHERE risk_score >= 70;

CREATE TABLE risk_alerts (
    pos             INTEGER PRIMARY KEY,
    partition       INTEGER GENERATED ALWAYS AS (pos >> 40) VIRTUAL,
    seq             INTEGER GENERATED ALWAYS AS (pos & 0xFFFFFFFFFF) VIRTUAL,
    alert_id        TEXT    NOT NULL,
    transaction_id  TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    alert_type      TEXT    NOT NULL,
    severity        TEXT    NOT NULL,
    risk_score      INTEGER NOT NULL,
    title           TEXT    NOT NULL,
    message         TEXT    NOT NULL,
    detection_rules TEXT    NOT NULL, -- JSON array of names
    status          TEXT    NOT NULL DEFAULT 'open',
    acknowledged_by TEXT,
    acknowledged_at INTEGER,
    created_at      INTEGER NOT NULL, -- append time of the scored record
    metadata        TEXT    NOT NULL  -- JSON object
) STRICT;
CREATE UNIQUE INDEX risk_alerts_id ON risk_alerts (alert_id);
CREATE INDEX risk_alerts_transaction ON risk_alerts (transaction_id);
CREATE INDEX risk_alerts_user ON risk_alerts (user_id, created_at);
CREATE INDEX risk_alerts_created ON risk_alerts (created_at);

CREATE TABLE user_profiles (
    user_id            TEXT    NOT NULL PRIMARY KEY,
    total_transactions INTEGER NOT NULL,
    amount_sum         INTEGER NOT NULL, -- cents
    amount_max         INTEGER NOT NULL, -- cents
    departments        TEXT    NOT NULL, -- JSON object: department -> transactions
    hours              TEXT    NOT NULL, -- JSON array of 24 counts, by local hour of the event
    alert_count        INTEGER NOT NULL,
    score_sum          INTEGER NOT NULL,
    score_max          INTEGER NOT NULL,
    first_seen         INTEGER NOT NULL,
    last_seen          INTEGER NOT NULL,
    last_updated       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
    event_id   TEXT    NOT NULL PRIMARY KEY,
    event_type TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    principal  TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    data       TEXT    NOT NULL, -- JSON object
    timestamp  INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_log_time ON audit_log (timestamp);

CREATE TABLE transaction_patterns (
    pattern_id   TEXT    NOT NULL PRIMARY KEY,
    pattern_type TEXT    NOT NULL,
    user_id      TEXT,
    accounts     TEXT    NOT NULL, -- JSON array
    members      TEXT    NOT NULL, -- JSON array of transaction ids
    risk_score   INTEGER NOT NULL,
    description  TEXT    NOT NULL,
    first_event  INTEGER NOT NULL,
    last_event   INTEGER NOT NULL
) STRICT;
CREATE INDEX transaction_patterns_user ON transaction_patterns (user_id);

CREATE TABLE system_metrics (
    id        INTEGER PRIMARY KEY, -- offset of the event in system-events
    name      TEXT    NOT NULL,
    value     REAL    NOT NULL,
    unit      TEXT    NOT NULL,
    labels    TEXT    NOT NULL, -- JSON object
    timestamp INTEGER NOT NULL
) STRICT;
CREATE INDEX system_metrics_name_time ON system_metrics (name, timestamp);

CREATE VIEW high_risk_transactions AS
    SELECT * FROM transactions WHERE risk_score >= 70;
CREATE VIEW recent_alerts AS
    SELECT * FROM risk_alerts
    WHERE created_at >= CAST(unixepoch('subsec') * 1000000 AS INTEGER) - 86400000000;
CREATE VIEW transaction_summary AS
    SELECT (timestamp - ((timestamp % 3600000000) + 3600000000) % 3600000000) AS hour, department, transaction_type,
           count(*) AS transactions, sum(amount) AS amount_sum, max(amount) AS amount_max,
           sum(risk_score) AS score_sum, max(risk_score) AS score_max,
           count(CASE WHEN risk_score >= 70 THEN 1 END) AS alerts
    FROM transactions GROUP BY 1, 2, 3;
CREATE VIEW user_risk_summary AS
    SELECT user_id, total_transactions, alert_count, score_max,
           CAST(score_sum AS REAL) / total_transactions AS score_mean, last_seen
    FROM user_profiles;
