-- What a database of Wardhouse says of itself. Made before the first migration.
CREATE TABLE wardhouse_layout (
    store       text        COLLATE "C" PRIMARY KEY,
    version     bigint      NOT NULL, -- of the last migration that ran
    migrated_at timestamptz NOT NULL
);
