-- Aggregates of one fixed block of seqs of one partition, by second of event time, department, type and level. Layout version 1.
-- The block is part of a point's identity: writing a block again replaces it.
CREATE TABLE throughput (
    partition        INTEGER NOT NULL,
    block            INTEGER NOT NULL, -- seq / block size
    time             INTEGER NOT NULL, -- microseconds UTC, start of the second
    department       TEXT    NOT NULL,
    transaction_type TEXT    NOT NULL,
    risk_level       TEXT    NOT NULL,
    transactions     INTEGER NOT NULL,
    amount_sum       INTEGER NOT NULL, -- cents
    score_sum        INTEGER NOT NULL,
    score_max        INTEGER NOT NULL,
    alerts           INTEGER NOT NULL,
    PRIMARY KEY (partition, block, time, department, transaction_type, risk_level)
) STRICT, WITHOUT ROWID;
CREATE INDEX throughput_time ON throughput (time);
