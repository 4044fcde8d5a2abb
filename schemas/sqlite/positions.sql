-- What each embedded store says of itself: its layout, and how far each stream is visible in it.
CREATE TABLE wardhouse_layout (
    store   TEXT    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT;
CREATE TABLE positions (
    stream      TEXT    NOT NULL, -- 'scorer', 'patterns', 'system-events'; 'log': of which log they are, its mark in next_offset
    partition   INTEGER NOT NULL,
    next_seq    INTEGER NOT NULL, -- every seq below it is settled here
    next_offset INTEGER NOT NULL, -- offset of the topic from which reading goes on
    stored      INTEGER NOT NULL DEFAULT 0,
    duplicates  INTEGER NOT NULL DEFAULT 0,
    dead_letters INTEGER NOT NULL DEFAULT 0,
    discarded   INTEGER NOT NULL DEFAULT 0,
    visible_seq INTEGER NOT NULL DEFAULT 0, -- rows below it can be read here; above next_seq only where an open block is rewritten
    unreadable  INTEGER NOT NULL DEFAULT 0, -- buried records behind the last seq that could not be read: each may stand for the next
    floor_seq   INTEGER NOT NULL DEFAULT 0, -- rows below it may have been removed by retention
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (stream, partition)
) STRICT, WITHOUT ROWID;
