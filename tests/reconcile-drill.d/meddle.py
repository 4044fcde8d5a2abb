"""Edits, removes and inserts rows of an embedded store behind its back. Prints each change as JSON: what, table, partition, seq."""

import json
import sqlite3
import sys

SEQ_BITS = 40
NUMBERS = {"timestamp", "amount", "risk_score", "is_anomaly", "amount_score", "time_score", "frequency_score", "behavior_score", "metadata_score", "processed_at", "created_at"}
TABLES = {
    "ledger": {
        "transactions": ("transaction_id", "transaction_id timestamp user_id account_id counterparty_account department transaction_type amount description risk_score risk_level is_anomaly "
                         "amount_score time_score frequency_score behavior_score metadata_score detection_rules ruleset metadata content_hash processed_at"),
        "risk_alerts": ("alert_id", "alert_id transaction_id user_id alert_type severity risk_score title message detection_rules created_at metadata"),
    },
    "documents": {"documents": ("transaction_id", "transaction_id user_id timestamp processed_at metadata explanation")},
}


def told(what, table, partition, seq, name=None):
    print(json.dumps({"what": what, "table": table, "partition": partition, "seq": seq, "id": name}))


def by_position(store, changes):
    for table, (key, columns) in TABLES[store].items():
        columns = columns.split()
        last = 1_000_000 << SEQ_BITS
        places = [pos for (pos,) in connection.execute(f"SELECT pos FROM {table} WHERE pos < {last} ORDER BY pos")]
        # Spread over the whole table.
        step = max(1, len(places) // changes)
        for at, pos in enumerate(places[::step][:changes]):
            partition, seq = pos >> SEQ_BITS, pos & ((1 << SEQ_BITS) - 1)
            if at % 3 == 0:
                column = columns[at // 3 % len(columns)]
                if column in ("metadata", "explanation") and table == "documents":
                    changed = "x'00'"
                else:
                    changed = f"{column} + 1" if column in NUMBERS else f"coalesce({column}, '') || '!'"
                connection.execute(f"UPDATE {table} SET {column} = {changed} WHERE pos = ?", (pos,))
                told("different", table, partition, seq)
            elif at % 3 == 1:
                connection.execute(f"DELETE FROM {table} WHERE pos = ?", (pos,))
                told("missing", table, partition, seq)
            else:
                elsewhere = pos + 50_000_000 if at % 2 == 0 else pos + (40 << SEQ_BITS)
                kept = ", ".join(f"{column} || ' copy'" if column == key else column for column in columns)
                connection.execute(f"INSERT INTO {table} (pos, {', '.join(columns)}) SELECT {elsewhere}, {kept} FROM {table} WHERE pos = ?", (pos,))
                told("extra", table, elsewhere >> SEQ_BITS, elsewhere & ((1 << SEQ_BITS) - 1))


def metrics(changes):
    places = connection.execute("SELECT partition, block, time, department, transaction_type, risk_level FROM throughput ORDER BY 1, 2, 3, 4, 5, 6").fetchall()
    step = max(1, len(places) // changes)
    same = "partition = ? AND block = ? AND time = ? AND department = ? AND transaction_type = ? AND risk_level = ?"
    for at, key in enumerate(places[::step][:changes]):
        partition, block = key[0], key[1]
        if at % 3 == 0:
            column = ("transactions", "amount_sum", "score_sum", "score_max", "alerts")[at // 3 % 5]
            connection.execute(f"UPDATE throughput SET {column} = {column} + 1 WHERE {same}", key)
            told("different", "throughput", partition, block * 1000)
        elif at % 3 == 1:
            connection.execute(f"DELETE FROM throughput WHERE {same}", key)
            told("missing", "throughput", partition, block * 1000)
        else:
            further = 0 if at % 2 == 0 else 700_000
            connection.execute(
                f"INSERT INTO throughput SELECT partition, block + {further}, time + 3000000, department || ' made up', transaction_type, risk_level, transactions, amount_sum, "
                f"score_sum, score_max, alerts FROM throughput WHERE {same}",
                key,
            )
            told("extra", "throughput", partition, (block + further) * 1000)


def baselines(changes):
    users = connection.execute("SELECT partition, user_id FROM users ORDER BY 1, 2").fetchall()
    columns = "seq, transactions, amount_mean, home_department, last_event, alerts, state"
    for at, (partition, user) in enumerate(users[:changes]):
        if at % 3 == 0:
            column = ("transactions", "amount_mean", "last_event", "alerts")[at // 3 % 4]
            connection.execute(f"UPDATE users SET {column} = {column} + 1 WHERE partition = ? AND user_id = ?", (partition, user))
            told("different", "users", partition, 0, user)
        elif at % 3 == 1:
            connection.execute("DELETE FROM users WHERE partition = ? AND user_id = ?", (partition, user))
            told("missing", "users", partition, 0, user)
        else:
            connection.execute(f"INSERT INTO users SELECT partition, user_id || ' copy', {columns} FROM users WHERE partition = ? AND user_id = ?", (partition, user))
            told("extra", "users", partition, 0, f"{user} copy")


path, store, changes = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = sqlite3.connect(path)
if store == "metrics":
    metrics(changes)
elif store == "baselines":
    baselines(changes)
else:
    by_position(store, changes)
connection.commit()
