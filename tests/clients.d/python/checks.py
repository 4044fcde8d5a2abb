"""What the checks of every Python client share: one line a check, the expected values, and the wait for a cancelled query.

What must stay true: a check that raises or takes a minute is one that failed, and the next goes on; nothing here belongs to one client.

The environment says where: libpq's own variables (PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE, PGSSLROOTCERT),
WARDHOUSE_CLIENTS_FLIGHT and WARDHOUSE_CLIENTS_HTTP (HOST:PORT). WARDHOUSE_CLIENTS_REFERENCE is set where PostgreSQL itself is asked.
With `basics` as argument only those checks run that are marked so.
"""

import math
import os
import sys
import threading
import time
import traceback
from datetime import date, datetime, timezone
from decimal import Decimal

REFERENCE = "WARDHOUSE_CLIENTS_REFERENCE" in os.environ
BASICS = "basics" in sys.argv[1:]
SECURE = os.environ.get("PGSSLMODE", "disable") != "disable"

# Rows of tests/clients.d/rows.ndjson beside the generated ones.
GENERATED = 20_000
ROWS = GENERATED + 3
TEXT = "Zürich – 東京 🏥 \"quoted\" \\ back, comma; it's\nline two\ttab"
# Columns of the row CLIENT-1, and what each must be.
ROW = {
    "transaction_id": "CLIENT-1",
    "timestamp": datetime(2026, 10, 20, 12, 34, 56, 789012, tzinfo=timezone.utc),
    "user_id": "USR-Zoë",
    "counterparty_account": None,
    "department": "Chirurgie 外科",
    "amount": Decimal("9999999999999.99"),
    "description": TEXT,
    "is_anomaly": False,
}
COLUMNS = ", ".join(f'"{name}"' for name in ROW)
# The columns of `ledger.transactions`, in order.
TRANSACTIONS = (
    "transaction_id timestamp user_id account_id counterparty_account department transaction_type amount description risk_score risk_level is_anomaly "
    "amount_score time_score frequency_score behavior_score metadata_score detection_rules ruleset metadata content_hash processed_at partition seq"
).split()
TABLES = {"transactions", "risk_alerts", "user_profiles"}
# A name that would do harm if it were ever formatted into text.
HOSTILE_NAME = "O'Brien; DROP TABLE transactions;--"

# Expressions of each type, and their values.
LITERALS = [
    ("CAST(-32768 AS smallint)", -32768),
    ("CAST(-2147483648 AS integer)", -2147483648),
    ("CAST(9223372036854775807 AS bigint)", 9223372036854775807),
    ("CAST(1.5 AS real)", 1.5),
    ("CAST(-0.1 AS double precision)", -0.1),
    ("CAST('NaN' AS double precision)", math.nan),
    ("CAST(-9999999999999.99 AS numeric(15,2))", Decimal("-9999999999999.99")),
    ("CAST(0 AS numeric(15,2))", Decimal("0.00")),
    ("true", True),
    ("false", False),
    ("'Zürich – 東京 🏥'", "Zürich – 東京 🏥"),
    ("''", ""),
    ("CAST('2026-02-28' AS date)", date(2026, 2, 28)),
    ("CAST('2026-02-28 12:34:56.789012' AS timestamp)", datetime(2026, 2, 28, 12, 34, 56, 789012)),
    ("CAST('2026-02-28T12:34:56.789012Z' AS timestamptz)", datetime(2026, 2, 28, 12, 34, 56, 789012, tzinfo=timezone.utc)),
    ("ARRAY[1, 2, NULL]", [1, 2, None]),
    ("ARRAY['a', NULL, '\"ü,']", ["a", None, '"ü,']),
    ("CAST(NULL AS integer)", None),
    ("CAST(NULL AS numeric(15,2))", None),
    ("CAST(NULL AS timestamptz)", None),
    ("CAST(NULL AS boolean)", None),
    ("CAST(NULL AS text)", None),
]
LITERALS_SQL = "SELECT " + ", ".join(f"{expression} AS c{place}" for place, (expression, _) in enumerate(LITERALS))


class Checks:
    """The checks of one client."""

    def __init__(self, client):
        self.client = client
        self.failed = 0

    def that(self, what, basic=False):
        """Runs the decorated function at once: it passes unless it raises."""

        def run(function):
            if BASICS and not basic:
                return
            error = ended(function)
            if error is not None:
                self.failed += 1
                places = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == os.path.abspath(sys.argv[0])]
                said = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"FAILED: {self.client}: {what} (line {places[-1] if places else '?'}: {said[:600]})", flush=True)
            else:
                print(f"ok: {self.client}: {what}", flush=True)

        return run

    def skip(self, what, reason):
        print(f"skipped: {self.client}: {what} ({reason})", flush=True)

    def end(self):
        # Not through the interpreter's own end: a client that waits for its threads must not hold up what has been said.
        sys.stdout.flush()
        os._exit(1 if self.failed else 0)


def ended(function):
    """What the function raised, if anything; a minute is its limit, and what hangs is left behind."""
    raised = []

    def run():
        try:
            function()
            raised.append(None)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    return raised[0] if raised else TimeoutError("it did not end within 60 s")


def equal(found, expected):
    if isinstance(expected, float) and math.isnan(expected):
        assert isinstance(found, float) and math.isnan(found), f"{found!r} instead of NaN"
        return
    assert found == expected, f"{found!r} instead of {expected!r}"
    # A boolean that comes as 1, or money that comes as a float, would be equal.
    if expected is not None:
        assert isinstance(found, type(expected)), f"{type(found).__name__} instead of {type(expected).__name__}"


def all_equal(found, expected):
    found = list(found)
    assert len(found) == len(expected), f"{len(found)} values instead of {len(expected)}"
    for place, (one, other) in enumerate(zip(found, expected)):
        try:
            equal(one, other)
        except AssertionError as error:
            raise AssertionError(f"column {place + 1}: {error}") from error


def slow(name):
    """A query that takes minutes, holds little memory, and can be told by `name` in the list of queries."""
    return (
        "SELECT count(*) FROM ledger.transactions a CROSS JOIN ledger.transactions b "
        f"WHERE regexp_replace(a.content_hash || b.content_hash, '[a-f]+', 'x', 'g') = 'slow-{name}'"
    )


def long_rows(name):
    """A query with hundreds of millions of rows."""
    return f"SELECT a.transaction_id, b.transaction_id AS other, 'rows-{name}' AS name FROM ledger.transactions a CROSS JOIN ledger.transactions b"


def states_sql(name):
    """What the server's own list says of the queries that `name` stands in."""
    return f"SELECT state FROM system.queries WHERE sql LIKE '%{name}%' AND sql NOT LIKE '%system.queries%'"


def await_state(states, wanted, seconds):
    """Waits until every state that `states()` gives is `wanted`, and there is one; the seconds that it took."""
    begun = time.monotonic()
    while True:
        found = {str(state).lower() for state in states()}
        took = time.monotonic() - begun
        # PostgreSQL's list knows only who is connected.
        if found == {wanted} or (REFERENCE and wanted == "cancelled" and not found):
            # A protocol may still be between two of its messages when a query first shows.
            time.sleep(0.3 if wanted == "running" else 0)
            return took
        assert took < seconds, f"after {took:.2f} s system.queries says {sorted(found) or 'nothing'} instead of {wanted}"
        time.sleep(0.05)
