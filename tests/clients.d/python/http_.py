"""HTTP: `POST /v1/sql` as JSON, NDJSON, CSV and Arrow, parameters, settings, errors, progress, cancel. Python's own client."""

import base64
import csv
import http.client
import io
import json
import os
import ssl
import threading
from decimal import Decimal

import pyarrow.ipc

from checks import HOSTILE_NAME, ROWS, SECURE, TABLES, TEXT, Checks, await_state, equal, long_rows, slow

checks = Checks("HTTP")
HOST, PORT = os.environ["WARDHOUSE_CLIENTS_HTTP"].rsplit(":", 1)


def send(method, path, body=None, password=None, **headers):
    """The response, and what ends it."""
    if SECURE:
        connection = http.client.HTTPSConnection(HOST, int(PORT), timeout=60, context=ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"]))
        user = f"{os.environ['PGUSER']}:{password or os.environ['PGPASSWORD']}"
        headers.setdefault("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    else:
        connection = http.client.HTTPConnection(HOST, int(PORT), timeout=60)
    if body is not None and not isinstance(body, (bytes, str)):
        body, headers["Content-Type"] = json.dumps(body), "application/json"
    connection.request(method, path, body.encode() if isinstance(body, str) else body, {name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


def ask(sql, *parameters, form="json", **more):
    response = send("POST", "/v1/sql", {"sql": sql, "parameters": list(parameters), "format": form} | more)
    content = response.read()
    assert response.status == 200, f"{response.status}: {content[:400]!r}"
    return content


def answer(sql, *parameters, **more):
    return json.loads(ask(sql, *parameters, **more), parse_float=Decimal)


def queries():
    return json.loads(send("GET", "/v1/sql/queries").read())


def states(name):
    found = queries()
    return [one["state"] for one in found["running"] + found["recent"] if name in (one["sql"] or "")]


@checks.that("answers a parameterised query as JSON", basic=True)
def _():
    found = answer(
        "SELECT transaction_id, amount, description, counterparty_account, is_anomaly, \"timestamp\" FROM ledger.transactions WHERE transaction_id = $1 AND amount > $2", "CLIENT-1", 5
    )
    equal(found["rows"], [["CLIENT-1", Decimal("9999999999999.99"), TEXT, None, False, found["rows"][0][5]]])
    assert found["rows"][0][5].startswith("2026-10-20T12:34:56.789012"), found["rows"]
    equal([column["name"] for column in found["columns"]][:2], ["transaction_id", "amount"])
    equal(answer("SELECT account_id FROM ledger.transactions WHERE user_id = $1", HOSTILE_NAME)["rows"], [["ACC-%_\\"]])


if SECURE:

    @checks.that("a wrong password is refused, a token is taken", basic=True)
    def _():
        equal(send("POST", "/v1/sql", "SELECT 1", password="not-it", Content_Type="text/plain").status, 401)
        equal(send("POST", "/v1/sql", "SELECT 1", Authorization="", Content_Type="text/plain").status, 401)
        token = json.loads(send("POST", "/v1/sql/token").read())["token"]
        equal(send("POST", "/v1/sql", "SELECT 1", Authorization=f"Bearer {token}", Content_Type="text/plain").status, 200)


@checks.that("lists tables", basic=True)
def _():
    tables = json.loads(send("GET", "/v1/sql/tables").read())["tables"]
    assert TABLES <= {table["name"] for table in tables if table["schema"] == "ledger"}


@checks.that("NDJSON, CSV and Arrow, all rows")
def _():
    sql = "SELECT transaction_id, amount, description, is_anomaly FROM ledger.transactions"
    rows = {row["transaction_id"]: row for row in (json.loads(line, parse_float=Decimal) for line in ask(sql, form="ndjson").splitlines())}
    equal(len(rows), ROWS)
    equal(rows["CLIENT-1"], {"transaction_id": "CLIENT-1", "amount": Decimal("9999999999999.99"), "description": TEXT, "is_anomaly": False})
    table = list(csv.reader(io.StringIO(ask(sql, form="csv").decode(), newline="")))
    equal(len(table), ROWS + 1)
    assert ["CLIENT-1", "9999999999999.99", TEXT, "false"] in table
    with pyarrow.ipc.open_stream(io.BytesIO(ask(sql, form="arrow"))) as stream:
        arrow = stream.read_all()
    equal(arrow.num_rows, ROWS)
    equal(arrow.schema.field("amount").type, pyarrow.decimal128(15, 2))


@checks.that("a statement as text, the form by Accept")
def _():
    response = send("POST", "/v1/sql", "SELECT 'ü' AS a, 1 AS b", Content_Type="text/plain", Accept="text/csv")
    equal((response.status, response.read().decode()), (200, "a,b\nü,1\n"))


@checks.that("errors have a status, SQLSTATE and place")
def _():
    response = send("POST", "/v1/sql", {"sql": "SELECT transaction_id\nFROM ledger.transactons"})
    error = json.loads(response.read())["error"]
    equal((response.status, error["sqlstate"], error["line"], error["column"]), (400, "42P01", 2, 6))
    for body, status in (({"sql": "DELETE FROM ledger.transactions"}, 403), ({"sql": "SELEC"}, 400), ({"nothing": 1}, 400), ({"sql": "SELECT $1"}, 400)):
        equal(send("POST", "/v1/sql", body).status, status)
    equal(answer("SELECT 1 AS one")["rows"], [[1]])


@checks.that("settings of a request: a time-out")
def _():
    response = send("POST", "/v1/sql", {"sql": slow("http-timeout"), "settings": {"statement_timeout": "500ms"}})
    content = json.loads(response.read())
    # Within the first rows' grace by the status, later in the body.
    equal((response.status == 504 or response.status == 200, content["error"]["sqlstate"]), (True, "57014"))


@checks.that("cancels a running query; the list says so within 1 s", basic=True)
def _():
    ended = []
    thread = threading.Thread(target=lambda: ended.append(send("POST", "/v1/sql", {"sql": slow("http-cancel")}).read()), daemon=True)
    thread.start()
    await_state(lambda: states("slow-http-cancel"), "running", 10)
    one = next(one for one in queries()["running"] if "slow-http-cancel" in one["sql"])
    # Progress: what it has read so far, by store.
    progress = json.loads(send("GET", f"/v1/sql/queries/{one['id']}").read())
    equal((progress["way"], progress["state"]), ("http", "running"))
    equal(json.loads(send("DELETE", f"/v1/sql/queries/{one['id']}").read())["cancelled"], True)
    await_state(lambda: states("slow-http-cancel"), "cancelled", 1)
    thread.join(5)
    assert ended and b"57014" in ended[0], ended


@checks.that("a client that goes away ends its query")
def _():
    response = send("POST", "/v1/sql", {"sql": long_rows("http-gone"), "format": "ndjson"})
    assert response.read(100_000)
    response.close()
    await_state(lambda: states("rows-http-gone"), "cancelled", 2)


checks.end()
