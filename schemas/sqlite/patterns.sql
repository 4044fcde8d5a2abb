-- The checkpoint of patterns by account, in the file of the baselines. Beside its layout, version 1, which knows nothing of it: a file
-- that was made before these tables gets them when it is opened.
CREATE TABLE IF NOT EXISTS pattern_checkpoint (
    id          INTEGER NOT NULL PRIMARY KEY CHECK (id = 0),
    owner_epoch INTEGER NOT NULL,
    next_seq    INTEGER NOT NULL, -- of the stream patterns
    next_offset INTEGER NOT NULL, -- of account-activity
    record      TEXT    NOT NULL, -- JSON: counts, decisions; '' where there is no checkpoint yet
    header      BLOB    NOT NULL, -- versioned: partitions, watermark, events held back, see wh_scorer::patterns
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS pattern_accounts (
    account TEXT NOT NULL PRIMARY KEY,
    state   BLOB NOT NULL  -- versioned
) STRICT, WITHOUT ROWID;
