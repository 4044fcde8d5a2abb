-- The scorer's checkpoint: a row a user and a record a partition, written in one transaction. Layout version 1.
CREATE TABLE users (
    partition    INTEGER NOT NULL,
    user_id      TEXT    NOT NULL,
    seq          INTEGER NOT NULL, -- next seq of the checkpoint that wrote it
    transactions INTEGER NOT NULL,
    amount_mean  REAL    NOT NULL, -- currency units, geometric mean of what the baseline learnt
    home_department TEXT NOT NULL,
    last_event   INTEGER NOT NULL, -- microseconds UTC
    alerts       INTEGER NOT NULL,
    state        BLOB    NOT NULL, -- versioned engine state, see wh_scorer::engine
    PRIMARY KEY (partition, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX users_id ON users (user_id);
CREATE TABLE checkpoints (
    partition   INTEGER NOT NULL PRIMARY KEY,
    owner_epoch INTEGER NOT NULL,
    state_epoch INTEGER NOT NULL,
    next_seq    INTEGER NOT NULL,
    next_offset INTEGER NOT NULL, -- of accepted-transactions
    record      TEXT    NOT NULL, -- JSON: origins seen, counts, control records accepted
    updated_at  INTEGER NOT NULL
) STRICT;
-- Fingerprints of the transaction ids seen, one blob a checkpoint: 24 bytes an id {id fingerprint, content fingerprint, seq}.
CREATE TABLE fingerprints (
    partition INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    ids       INTEGER NOT NULL,
    data      BLOB    NOT NULL,
    PRIMARY KEY (partition, first_seq)
) STRICT;
