"""Whether what was found is what was done: the changes of meddle.py against the lines of `wardhouse reconcile --json`."""

import collections
import json
import sys


def place(row):
    # Of the baselines a place is the user; elsewhere it is the position.
    return (row["what"], row["table"], row["partition"], row["seq"], row["id"] if row["table"] == "users" else None)


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


made = collections.Counter(place(row) for row in lines(sys.argv[1]))
found = collections.Counter(place({**row, "what": row["finding"]}) for row in lines(sys.argv[2]) if "finding" in row)
missed, alarms = made - found, found - made
for name, rows in (("missed", missed), ("false alarms", alarms)):
    for row, count in list(rows.items())[:5]:
        print(f"{name}: {count} × {row}", file=sys.stderr)
print(f"{sum(made.values())} made, {sum(found.values())} found, {sum(missed.values())} missed, {sum(alarms.values())} false alarms", file=sys.stderr)
sys.exit(1 if missed or alarms else 0)
