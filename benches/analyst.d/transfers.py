"""What a whole table takes to read: its first row, all of it as Arrow over Flight, all of it as COPY in binary.

What must stay true: rows are counted on arrival; what has to be thrown away is thrown away by closing the connection.
"""

import statistics
import time

import psycopg
from adbc_driver_flightsql import dbapi

TABLE = "SELECT * FROM ledger.transactions"
# Demanded: the first row within so many milliseconds, and so many rows a second as Arrow from the servers.
FIRST_ROW_MS, ARROW_ROWS = 50.0, 300_000


def first_row(server, runs):
    """Milliseconds until the first row is there, each on a connection of its own that is there before."""
    times = []
    for _ in range(runs + 2):
        connection = psycopg.connect(server.address(), autocommit=True)
        cursor = connection.cursor(binary=True)
        begun = time.perf_counter()
        stream = cursor.stream(TABLE)
        next(stream)
        times.append((time.perf_counter() - begun) * 1000)
        # The stream, when it is closed, would read on until the server has been told.
        connection.pgconn.finish()
    return statistics.median(times[2:])


def arrow(server):
    """Rows and seconds."""
    with dbapi.connect(f"grpc://127.0.0.1:{server.flight}", autocommit=True) as connection, connection.cursor() as cursor:
        begun = time.perf_counter()
        cursor.execute(TABLE)
        rows = sum(batch.num_rows for batch in cursor.fetch_record_batch())
        return rows, time.perf_counter() - begun


def copied(address, table, rows):
    """Rows, bytes and seconds of COPY in binary; the rows are not in what it says."""
    with psycopg.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
        length = 0
        begun = time.perf_counter()
        with cursor.copy(f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT binary)") as copy:
            for data in copy:
                length += len(data)
        return rows, length, time.perf_counter() - begun


def measured(place, server, runs, say):
    """All of it, as a list of what is to be told."""
    say(f"{place.kind}: first row")
    first = first_row(server, runs)
    told = [{"what": "first row of SELECT * FROM ledger.transactions", "value": round(first, 2), "unit": "ms", "allowed": FIRST_ROW_MS, "passed": first <= FIRST_ROW_MS}]
    say(f"{place.kind}: the whole as Arrow and as COPY")
    rounds = max(1, min(3, runs))
    rates, rows = [], 0
    for _ in range(rounds):
        rows, seconds = arrow(server)
        rates.append(rows / seconds)
    rate = statistics.median(rates)
    wanted = ARROW_ROWS if place.kind == "servers" else None
    told.append({"what": f"{rows} rows as Arrow over Flight SQL", "value": round(rate), "unit": "rows/s", "wanted": wanted, "passed": wanted is None or rate >= wanted})
    ours, natives, length = [], [], 0
    for _ in range(rounds):
        _, length, seconds = copied(server.address(), "ledger.transactions", rows)
        ours.append(rows / seconds)
        if place.kind == "servers":
            natives.append(rows / copied(place.urls["ledger"], "transactions", rows)[2])
    told.append({"what": f"{rows} rows ({length / 1e6:.0f} MB) as COPY … TO STDOUT (FORMAT binary)", "value": round(statistics.median(ours)), "unit": "rows/s", "passed": True})
    if natives:
        told.append({"what": "the same from PostgreSQL itself", "value": round(statistics.median(natives)), "unit": "rows/s", "passed": True})
    return told
