"""psycopg 3: text and binary, prepared, server-side cursors, COPY, pipeline, cancel, timeouts, errors."""

import asyncio
import subprocess
import sys
import threading
import time

import psycopg
from psycopg import pq
from psycopg.rows import dict_row

from checks import COLUMNS, HOSTILE_NAME, LITERALS, LITERALS_SQL, REFERENCE, ROW, ROWS, TABLES, TEXT, TRANSACTIONS, Checks, all_equal, await_state, equal, long_rows, slow, states_sql

checks = Checks("psycopg 3")


def connect(**more):
    """Where and who, libpq reads from the environment."""
    return psycopg.connect("", autocommit=True, **more)


def states(name):
    with connect() as other:
        return [row[0] for row in other.execute(states_sql(name))]


@checks.that("connects", basic=True)
def _():
    with connect() as connection:
        equal(connection.execute("SELECT 1 AS one").fetchone(), (1,))
        equal(connection.info.parameter_status("client_encoding"), "UTF8")
        equal(connection.info.parameter_status("standard_conforming_strings"), "on")
        equal(connection.info.parameter_status("integer_datetimes"), "on")
        assert connection.info.server_version >= 120000, connection.info.server_version
        assert connection.info.backend_pid > 0


@checks.that("runs a parameterised query", basic=True)
def _():
    with connect() as connection:
        row = connection.execute("SELECT amount FROM ledger.transactions WHERE transaction_id = %s", ("CLIENT-2",)).fetchone()
        equal(str(row[0]), "0.01")


@checks.that("lists tables and columns")
def _():
    with connect() as connection:
        tables = {row[0] for row in connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", ("ledger",))}
        assert TABLES <= tables, tables
        columns = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position", ("ledger", "transactions")
        )
        equal([row[0] for row in columns], TRANSACTIONS)
        classes = connection.execute(
            "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s", ("ledger",)
        )
        assert TABLES <= {row[0] for row in classes}


for binary in (False, True):
    kind = "binary" if binary else "text"

    @checks.that(f"reads a row as {kind}")
    def _():
        with connect() as connection, connection.cursor(binary=binary, row_factory=dict_row) as cursor:
            row = cursor.execute(f"SELECT {COLUMNS} FROM ledger.transactions WHERE transaction_id = %s", ("CLIENT-1",)).fetchone()
            equal(list(row), list(ROW))
            all_equal(row.values(), list(ROW.values()))

    @checks.that(f"reads every type and its NULL as {kind}")
    def _():
        with connect() as connection, connection.cursor(binary=binary) as cursor:
            all_equal(cursor.execute(LITERALS_SQL).fetchone(), [value for _, value in LITERALS])

    @checks.that(f"sends parameters of every type as {kind}")
    def _():
        placeholder = "%b" if binary else "%t"
        wanted = {
            "user_id": ROW["user_id"],
            "amount": ROW["amount"],
            "timestamp": ROW["timestamp"],
            "is_anomaly": ROW["is_anomaly"],
            "description": TEXT,
            "partition": 2,
        }
        with connect() as connection, connection.cursor() as cursor:
            for column, value in wanted.items():
                found = cursor.execute(f'SELECT count(*) FROM ledger.transactions WHERE "{column}" = {placeholder} AND transaction_id = {placeholder}', (value, "CLIENT-1"))
                equal(found.fetchone(), (1,))
            found = cursor.execute(f"SELECT transaction_id FROM ledger.transactions WHERE transaction_id = ANY({placeholder}) ORDER BY 1", (["CLIENT-1", "CLIENT-3", "none"],))
            equal(found.fetchall(), [("CLIENT-1",), ("CLIENT-3",)])
            found = cursor.execute(f"SELECT count(*) FROM ledger.transactions WHERE counterparty_account = {placeholder}", (None,))
            equal(found.fetchone(), (0,))


@checks.that("a name that would do harm is a value")
def _():
    with connect() as connection:
        rows = connection.execute("SELECT transaction_id, account_id FROM ledger.transactions WHERE user_id = %s", (HOSTILE_NAME,)).fetchall()
        equal(rows, [("CLIENT-3", "ACC-%_\\")])
        equal(connection.execute("SELECT count(*) FROM ledger.transactions").fetchone(), (ROWS,))


@checks.that("an interval comes as one")
def _():
    with connect() as connection:
        found = connection.execute("SELECT max(\"timestamp\") - min(\"timestamp\") FROM ledger.transactions WHERE transaction_id IN ('CLIENT-1', 'CLIENT-2')").fetchone()[0]
        equal(found.total_seconds(), 0.210988)


@checks.that("runs a prepared statement many times")
def _():
    with connect(prepare_threshold=2) as connection:
        for place in range(12):
            name = f"CLIENT-{place % 3 + 1}"
            found = connection.execute("SELECT transaction_id, seq FROM ledger.transactions WHERE transaction_id = %s", (name,)).fetchone()
            equal(found[0], name)
        # Past its limit, psycopg deallocates the oldest.
        connection.prepared_max = 3
        for place in range(8):
            for _ in range(3):
                equal(connection.execute(f"SELECT %s::text || '{place}'", ("a",)).fetchone(), (f"a{place}",))


@checks.that("server-side cursors, over all rows in order")
def _():
    with psycopg.connect("") as connection, connection.cursor(name="all of them") as cursor:
        cursor.itersize = 700
        cursor.execute("SELECT transaction_id, amount FROM ledger.transactions WHERE amount > %s ORDER BY transaction_id", (0,))
        equal(len(cursor.fetchmany(10)), 10)
        rest = [row[0] for row in cursor]
        equal(len(rest), ROWS - 10)
        assert all(one < other for one, other in zip(rest, rest[1:])), "not in order"


@checks.that("COPY (SELECT …) TO STDOUT as text, csv and binary")
def _():
    query = "SELECT transaction_id, amount, description, is_anomaly, \"timestamp\", counterparty_account FROM ledger.transactions"
    with connect() as connection, connection.cursor() as cursor:
        with cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
            rows = {row[0]: row for row in copy.rows()}
        equal(len(rows), ROWS)
        equal(rows["CLIENT-1"][1:4] + rows["CLIENT-1"][5:], ("9999999999999.99", TEXT, "f", None))
        equal(rows["CLIENT-2"][2], "")
        with cursor.copy(f"COPY ({query} WHERE transaction_id = 'CLIENT-1') TO STDOUT WITH (FORMAT csv, HEADER true)") as copy:
            text = b"".join(bytes(part) for part in copy).decode()
        header, rest = text.split("\n", 1)
        equal(header, "transaction_id,amount,description,is_anomaly,timestamp,counterparty_account")
        quoted = TEXT.replace('"', '""')
        assert rest.startswith(f'CLIENT-1,9999999999999.99,"{quoted}",f,2026-10-20 12:34:56.789012+00,'), rest
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["text", "numeric", "text", "bool", "timestamptz", "text"])
            rows = {row[0]: row for row in copy.rows()}
        equal(len(rows), ROWS)
        all_equal(rows["CLIENT-1"], (ROW["transaction_id"], ROW["amount"], TEXT, False, ROW["timestamp"], None))


@checks.that("pipeline, also past an error in its middle")
def _():
    with connect() as connection:
        with connection.pipeline():
            cursors = [connection.execute("SELECT transaction_id FROM ledger.transactions WHERE transaction_id = %s", (f"CLIENT-{place}",)) for place in (1, 2, 3)]
        equal([cursor.fetchone() for cursor in cursors], [("CLIENT-1",), ("CLIENT-2",), ("CLIENT-3",)])
        try:
            with connection.pipeline():
                connection.execute("SELECT 1")
                connection.execute("SELECT no_such_column FROM ledger.transactions")
                connection.execute("SELECT 2")
            raise AssertionError("the error of the pipeline was not told")
        except psycopg.errors.UndefinedColumn:
            pass
        equal(connection.execute("SELECT 3").fetchone(), (3,))
        with connection.cursor() as cursor:
            cursor.executemany("SELECT transaction_id FROM ledger.transactions WHERE transaction_id = %s", [("CLIENT-1",), ("CLIENT-3",)], returning=True)
            found = [cursor.fetchone()]
            while cursor.nextset():
                found.append(cursor.fetchone())
        equal(found, [("CLIENT-1",), ("CLIENT-3",)])


@checks.that("several statements in one message")
def _():
    with connect() as connection:
        cursor = connection.execute("SELECT 1; SELECT 'a;b', 2; -- ; not a statement\nSELECT 3")
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
        equal(found, [[(1,)], [("a;b", 2)], [(3,)]])
        # An empty one is none.
        equal(pq.ExecStatus(connection.pgconn.exec_(b"").status), pq.ExecStatus.EMPTY_QUERY)


@checks.that("rows one by one as they come")
def _():
    with connect() as connection, connection.cursor() as cursor:
        equal(sum(1 for _ in cursor.stream("SELECT * FROM ledger.transactions WHERE amount > %s", (0,))), ROWS)


@checks.that("errors have SQLSTATE and position")
def _():
    expected = [
        ("SELECT transaction_id FRM ledger.transactions", psycopg.errors.SyntaxError, None),
        ("SELECT transaction_id FROM ledger.transaction", psycopg.errors.UndefinedTable, 28),
        ("SELECT 'ü', departmnt FROM ledger.transactions", psycopg.errors.UndefinedColumn, 13),
    ]
    with connect() as connection:
        for statement, kind, position in expected:
            try:
                connection.execute(statement)
            except kind as error:
                assert error.diag.statement_position, f"{statement}: no position"
                if position:
                    equal(int(error.diag.statement_position), position)
                assert error.diag.severity_nonlocalized in ("ERROR", None) and error.diag.message_primary, statement
            else:
                raise AssertionError(f"{statement} was taken")
        equal(connection.execute("SELECT 1").fetchone(), (1,))


if not REFERENCE:

    @checks.that("what writes is refused, and the connection goes on")
    def _():
        with connect() as connection:
            for statement in (
                "DELETE FROM ledger.transactions",
                "UPDATE ledger.transactions SET amount = 0",
                "INSERT INTO ledger.transactions (transaction_id) VALUES ('x')",
                "DROP TABLE ledger.transactions",
                "CREATE TABLE x (y int)",
                "COPY ledger.transactions FROM STDIN",
                "COPY (SELECT 1) TO '/tmp/file'",
                "COPY (SELECT 1) TO PROGRAM 'cat'",
                "SELECT 1 INTO x",
                "WITH gone AS (DELETE FROM ledger.transactions RETURNING 1) SELECT * FROM gone",
            ):
                try:
                    connection.execute(statement)
                except psycopg.Error as error:
                    assert error.sqlstate, statement
                else:
                    raise AssertionError(f"{statement} was taken")
            equal(connection.execute("SELECT count(*) FROM ledger.transactions").fetchone(), (ROWS,))

    @checks.that("wardhouse.read = 'cut' is set, shown and told of in a NOTICE")
    def _():
        with connect() as connection:
            notices = []
            connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
            connection.execute("SET wardhouse.read = 'cut'")
            equal(connection.execute("SHOW wardhouse.read").fetchone(), ("cut",))
            connection.execute("SELECT count(*) FROM ledger.user_profiles").fetchone()
            assert any("user_profiles" in notice for notice in notices), notices


@checks.that("transactions: begin, an error, roll back, begin again")
def _():
    with psycopg.connect("") as connection:
        connection.execute("SELECT 1")
        try:
            connection.execute("SELECT no_such_column FROM ledger.transactions")
        except psycopg.errors.UndefinedColumn:
            connection.rollback()
        equal(connection.execute("SELECT 2").fetchone(), (2,))
        connection.commit()
        with connection.transaction():
            equal(connection.execute("SELECT 3").fetchone(), (3,))
        equal(connection.info.transaction_status, pq.TransactionStatus.IDLE)


@checks.that("read-only and isolation are taken")
def _():
    with psycopg.connect("") as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        equal(connection.execute("SELECT 1").fetchone(), (1,))


@checks.that("statement_timeout ends a query")
def _():
    with connect() as connection:
        connection.execute("SET statement_timeout = '400ms'")
        begun = time.monotonic()
        try:
            connection.execute(slow("psycopg-timeout"))
            raise AssertionError("it was not ended")
        except psycopg.errors.QueryCanceled:
            took = time.monotonic() - begun
        assert took < 2, f"only after {took:.1f} s"
        connection.execute("SET statement_timeout = 0")
        equal(connection.execute("SELECT 1").fetchone(), (1,))
    with connect(options="-c statement_timeout=400") as connection:
        equal(connection.execute("SHOW statement_timeout").fetchone(), ("400ms",))


@checks.that("cancels a running query; system.queries says so within 1 s", basic=True)
def _():
    with connect() as connection:
        ended = []

        def run():
            try:
                connection.execute(slow("psycopg-cancel"))
                ended.append("it ended by itself")
            except psycopg.errors.QueryCanceled:
                ended.append(None)
            except Exception as error:
                ended.append(repr(error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        await_state(lambda: states("slow-psycopg-cancel"), "running", 10)
        connection.cancel_safe()
        await_state(lambda: states("slow-psycopg-cancel"), "cancelled", 1)
        thread.join(2)
        equal(ended, [None])
        equal(connection.execute("SELECT 1").fetchone(), (1,))


@checks.that("cancels while rows are coming")
def _():
    with connect() as connection, connection.cursor() as cursor:
        read = 0
        try:
            for _ in cursor.stream(long_rows("psycopg-stream")):
                read += 1
                if read == 5000:
                    connection.cancel_safe()
                    cancelled = time.monotonic()
            raise AssertionError("it was not cancelled")
        except psycopg.errors.QueryCanceled:
            took = time.monotonic() - cancelled
        assert took < 3, f"rows went on for {took:.1f} s"
        await_state(lambda: states("rows-psycopg-stream"), "cancelled", 1)


if not REFERENCE:
    # PostgreSQL notices only when it writes.

    @checks.that("a client that is killed leaves no query behind")
    def _():
        program = f"import psycopg; psycopg.connect('', autocommit=True).execute({slow('psycopg-killed')!r})"
        client = subprocess.Popen([sys.executable, "-c", program])
        try:
            await_state(lambda: states("slow-psycopg-killed"), "running", 10)
        finally:
            client.kill()
            client.wait()
        await_state(lambda: states("slow-psycopg-killed"), "cancelled", 3)


@checks.that("asynchronously")
def _():
    async def run():
        async with await psycopg.AsyncConnection.connect("", autocommit=True) as connection:
            cursors = await connection.execute("SELECT count(*) FROM ledger.transactions WHERE amount > %s", (0,))
            equal(await cursors.fetchone(), (ROWS,))

    asyncio.run(run())


checks.end()
