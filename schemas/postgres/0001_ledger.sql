-- The ledger on PostgreSQL 13 or newer, in the schema `public` of a database of its own. Layout version 1.
--
-- `pos` is (partition << 40) | seq: rows arrive in that order, so the table's own index is appended to, a range of seq is a range
-- of keys, and a row that is already there conflicts.
-- Times are UTC, to the microsecond. Text is compared by its bytes (COLLATE "C"), as the embedded ledger compares it. PostgreSQL's
-- text cannot hold U+0000: it is kept as U+0001 U+0001, and U+0001 itself as U+0001 U+0002, which changes neither order nor equality.
-- What is JSON of our own making is `json`: it keeps the text as it is, which readers get back to the byte.

CREATE TABLE positions (
    stream       text        COLLATE "C" NOT NULL, -- 'scorer', 'patterns', 'system-events'
    partition    integer     NOT NULL,
    next_seq     bigint      NOT NULL, -- every seq below it is settled here
    next_offset  bigint      NOT NULL, -- offset of the topic from which reading goes on
    stored       bigint      NOT NULL DEFAULT 0,
    duplicates   bigint      NOT NULL DEFAULT 0,
    dead_letters bigint      NOT NULL DEFAULT 0,
    discarded    bigint      NOT NULL DEFAULT 0,
    visible_seq  bigint      NOT NULL DEFAULT 0, -- rows below it can be read here
    unreadable   bigint      NOT NULL DEFAULT 0, -- buried records behind the last seq that could not be read: each may stand for the next
    floor_seq    bigint      NOT NULL DEFAULT 0, -- rows below it may have been removed by retention
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (stream, partition)
) WITH (fillfactor = 50);

CREATE TABLE transactions (
    pos                  bigint        PRIMARY KEY,
    seq                  bigint        NOT NULL GENERATED ALWAYS AS (pos & 1099511627775) STORED,
    timestamp            timestamptz   NOT NULL,
    processed_at         timestamptz   NOT NULL, -- append time of the scored record
    partition            integer       NOT NULL GENERATED ALWAYS AS ((pos >> 40)::integer) STORED,
    risk_score           smallint      NOT NULL,
    amount_score         smallint      NOT NULL,
    time_score           smallint      NOT NULL,
    frequency_score      smallint      NOT NULL,
    behavior_score       smallint      NOT NULL,
    metadata_score       smallint      NOT NULL,
    is_anomaly           boolean       NOT NULL,
    transaction_id       text          COLLATE "C" NOT NULL,
    user_id              text          COLLATE "C" NOT NULL,
    account_id           text          COLLATE "C" NOT NULL,
    counterparty_account text          COLLATE "C",
    department           text          COLLATE "C" NOT NULL,
    transaction_type     text          COLLATE "C" NOT NULL,
    amount               numeric(15,2) NOT NULL,
    description          text          COLLATE "C",
    risk_level           text          COLLATE "C" NOT NULL,
    detection_rules      json          NOT NULL, -- array of names
    ruleset              text          COLLATE "C" NOT NULL,
    content_hash         text          COLLATE "C" NOT NULL,
    -- The object as it came. jsonb sorts keys, rewrites numbers (1e2, -0) and refuses some: where it would not give the text back,
    -- the text stands beside it, and where it cannot hold the object at all, it is NULL.
    metadata             jsonb,
    metadata_text        text          COLLATE "C",
    CHECK (metadata IS NOT NULL OR metadata_text IS NOT NULL)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
CREATE UNIQUE INDEX transactions_id ON transactions (transaction_id);
CREATE INDEX transactions_user_time ON transactions (user_id, timestamp);
CREATE INDEX transactions_time ON transactions (timestamp);
CREATE INDEX transactions_high_risk ON transactions (risk_score, timestamp) WHERE risk_score >= 70;

CREATE TABLE risk_alerts (
    pos             bigint      PRIMARY KEY,
    seq             bigint      NOT NULL GENERATED ALWAYS AS (pos & 1099511627775) STORED,
    created_at      timestamptz NOT NULL, -- append time of the scored record
    acknowledged_at timestamptz,
    partition       integer     NOT NULL GENERATED ALWAYS AS ((pos >> 40)::integer) STORED,
    risk_score      smallint    NOT NULL,
    alert_id        text        COLLATE "C" NOT NULL,
    transaction_id  text        COLLATE "C" NOT NULL,
    user_id         text        COLLATE "C" NOT NULL,
    alert_type      text        COLLATE "C" NOT NULL,
    severity        text        COLLATE "C" NOT NULL,
    title           text        COLLATE "C" NOT NULL,
    message         text        COLLATE "C" NOT NULL,
    detection_rules json        NOT NULL, -- array of names
    status          text        COLLATE "C" NOT NULL DEFAULT 'open',
    acknowledged_by text        COLLATE "C",
    metadata        json        NOT NULL -- object
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
CREATE UNIQUE INDEX risk_alerts_id ON risk_alerts (alert_id);
CREATE INDEX risk_alerts_transaction ON risk_alerts (transaction_id);
CREATE INDEX risk_alerts_user ON risk_alerts (user_id, created_at);
CREATE INDEX risk_alerts_created ON risk_alerts (created_at);

-- Rewritten by each batch that touches a user: room in the page and no index on what changes keep that cheap.
CREATE TABLE user_profiles (
    user_id            text          COLLATE "C" PRIMARY KEY,
    total_transactions bigint        NOT NULL,
    amount_sum         numeric(20,2) NOT NULL,
    amount_max         numeric(15,2) NOT NULL,
    departments        json          NOT NULL, -- object: department -> transactions
    hours              json          NOT NULL, -- array of 24 counts, by local hour of the event
    alert_count        bigint        NOT NULL,
    score_sum          bigint        NOT NULL,
    score_max          smallint      NOT NULL,
    first_seen         timestamptz   NOT NULL,
    last_seen          timestamptz   NOT NULL,
    last_updated       timestamptz   NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE audit_log (
    event_id   text        COLLATE "C" PRIMARY KEY,
    event_type text        COLLATE "C" NOT NULL,
    source     text        COLLATE "C" NOT NULL,
    principal  text        COLLATE "C" NOT NULL,
    severity   text        COLLATE "C" NOT NULL,
    data       json        NOT NULL, -- object
    timestamp  timestamptz NOT NULL
);
CREATE INDEX audit_log_time ON audit_log (timestamp);

CREATE TABLE transaction_patterns (
    pattern_id   text        COLLATE "C" PRIMARY KEY,
    pattern_type text        COLLATE "C" NOT NULL,
    user_id      text        COLLATE "C",
    accounts     json        NOT NULL, -- array
    members      json        NOT NULL, -- array of transaction ids
    risk_score   smallint    NOT NULL,
    description  text        COLLATE "C" NOT NULL,
    first_event  timestamptz NOT NULL,
    last_event   timestamptz NOT NULL
);
CREATE INDEX transaction_patterns_user ON transaction_patterns (user_id);

CREATE TABLE system_metrics (
    id        bigint           PRIMARY KEY, -- offset of the event in system-events
    name      text             COLLATE "C" NOT NULL,
    value     double precision NOT NULL,
    unit      text             COLLATE "C" NOT NULL,
    labels    json             NOT NULL, -- object
    timestamp timestamptz      NOT NULL
);
CREATE INDEX system_metrics_name_time ON system_metrics (name, timestamp);
CREATE INDEX system_metrics_time ON system_metrics USING brin (timestamp);

CREATE VIEW high_risk_transactions AS
    SELECT * FROM transactions WHERE risk_score >= 70;
CREATE VIEW recent_alerts AS
    SELECT * FROM risk_alerts WHERE created_at >= statement_timestamp() - interval '24 hours';
CREATE VIEW transaction_summary AS
    SELECT date_trunc('hour', timestamp, 'UTC') AS hour, department, transaction_type,
           count(*) AS transactions, sum(amount) AS amount_sum, max(amount) AS amount_max,
           sum(risk_score) AS score_sum, max(risk_score) AS score_max,
           count(*) FILTER (WHERE risk_score >= 70) AS alerts
    FROM transactions GROUP BY 1, 2, 3;
CREATE VIEW user_risk_summary AS
    SELECT user_id, total_transactions, alert_count, score_max,
           score_sum::double precision / nullif(total_transactions, 0) AS score_mean, last_seen
    FROM user_profiles;
