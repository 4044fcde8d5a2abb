"""SQLAlchemy with its three drivers, and pandas: the inspector, reflection, read_sql whole and in chunks."""

import threading

import pandas
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from checks import COLUMNS, HOSTILE_NAME, ROW, ROWS, TABLES, TRANSACTIONS, Checks, all_equal, await_state, equal, slow, states_sql

for driver in ("psycopg2", "psycopg"):
    checks = Checks(f"SQLAlchemy, {driver}")
    # Where and who, libpq reads from the environment.
    engine = sqlalchemy.create_engine(f"postgresql+{driver}://")

    def states(name):
        with engine.connect() as connection:
            return [row[0] for row in connection.exec_driver_sql(states_sql(name).replace("%", "%%"))]

    @checks.that("connects and runs a parameterised query", basic=True)
    def _():
        with engine.connect() as connection:
            row = connection.execute(text(f"SELECT {COLUMNS} FROM ledger.transactions WHERE transaction_id = :id"), {"id": "CLIENT-1"}).one()
            all_equal(row, list(ROW.values()))
            equal(connection.execute(text("SELECT account_id FROM transactions WHERE user_id = :user"), {"user": HOSTILE_NAME}).scalar_one(), "ACC-%_\\")

    @checks.that("the inspector lists schemas, tables and columns", basic=True)
    def _():
        inspector = sqlalchemy.inspect(engine)
        assert {"ledger", "documents", "metrics", "baselines", "search", "system", "information_schema"} <= set(inspector.get_schema_names()), inspector.get_schema_names()
        equal(inspector.default_schema_name, "ledger")
        assert TABLES <= set(inspector.get_table_names(schema="ledger"))
        assert TABLES <= set(inspector.get_table_names())
        assert isinstance(inspector.get_view_names(schema="ledger"), list)
        equal(inspector.has_table("transactions", schema="ledger"), True)
        equal(inspector.has_table("no_such_table", schema="ledger"), False)
        columns = inspector.get_columns("transactions", schema="ledger")
        equal([column["name"] for column in columns], TRANSACTIONS)
        kinds = {column["name"]: (str(column["type"]), column["nullable"]) for column in columns}
        equal(kinds["amount"], ("NUMERIC(15, 2)", False))
        equal(kinds["timestamp"], ("TIMESTAMP", False))
        equal(kinds["is_anomaly"], ("BOOLEAN", False))
        equal(kinds["risk_score"], ("INTEGER", False))
        equal(kinds["seq"], ("BIGINT", False))
        equal(kinds["counterparty_account"][1], True)
        assert next(column for column in columns if column["name"] == "timestamp")["type"].timezone

    @checks.that("the inspector asks for keys, indexes, constraints and comments")
    def _():
        inspector = sqlalchemy.inspect(engine)
        for question in ("get_pk_constraint", "get_foreign_keys", "get_indexes", "get_unique_constraints", "get_check_constraints", "get_table_comment"):
            getattr(inspector, question)("transactions", schema="ledger")

    @checks.that("reflects a table and asks it by expressions")
    def _():
        table = sqlalchemy.Table("transactions", sqlalchemy.MetaData(), schema="ledger", autoload_with=engine)
        query = (
            sqlalchemy.select(table.c.department, sqlalchemy.func.count().label("transactions"), sqlalchemy.func.sum(table.c.amount))
            .where(table.c.amount > 10, table.c.department.in_(["Finance", "IT"]), table.c.description.is_not(None))
            .group_by(table.c.department)
            .order_by(table.c.department)
            .limit(10)
        )
        with engine.connect() as connection:
            equal([row[0] for row in connection.execute(query)], ["Finance", "IT"])

    @checks.that("pandas reads a table's rows, whole and in chunks")
    def _():
        frame = pandas.read_sql(text('SELECT transaction_id, amount, "timestamp", is_anomaly, risk_score FROM ledger.transactions WHERE amount > :least'), engine, params={"least": 0})
        equal(len(frame), ROWS)
        assert pandas.api.types.is_bool_dtype(frame["is_anomaly"]) and pandas.api.types.is_integer_dtype(frame["risk_score"]), frame.dtypes
        assert str(frame["timestamp"].dtype).endswith("UTC]"), frame["timestamp"].dtype
        with engine.connect().execution_options(stream_results=True, max_row_buffer=500) as connection:
            chunks = list(pandas.read_sql(text("SELECT transaction_id FROM ledger.transactions ORDER BY 1"), connection, chunksize=1000))
        equal([len(chunks), sum(map(len, chunks))], [21, ROWS])
        frame = pandas.read_sql_table("user_profiles", engine, schema="ledger", columns=["user_id", "amount_sum"])
        assert len(frame) > 10

    @checks.that("an error leaves the pool in order")
    def _():
        for _ in range(8):
            try:
                with engine.connect() as connection:
                    connection.execute(text("SELECT no_such_column FROM ledger.transactions"))
            except DBAPIError as error:
                equal(getattr(error.orig, "pgcode", None) or error.orig.sqlstate, "42703")
            else:
                raise AssertionError("it was taken")
        with engine.connect() as connection:
            equal(connection.execute(text("SELECT 1")).scalar_one(), 1)

    @checks.that("cancels a running query; system.queries says so within 1 s")
    def _():
        name = f"sqlalchemy-{driver}-cancel"
        with engine.connect() as connection:
            ended = []

            def run():
                try:
                    connection.exec_driver_sql(slow(name))
                    ended.append("it ended by itself")
                except DBAPIError as error:
                    ended.append(getattr(error.orig, "pgcode", None) or error.orig.sqlstate)

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            await_state(lambda: states(f"slow-{name}"), "running", 10)
            connection.connection.dbapi_connection.cancel()
            await_state(lambda: states(f"slow-{name}"), "cancelled", 1)
            thread.join(2)
            equal(ended, ["57014"])


checks.end()
