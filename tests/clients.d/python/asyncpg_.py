"""asyncpg: binary throughout, prepared statements, introspection of types, cursors, a pool, cancel by a time-out."""

import asyncio
import time
from decimal import Decimal

import asyncpg

from checks import COLUMNS, HOSTILE_NAME, LITERALS, LITERALS_SQL, ROW, ROWS, TABLES, Checks, all_equal, await_state, equal, slow, states_sql

checks = Checks("asyncpg")


def that(what, basic=False):
    """A check with a connection of its own."""

    def decorate(function):
        async def run():
            connection = await asyncpg.connect()
            try:
                await function(connection)
            finally:
                await connection.close(timeout=5)

        checks.that(what, basic)(lambda: asyncio.run(run()))

    return decorate


async def states(name):
    other = await asyncpg.connect()
    try:
        return [row["state"] for row in await other.fetch(states_sql(name))]
    finally:
        await other.close(timeout=5)


async def until(name, wanted, seconds):
    # The wait is one for programs without a loop.
    return await asyncio.to_thread(await_state, lambda: asyncio.run(states(name)), wanted, seconds)


@that("connects and runs a parameterised query", basic=True)
async def _(connection):
    equal(await connection.fetchval("SELECT amount FROM ledger.transactions WHERE transaction_id = $1", "CLIENT-2"), Decimal("0.01"))
    assert connection.get_server_version().major >= 12


@that("lists tables")
async def _(connection):
    rows = await connection.fetch("SELECT table_name FROM information_schema.tables WHERE table_schema = $1", "ledger")
    assert TABLES <= {row["table_name"] for row in rows}
    equal(await connection.fetchval("SELECT to_regclass('ledger.no_such_table')::text"), None)


@that("reads a row and every type")
async def _(connection):
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM ledger.transactions WHERE transaction_id = $1", "CLIENT-1")
    all_equal(dict(row).values(), list(ROW.values()))
    all_equal((await connection.fetchrow(LITERALS_SQL)).values(), [value for _, value in LITERALS])


@that("parameters of every type, and a list")
async def _(connection):
    for column in ("user_id", "amount", "timestamp", "is_anomaly", "description"):
        equal(await connection.fetchval(f'SELECT count(*) FROM ledger.transactions WHERE "{column}" = $1 AND transaction_id = $2', ROW[column], "CLIENT-1"), 1)
    rows = await connection.fetch("SELECT transaction_id FROM ledger.transactions WHERE transaction_id = ANY($1) ORDER BY 1 LIMIT $2", ["CLIENT-1", "CLIENT-3", "none"], 5)
    equal([row[0] for row in rows], ["CLIENT-1", "CLIENT-3"])
    equal(await connection.fetchval("SELECT account_id FROM ledger.transactions WHERE user_id = $1", HOSTILE_NAME), "ACC-%_\\")
    equal(await connection.fetchval("SELECT count(*) FROM ledger.transactions WHERE counterparty_account = $1", None), 0)


@that("describes a prepared statement")
async def _(connection):
    statement = await connection.prepare('SELECT transaction_id, amount, "timestamp" FROM ledger.transactions WHERE user_id = $1 AND amount > $2 AND seq >= $3')
    equal([(one.name, one.type.name) for one in statement.get_attributes()], [("transaction_id", "text"), ("amount", "numeric"), ("timestamp", "timestamptz")])
    equal([one.name for one in statement.get_parameters()], ["text", "numeric", "int8"])
    equal(len(await statement.fetch(ROW["user_id"], Decimal(1), 0)), 1)
    equal(len(await statement.fetch(ROW["user_id"], Decimal(0), 0)), 2)


@that("asks the server about a type")
async def _(connection):
    # By name, and by what it knows of an array's oid.
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=float)
    equal(await connection.fetchval("SELECT CAST(1.50 AS numeric(15,2))"), 1.5)
    equal(await connection.fetchval("SELECT count(*) FROM ledger.transactions WHERE risk_score = ANY($1::int[])", [-1, -2]), 0)
    equal(await connection.fetchval("SELECT relname FROM pg_class WHERE oid = $1::regclass", "ledger.transactions"), "transactions")


@that("a cursor in a transaction, over all rows in order")
async def _(connection):
    async with connection.transaction(readonly=True):
        rows = [row[0] async for row in connection.cursor("SELECT transaction_id FROM ledger.transactions WHERE amount > $1 ORDER BY 1", Decimal(0), prefetch=300)]
        cursor = await connection.cursor("SELECT transaction_id FROM ledger.transactions ORDER BY 1")
        equal(len(await cursor.fetch(10)), 10)
        equal(await cursor.forward(5), 5)
        equal((await cursor.fetchrow())[0], rows[15])
    equal(len(rows), ROWS)
    equal(rows, sorted(rows, key=lambda one: one.encode()))


@that("copies a query's rows out")
async def _(connection):
    parts = []

    async def take(part):
        parts.append(part)

    said = await connection.copy_from_query("SELECT transaction_id FROM ledger.transactions WHERE amount > $1", Decimal(0), output=take)
    equal(said, f"COPY {ROWS}")
    equal(b"".join(parts).count(b"\n"), ROWS)


@that("a pool gives its connections back clean")
async def _(_connection):
    async with asyncpg.create_pool(min_size=1, max_size=2) as pool:
        for _ in range(5):
            async with pool.acquire() as connection:
                await connection.execute("SET statement_timeout = '1min'")
                equal(await connection.fetchval("SELECT 1"), 1)
        async with pool.acquire() as connection:
            equal(await connection.fetchval("SHOW statement_timeout"), "0")


@that("errors have SQLSTATE, and the connection goes on")
async def _(connection):
    for statement, kind in (
        ("SELECT no_such_column FROM ledger.transactions", asyncpg.UndefinedColumnError),
        ("SELECT 1 FROM ledger.no_such_table", asyncpg.UndefinedTableError),
        ("SELEC 1", asyncpg.PostgresSyntaxError),
    ):
        try:
            await connection.fetch(statement)
        except kind:
            pass
        else:
            raise AssertionError(f"{statement} was taken")
    equal(await connection.fetchval("SELECT 1"), 1)


@that("cancels a running query; system.queries says so within 1 s", basic=True)
async def _(connection):
    task = asyncio.create_task(connection.execute(slow("asyncpg-cancel")))
    await until("slow-asyncpg-cancel", "running", 10)
    begun = time.monotonic()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    await until("slow-asyncpg-cancel", "cancelled", 1)
    # The next statement waits until the cancellation has arrived.
    equal(await connection.fetchval("SELECT 1"), 1)
    assert time.monotonic() - begun < 5


@that("cancels by its own time-out")
async def _(connection):
    try:
        await connection.fetch(slow("asyncpg-timeout"), timeout=1)
        raise AssertionError("it was not ended")
    except TimeoutError:
        pass
    await until("slow-asyncpg-timeout", "cancelled", 1)
    equal(await connection.fetchval("SELECT 1"), 1)


checks.end()
