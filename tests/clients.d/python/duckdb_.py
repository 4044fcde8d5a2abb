"""DuckDB's postgres extension: attach, list, scan by binary COPY, filters, a query passed through, cancel.

The extension comes from PyPI beside DuckDB, since its own site is not reachable from everywhere.
"""

import http.client
import importlib.resources
import json
import os
import threading
from datetime import timezone
from decimal import Decimal

import duckdb
import psycopg

from checks import REFERENCE, ROW, ROWS, TABLES, TEXT, Checks, await_state, equal, slow, states_sql

checks = Checks("DuckDB")
attached = duckdb.connect(config={"allow_unsigned_extensions": "true"})
NAME = f"extensions/v{duckdb.__version__}/postgres_scanner.duckdb_extension"


def states(name):
    with attached.cursor() as cursor:
        return [row[0] for row in cursor.execute("SELECT * FROM postgres_query('wardhouse', $$" + states_sql(name) + "$$)").fetchall()]


@checks.that("attaches", basic=True)
def _():
    with importlib.resources.as_file(importlib.resources.files("duckdb_extension_postgres_scanner") / NAME) as extension:
        attached.execute(f"LOAD '{extension}'")
    # Who and where libpq reads from the environment.
    attached.execute("ATTACH '' AS wardhouse (TYPE postgres, READ_ONLY)")
    equal(attached.execute("SELECT count(*) FROM wardhouse.ledger.transactions").fetchone(), (ROWS,))


@checks.that("lists tables and columns")
def _():
    tables = {row[0] for row in attached.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'wardhouse' AND schema_name = 'ledger'").fetchall()}
    assert TABLES <= tables, tables
    kinds = dict(attached.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'wardhouse' AND schema_name = 'ledger' AND table_name = 'transactions'").fetchall())
    equal(kinds["amount"], "DECIMAL(15,2)")
    equal(kinds["timestamp"], "TIMESTAMP WITH TIME ZONE")
    equal((kinds["is_anomaly"], kinds["seq"], kinds["risk_score"], kinds["user_id"]), ("BOOLEAN", "BIGINT", "INTEGER", "VARCHAR"))


@checks.that("reads values, with a filter and a parameter", basic=True)
def _():
    row = attached.execute(
        'SELECT transaction_id, "timestamp", user_id, counterparty_account, amount, description, is_anomaly FROM wardhouse.ledger.transactions WHERE transaction_id = ?', ["CLIENT-1"]
    ).fetchone()
    equal((row[0], row[2], row[3], row[4], row[5], row[6]), ("CLIENT-1", "USR-Zoë", None, Decimal("9999999999999.99"), TEXT, False))
    equal(row[1].astimezone(timezone.utc), ROW["timestamp"])


@checks.that("filters are sent to the server")
def _():
    attached.execute("SET pg_experimental_filter_pushdown = true")
    equal(attached.execute("SELECT count(*) FROM wardhouse.ledger.transactions WHERE amount > 0 AND user_id = 'USR-Zoë' AND counterparty_account IS NULL").fetchone(), (1,))
    equal(attached.execute("SELECT count(*) FROM wardhouse.ledger.transactions WHERE \"timestamp\" >= TIMESTAMPTZ '2026-10-20 12:34:57+00'").fetchone(), (2,))


@checks.that("joins tables of two schemas, aggregates all rows")
def _():
    found = attached.execute(
        "SELECT count(*), sum(t.amount) > 9999999999999, count(DISTINCT t.department) > 5 FROM wardhouse.ledger.transactions t JOIN wardhouse.documents.transaction_metadata d USING (transaction_id)"
    ).fetchone()
    equal(found, (ROWS, True, True))


@checks.that("passes a query through")
def _():
    equal(attached.execute("SELECT * FROM postgres_query('wardhouse', 'SELECT count(*) AS n, CAST(max(amount) AS numeric(15,2)) AS most FROM transactions')").fetchone(), (ROWS, Decimal("9999999999999.99")))


def cancel(name):
    if REFERENCE:
        with psycopg.connect("", autocommit=True) as other:
            other.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid()", (f"%{name}%",))
        return
    server = http.client.HTTPConnection(*os.environ["WARDHOUSE_CLIENTS_HTTP"].rsplit(":", 1), timeout=10)
    server.request("GET", "/v1/sql/queries")
    one = next(one for one in json.loads(server.getresponse().read())["running"] if name in (one["sql"] or ""))
    server.request("DELETE", f"/v1/sql/queries/{one['id']}")
    equal(server.getresponse().status, 200)


# Interrupting DuckDB asks nothing of the server (not of PostgreSQL either), so somebody else ends the query.
@checks.that("a query that is cancelled ends in an error; system.queries says so within 1 s")
def _():
    cursor = attached.cursor()
    ended = []

    def run():
        try:
            ended.append(cursor.execute("SELECT * FROM postgres_query('wardhouse', $$" + slow("duckdb-cancel") + "$$)").fetchall())
        except Exception as error:
            ended.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    await_state(lambda: states("slow-duckdb-cancel"), "running", 10)
    cancel("slow-duckdb-cancel")
    await_state(lambda: states("slow-duckdb-cancel"), "cancelled", 1)
    thread.join(5)
    assert ended and "cancel" in str(ended[0]).lower(), ended
    equal(attached.execute("SELECT count(*) FROM wardhouse.ledger.transactions").fetchone(), (ROWS,))


checks.end()
