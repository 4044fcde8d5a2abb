#!/bin/bash
# Run once by the image, when the database is made: the owner of Wardhouse's tables, and a reader for Grafana who can change nothing.
set -euo pipefail
psql -X -v ON_ERROR_STOP=1 --username postgres --dbname postgres \
    -v wardhouse="$(cat /run/secrets/wardhouse_password)" -v reader="$(cat /run/secrets/reader_password)" <<'SQL'
CREATE ROLE wardhouse LOGIN PASSWORD :'wardhouse';
CREATE DATABASE wardhouse OWNER wardhouse;
REVOKE ALL ON DATABASE wardhouse FROM PUBLIC;
CREATE ROLE reader LOGIN PASSWORD :'reader' IN ROLE pg_read_all_data CONNECTION LIMIT 10;
ALTER ROLE reader SET default_transaction_read_only = on;
ALTER ROLE reader SET statement_timeout = '30s';
GRANT CONNECT ON DATABASE wardhouse TO reader;
SQL
