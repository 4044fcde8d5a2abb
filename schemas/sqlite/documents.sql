-- One document a transaction: its metadata and the full explanation of its score. Layout version 1.
CREATE TABLE documents (
    pos            INTEGER PRIMARY KEY, -- (partition << 40) | seq
    partition      INTEGER GENERATED ALWAYS AS (pos >> 40) VIRTUAL,
    seq            INTEGER GENERATED ALWAYS AS (pos & 0xFFFFFFFFFF) VIRTUAL,
    transaction_id TEXT    NOT NULL,
    user_id        TEXT    NOT NULL,
    timestamp      INTEGER NOT NULL,
    processed_at   INTEGER NOT NULL, -- append time of the scored record
    metadata       BLOB    NOT NULL, -- JSONB object
    explanation    BLOB    NOT NULL  -- JSONB object {risk_score, risk_level, dimensions, reasons, alerts, ruleset, state_epoch}
) STRICT;
CREATE UNIQUE INDEX documents_id ON documents (transaction_id);
