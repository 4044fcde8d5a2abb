"""One question asked of two, side by side: medians, and whether both say the same.

What must stay true: both are asked with the same values in the same run by turns, each first as often as the other; nothing is compared or
converted while the clock runs.
"""

import math
import statistics
import time
from datetime import datetime
from decimal import Decimal

from questions import VARIANTS

# Demanded: ours ≤ FACTOR × native + SLACK milliseconds.
FACTOR, SLACK = 1.3, 3.0


def plain(kind, value):
    """A value as both sides can be compared by it: times in microseconds, money in cents."""
    if value is None:
        return None
    if kind == "w" and isinstance(value, datetime):
        return int(value.timestamp()) * 1_000_000 + value.microsecond
    if kind == "m" and isinstance(value, Decimal):
        return int(value.scaleb(2).to_integral_exact())
    if kind in "iwm":
        return int(value)
    if kind == "f":
        return float(value)
    return value


def normal(question, rows):
    rows = [tuple(plain(kind, value) for kind, value in zip(question.kinds, row, strict=True)) for row in rows]
    return rows if question.ordered else sorted(rows, key=repr)


def same(kind, one, other):
    if kind == "f" and one is not None and other is not None:
        # Relevance is of single precision in Elasticsearch.
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-9)
    return one == other


def difference(question, ours, native):
    """What is different, in one line; None where nothing is."""
    ours, native = normal(question, ours), normal(question, native)
    if len(ours) != len(native):
        return f"{len(ours)} rows instead of {len(native)}"
    for place, (one, other) in enumerate(zip(ours, native)):
        if not all(map(same, question.kinds, one, other)):
            return f"row {place + 1}: {one} instead of {other}"
    return None


def timed(ask, values):
    begun = time.perf_counter()
    ask(values)
    return (time.perf_counter() - begun) * 1000


def measured(question, samples, ours, native, runs):
    """Asks both; what is to be told of it."""
    values = [question.values(samples, number) for number in range(VARIANTS)]
    told = {"question": question.name, "what": question.what, "sql": question.sql}
    rows = 0
    for one in values:
        # Which warms both.
        answer = native(one)
        rows = max(rows, len(answer))
        found = difference(question, ours(one), answer)
        if found:
            told["difference"] = f"{found} (values {one})"
            break
    times = {"ours": [], "native": []}
    for number in range(runs):
        sides = [("ours", ours), ("native", native)]
        for name, ask in sides if number % 2 == 0 else reversed(sides):
            times[name].append(timed(ask, values[number % VARIANTS]))
    mine, theirs = statistics.median(times["ours"]), statistics.median(times["native"])
    allowed = FACTOR * theirs + SLACK
    if question.most is not None:
        allowed = min(allowed, question.most)
    return told | {
        "ours_ms": round(mine, 3),
        "native_ms": round(theirs, 3),
        "ratio": round(mine / theirs, 2),
        "allowed_ms": round(allowed, 3),
        "rows": rows,
        "runs": runs,
        "passed": mine <= allowed and "difference" not in told,
    }
