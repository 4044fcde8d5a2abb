"""Apache Superset itself, started from its package: a database is added, its tables are browsed, SQL Lab asks, a chart is drawn.

What must stay true: all goes over the interface that its own pages use; Superset is stopped at the end.
SUPERSET_HOME has its prepared database of settings (install.sh makes one, tests/clients copies it).
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from urllib.parse import quote

import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))
from checks import ROWS, SECURE, TABLES, TRANSACTIONS, Checks, equal  # noqa: E402

checks = Checks("Superset")
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
base = f"http://127.0.0.1:{port}"
session = requests.Session()
log = open(os.path.join(os.environ["SUPERSET_HOME"], "superset.log"), "w+", encoding="utf-8")
server = subprocess.Popen([os.path.join(os.path.dirname(sys.executable), "superset"), "run", "-p", str(port), "--with-threads"], stdout=log, stderr=log)
made = {}


def call(method, path, **more):
    response = session.request(method, base + path, timeout=60, **more)
    assert response.ok, f"{method} {path}: {response.status_code} {response.text[:500]}"
    return response.json()


def address():
    value = os.environ.get
    password = f":{quote(value('PGPASSWORD'), safe='')}" if value("PGPASSWORD") else ""
    encryption = f"?sslmode=verify-full&sslrootcert={value('PGSSLROOTCERT')}" if SECURE else ""
    return f"postgresql+psycopg2://{value('PGUSER')}{password}@{value('PGHOST')}:{value('PGPORT')}/{value('PGDATABASE')}{encryption}"


@checks.that("starts", basic=True)
def _():
    until = time.monotonic() + 55
    while True:
        try:
            if requests.get(base + "/health", timeout=5).ok:
                break
        except requests.ConnectionError:
            pass
        if server.poll() is not None or time.monotonic() > until:
            log.seek(0)
            raise AssertionError("it does not answer: " + log.read()[-500:])
        time.sleep(0.3)
    token = call("POST", "/api/v1/security/login", json={"username": "admin", "password": "admin", "provider": "db", "refresh": False})["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"


@checks.that("tests and adds the database", basic=True)
def _():
    call("POST", "/api/v1/database/test_connection/", json={"sqlalchemy_uri": address(), "database_name": "wardhouse", "impersonate_user": False})
    made["database"] = call("POST", "/api/v1/database/", json={"sqlalchemy_uri": address(), "database_name": "wardhouse", "expose_in_sqllab": True})["id"]


@checks.that("browses schemas, tables and columns", basic=True)
def _():
    place = f"/api/v1/database/{made['database']}"
    schemas = call("GET", f"{place}/schemas/?q=(force:!t)")["result"]
    assert {"ledger", "documents", "metrics", "baselines", "search", "system"} <= set(schemas), schemas
    tables = {one["value"] for one in call("GET", f"{place}/tables/?q=(force:!t,schema_name:ledger)")["result"]}
    assert TABLES <= tables, tables
    described = call("GET", f"{place}/table_metadata/?name=transactions&schema=ledger")
    equal([column["name"] for column in described["columns"]], TRANSACTIONS)
    kinds = {column["name"]: column["type"] for column in described["columns"]}
    equal((kinds["amount"], kinds["is_anomaly"], kinds["seq"]), ("NUMERIC", "BOOLEAN", "BIGINT"))
    call("GET", f"{place}/table_metadata/extra/?name=transactions&schema=ledger")
    # Its preview of a table.
    assert "FROM" in described["selectStar"].upper(), described["selectStar"]


@checks.that("SQL Lab runs a query")
def _():
    sql = "SELECT transaction_id, amount, description, counterparty_account, is_anomaly FROM ledger.transactions WHERE transaction_id LIKE 'CLIENT-%' ORDER BY 1"
    found = call("POST", "/api/v1/sqllab/execute/", json={"database_id": made["database"], "sql": sql, "schema": "ledger", "runAsync": False, "queryLimit": 100, "client_id": "lab1"})
    equal([row["transaction_id"] for row in found["data"]], ["CLIENT-1", "CLIENT-2", "CLIENT-3"])
    equal((found["data"][0]["counterparty_account"], found["data"][0]["is_anomaly"]), (None, False))
    response = session.post(
        base + "/api/v1/sqllab/execute/",
        json={"database_id": made["database"], "sql": "SELECT no_such_column FROM ledger.transactions", "schema": "ledger", "runAsync": False, "client_id": "lab2"},
        timeout=60,
    )
    assert not response.ok and "no_such_column" in response.text, response.text[:300]


@checks.that("SQL Lab explains a query")
def _():
    found = call("POST", "/api/v1/sqllab/execute/", json={"database_id": made["database"], "sql": "EXPLAIN SELECT count(*) FROM ledger.transactions", "schema": "ledger", "runAsync": False, "client_id": "lab3"})
    assert found["data"], found


@checks.that("makes a dataset of a table")
def _():
    made["dataset"] = call("POST", "/api/v1/dataset/", json={"database": made["database"], "schema": "ledger", "table_name": "transactions"})["id"]
    columns = call("GET", f"/api/v1/dataset/{made['dataset']}")["result"]["columns"]
    kinds = {column["column_name"]: column for column in columns}
    equal(len(kinds), len(TRANSACTIONS))
    assert kinds["timestamp"]["is_dttm"], kinds["timestamp"]


def drawn(name, kind, query, form):
    context = {
        "datasource": {"id": made["dataset"], "type": "table"},
        "force": True,
        "queries": [query],
        "form_data": form | {"datasource": f"{made['dataset']}__table", "viz_type": kind},
        "result_format": "json",
        "result_type": "full",
    }
    chart = call(
        "POST",
        "/api/v1/chart/",
        json={
            "slice_name": name,
            "viz_type": kind,
            "datasource_id": made["dataset"],
            "datasource_type": "table",
            "params": json.dumps(context["form_data"]),
            "query_context": json.dumps(context),
        },
    )["id"]
    # As its page does when the chart is looked at.
    by_id = call("GET", f"/api/v1/chart/{chart}/data/")["result"][0]
    by_context = call("POST", "/api/v1/chart/data", json=context)["result"][0]
    for found in (by_id, by_context):
        assert found["status"] == "success" and not found["error"], found
    equal(by_id["rowcount"], by_context["rowcount"])
    return by_id["data"]


@checks.that("draws a chart: a series by day")
def _():
    data = drawn(
        "transactions by day",
        "echarts_timeseries_line",
        {
            "columns": [{"timeGrain": "P1D", "columnType": "BASE_AXIS", "sqlExpression": "timestamp", "label": "timestamp", "expressionType": "SQL"}],
            "metrics": ["count", {"expressionType": "SIMPLE", "column": {"column_name": "amount"}, "aggregate": "SUM", "label": "amount"}],
            "filters": [{"col": "timestamp", "op": "TEMPORAL_RANGE", "val": "2026-01-01 : 2026-01-31"}],
            "granularity": "timestamp",
            "row_limit": 1000,
            "orderby": [],
        },
        {"x_axis": "timestamp", "time_grain_sqla": "P1D"},
    )
    assert 20 <= len(data) <= 31, len(data)
    assert all(row["count"] > 0 for row in data), data[:3]


@checks.that("draws a chart: departments by type, with filters")
def _():
    data = drawn(
        "departments by type",
        "table",
        {
            "columns": ["department", "transaction_type"],
            "metrics": ["count", {"expressionType": "SQL", "sqlExpression": "AVG(amount)", "label": "mean"}],
            "filters": [{"col": "risk_level", "op": "IN", "val": ["medium", "high"]}, {"col": "counterparty_account", "op": "IS NOT NULL"}, {"col": "amount", "op": ">", "val": 10}],
            "orderby": [["count", False]],
            "row_limit": 20,
        },
        {},
    )
    equal(len(data), 20)
    assert data[0]["count"] >= data[-1]["count"] > 0, data


@checks.that("draws a chart: one number")
def _():
    data = drawn("all", "big_number_total", {"columns": [], "metrics": ["count"], "filters": [], "orderby": []}, {})
    equal(data, [{"count": ROWS}])


server.terminate()
try:
    server.wait(10)
except subprocess.TimeoutExpired:
    server.kill()
checks.end()
