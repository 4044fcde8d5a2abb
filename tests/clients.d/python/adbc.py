"""ADBC over Flight SQL: connect, catalog, parameters, Arrow types, batches as they come, cancel."""

import os
import threading
from datetime import timezone
from decimal import Decimal

import adbc_driver_flightsql
import pyarrow
from adbc_driver_flightsql import DatabaseOptions, dbapi

from checks import COLUMNS, HOSTILE_NAME, LITERALS, LITERALS_SQL, ROW, ROWS, SECURE, TABLES, TRANSACTIONS, Checks, all_equal, await_state, equal, slow, states_sql

checks = Checks("ADBC Flight SQL")


def connect(password=None):
    place = os.environ["WARDHOUSE_CLIENTS_FLIGHT"]
    options = {}
    if SECURE:
        with open(os.environ["PGSSLROOTCERT"], encoding="ascii") as certificate:
            options[DatabaseOptions.TLS_ROOT_CERTS.value] = certificate.read()
        options["username"] = os.environ["PGUSER"]
        options["password"] = password or os.environ["PGPASSWORD"]
    return dbapi.connect(f"grpc{'+tls' if SECURE else ''}://{place}", db_kwargs=options, autocommit=True)


def ask(sql, *parameters):
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall()


def states(name):
    return [row[0] for row in ask(states_sql(name))]


@checks.that("connects and runs a parameterised query", basic=True)
def _():
    equal(ask("SELECT amount FROM ledger.transactions WHERE transaction_id = $1", "CLIENT-2"), [(Decimal("0.01"),)])


if SECURE:

    @checks.that("a wrong password is refused", basic=True)
    def _():
        try:
            with connect("not-it") as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except dbapi.Error:
            return
        raise AssertionError("it was taken")


@checks.that("lists catalogs, schemas, tables and columns", basic=True)
def _():
    with connect() as connection:
        catalogs = connection.adbc_get_objects(depth="all", db_schema_filter="ledger").read_all().to_pylist()
        equal(len(catalogs), 1)
        schemas = {one["db_schema_name"]: one["db_schema_tables"] for one in catalogs[0]["catalog_db_schemas"]}
        tables = {one["table_name"]: one for one in schemas["ledger"]}
        assert TABLES <= set(tables), list(tables)
        equal([column["column_name"] for column in tables["transactions"]["table_columns"]], TRANSACTIONS)
        everything = connection.adbc_get_objects(depth="db_schemas").read_all().to_pylist()
        assert {"ledger", "documents", "metrics", "baselines", "search", "system"} <= {one["db_schema_name"] for catalog in everything for one in catalog["catalog_db_schemas"]}
        assert "TABLE" in connection.adbc_get_table_types()
        assert connection.adbc_get_info()["vendor_name"]
        schema = connection.adbc_get_table_schema("transactions", db_schema_filter="ledger")
        equal(schema.field("amount").type, pyarrow.decimal128(15, 2))
        equal(schema.field("timestamp").type, pyarrow.timestamp("us", tz="UTC"))


@checks.that("reads a row and every type")
def _():
    row = ask(f"SELECT {COLUMNS} FROM ledger.transactions WHERE transaction_id = $1", "CLIENT-1")[0]
    all_equal([one.astimezone(timezone.utc) if hasattr(one, "astimezone") else one for one in row], list(ROW.values()))
    found = list(ask(LITERALS_SQL)[0])
    expected = [value for _, value in LITERALS]
    for place, one in enumerate(found):
        # Of nanoseconds, Python makes pandas' own kind of time where it has pandas.
        if hasattr(one, "to_pydatetime"):
            found[place] = one.to_pydatetime(warn=False)
        if hasattr(found[place], "tzinfo") and found[place].tzinfo:
            found[place] = found[place].astimezone(timezone.utc)
    all_equal(found, expected)


@checks.that("parameters of every type")
def _():
    for column in ("user_id", "amount", "timestamp", "is_anomaly", "description"):
        equal(ask(f'SELECT count(*) FROM ledger.transactions WHERE "{column}" = $1 AND transaction_id = $2', ROW[column], "CLIENT-1"), [(1,)])
    equal(ask("SELECT count(*) FROM ledger.transactions WHERE seq >= $1 AND transaction_id LIKE $2", 0, "CLIENT-%"), [(3,)])
    equal(ask("SELECT account_id FROM ledger.transactions WHERE user_id = $1", HOSTILE_NAME), [("ACC-%_\\",)])


@checks.that("a prepared statement, run again and again")
def _():
    with connect() as connection, connection.cursor() as cursor:
        for place in range(6):
            name = f"CLIENT-{place % 3 + 1}"
            cursor.execute("SELECT transaction_id FROM ledger.transactions WHERE transaction_id = $1", (name,))
            equal(cursor.fetchall(), [(name,)])
        schema = cursor.adbc_prepare("SELECT amount FROM ledger.transactions WHERE user_id = $1 AND amount > $2")
        equal([schema.field(place).type for place in range(2)], [pyarrow.string(), pyarrow.decimal128(15, 2)])


@checks.that("all rows as batches, without a row-wise detour")
def _():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM ledger.transactions")
        reader = cursor.fetch_record_batch()
        sizes = [batch.num_rows for batch in reader]
        equal(sum(sizes), ROWS)
        assert max(sizes) > 100, sizes[:5]
        cursor.execute("SELECT transaction_id FROM ledger.transactions ORDER BY 1")
        equal(len(cursor.fetchmany(7)), 7)


@checks.that("errors are told, and the connection goes on")
def _():
    with connect() as connection:
        for statement, word in (("SELECT no_such_column FROM ledger.transactions", "no_such_column"), ("SELEC 1", "SELEC"), ("DELETE FROM ledger.transactions", "")):
            with connection.cursor() as cursor:
                try:
                    cursor.execute(statement)
                    cursor.fetchall()
                except dbapi.Error as error:
                    assert word in str(error), error
                else:
                    raise AssertionError(f"{statement} was taken")
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 AS one")
            equal(cursor.fetchall(), [(1,)])


@checks.that("cancels a running query; system.queries says so within 1 s", basic=True)
def _():
    ended = []
    connection = connect()
    cursor = connection.cursor()

    def run():
        try:
            cursor.execute(slow("adbc-cancel"))
            ended.append(cursor.fetchall())
        except Exception as error:
            ended.append(type(error).__name__ + str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    await_state(lambda: states("slow-adbc-cancel"), "running", 10)
    cursor.adbc_cancel()
    await_state(lambda: states("slow-adbc-cancel"), "cancelled", 1)
    thread.join(5)
    assert ended and "cancel" in str(ended[0]).lower(), ended


assert adbc_driver_flightsql.__version__
checks.end()
