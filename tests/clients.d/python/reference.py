"""Loads PostgreSQL with what Wardhouse holds, so that the checks of the clients can be checked themselves: `tests/clients --reference URL`.

What must stay true: every check but those that only Wardhouse can pass holds on PostgreSQL, so a check that fails on Wardhouse is not the check's own fault.

usage: reference.py URL DATABASE TABLES    makes DATABASE on the server at URL, from the files SCHEMA.TABLE.ndjson in the folder TABLES
       reference.py URL DATABASE           removes it
"""

import json
import pathlib
import sys
from decimal import Decimal

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

# As the SQL engine calls them; PostgreSQL's own names stay as they are.
TYPES = {
    "Utf8": "text",
    "Int32": "integer",
    "Int64": "bigint",
    "Float64": "double precision",
    "Boolean": "boolean",
    'Timestamp(µs, "UTC")': "timestamptz",
    "Decimal128(15, 2)": "numeric(15,2)",
    "Decimal128(20, 2)": "numeric(20,2)",
}
# What the server of PostgreSQL can say of `system.queries`: that a query runs.
QUERIES = """
CREATE SCHEMA system;
CREATE VIEW system.queries AS SELECT pid AS session, query AS sql, CASE state WHEN 'active' THEN 'running' ELSE 'cancelled' END AS state FROM pg_stat_activity
"""


def remove(url, database):
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def make(url, database, tables):
    remove(url, database)
    name = sql.Identifier(database)
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
        server.execute(sql.SQL("ALTER DATABASE {} SET search_path = ledger, public").format(name))
        server.execute(sql.SQL("ALTER DATABASE {} SET timezone = 'UTC'").format(name))
    with psycopg.connect(make_conninfo(url, dbname=database), autocommit=True) as server:
        server.execute(QUERIES)
        columns = {}
        with open(tables / "columns.ndjson", encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                columns.setdefault((line["table_schema"], line["table_name"]), []).append(line)
        for (schema, table), described in columns.items():
            rows = tables / f"{schema}.{table}.ndjson"
            if rows.exists():
                load(server, schema, table, described, rows)


def load(server, schema, table, described, rows):
    server.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    name = sql.Identifier(schema, table)
    with open(rows, encoding="utf-8") as lines:
        read = [json.loads(line, parse_float=Decimal) for line in lines]
    # `SELECT *` leaves a column out that only a search fills.
    described = [one for one in described if one["column_name"] in read[0]]
    column = sql.SQL("{} {} {}")
    declared = [
        column.format(sql.Identifier(one["column_name"]), sql.SQL(TYPES.get(one["data_type"], one["data_type"])), sql.SQL("NOT NULL" if one["is_nullable"] == "NO" else ""))
        for one in described
    ]
    server.execute(sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join(declared)))
    with server.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(name)) as copy:
        for row in read:
            copy.write_row([row[one["column_name"]] for one in described])
    server.execute(sql.SQL("ANALYZE {}").format(name))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        make(sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]))
    else:
        remove(sys.argv[1], sys.argv[2])
