-- The log as an embedded SQLite file: one row a record batch. Layout version 1.
-- Tells one log from another: stores and checkpoints number by it.
CREATE TABLE identity (id TEXT NOT NULL) STRICT;
INSERT INTO identity (id) VALUES (lower(hex(randomblob(16))));
CREATE TABLE topics (
    topic_id   INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    partitions INTEGER NOT NULL,
    retention_ms INTEGER NOT NULL, -- -1: for ever
    compacted  INTEGER NOT NULL
) STRICT;
CREATE TABLE partitions (
    topic_id    INTEGER NOT NULL,
    partition   INTEGER NOT NULL,
    start_offset INTEGER NOT NULL, -- the first that is still there
    next_offset INTEGER NOT NULL,
    bytes       INTEGER NOT NULL, -- compressed, of all batches that are there
    PRIMARY KEY (topic_id, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE batches (
    topic_id    INTEGER NOT NULL,
    partition   INTEGER NOT NULL,
    base_offset INTEGER NOT NULL,
    records     INTEGER NOT NULL,
    append_time INTEGER NOT NULL, -- microseconds UTC
    data        BLOB    NOT NULL, -- see wh_eventlog::embedded::block
    PRIMARY KEY (topic_id, partition, base_offset)
) STRICT;
CREATE TABLE group_offsets (
    group_name  TEXT    NOT NULL,
    topic_id    INTEGER NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    metadata    TEXT    NOT NULL, -- the group's own note to that offset, e.g. its counts
    updated_at  INTEGER NOT NULL,   -- 0: registered, nothing committed yet
    PRIMARY KEY (group_name, topic_id, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE group_epochs (
    group_name TEXT    NOT NULL PRIMARY KEY,
    epoch      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
