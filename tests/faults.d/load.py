"""A steady load over the HTTP intake, and how long it takes until each store shows it.

A sink counts what is visible in its store (`wardhouse_records_total`). Ledger and search count alerts and events too; how many come with a
transaction is measured between moments at which everything was settled.

What must stay true: what is not acknowledged is sent again; a latency begins when the intake answered.
"""

import bisect
import http.client
import itertools
import re
import threading
import time

SINKS = ["ledger", "documents", "metrics", "search"]


class Load(threading.Thread):
    """Sends so many rows a second, and more where it is behind."""

    def __init__(self, port, lines, rate):
        """`lines` is read as far as rows are sent."""
        super().__init__(daemon=True)
        self.port, self.lines, self.rate = port, iter(lines), rate
        self.unsent = []
        self.sent = 0
        # When the intake had how many rows.
        self.times, self.rows = [], []
        self.offered_from = None
        self.offered_before = 0
        self.stopping = threading.Event()

    def offered(self):
        """Rows that should have been sent by now."""
        begun = self.offered_from
        return self.offered_before + (int((time.monotonic() - begun) * self.rate) if begun else 0)

    def go(self):
        self.offered_before, self.offered_from = self.sent, time.monotonic()

    def rest(self):
        """Sends what was offered so far, and no more."""
        self.offered_before, self.offered_from = self.offered(), None

    def run(self):
        connection = None
        while not self.stopping.is_set():
            due = self.offered() - self.sent
            if due < max(1, self.rate // 50) and not (due > 0 and self.offered_from is None):
                time.sleep(0.005)
                continue
            # What was not acknowledged comes first, as it was.
            some = self.unsent = self.unsent or list(itertools.islice(self.lines, min(due, 2_000)))
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
                connection.request("POST", "/v1/transactions", b"".join(some), {"Content-Type": "application/x-ndjson"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise OSError(f"answered {answer.status}")
            except (OSError, http.client.HTTPException):
                if connection:
                    connection.close()
                connection = None
                time.sleep(0.1)
                continue
            self.unsent = []
            self.sent += len(some)
            self.rows.append(self.sent)
            self.times.append(time.monotonic())


class Watch(threading.Thread):
    """What one sink has made visible, looked at forty times a second."""

    def __init__(self, stage, port):
        super().__init__(daemon=True)
        self.stage, self.port = stage, port
        self.pattern = re.compile(rf'^wardhouse_records_total\{{stage="{stage}"\}} (\d+)', re.M)
        self.times, self.records = [], []
        self.last = None
        self.stopping = threading.Event()

    def run(self):
        connection = None
        while not self.stopping.is_set():
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                connection.request("GET", "/metrics")
                text = connection.getresponse().read().decode()
                found = self.pattern.search(text)
                if found:
                    self.last = int(found.group(1))
                    self.times.append(time.monotonic())
                    self.records.append(self.last)
            except (OSError, http.client.HTTPException):
                if connection:
                    connection.close()
                connection = None
            time.sleep(0.025)


class Mark:
    """A moment at which everything that was sent was visible in every store."""

    def __init__(self, load, watches):
        self.sent = load.sent
        self.records = {stage: watch.last or 0 for stage, watch in watches.items()}


def share(stage, before, after):
    """Records that the sink counts for each transaction."""
    sent = after.sent - before.sent
    return (after.records[stage] - before.records[stage]) / sent if sent else 1.0


def latencies(load, watch, mark, records_each, begin, end):
    """How long each request's rows took until they were visible, of requests that were answered between two moments."""
    found = []
    for time_, rows in zip(load.times, load.rows):
        if not begin <= time_ < end:
            continue
        wanted = mark.records[watch.stage] + (rows - mark.sent) * records_each
        at = bisect.bisect_left(watch.records, wanted)
        found.append(max(0.0, watch.times[at] - time_) if at < len(watch.records) else float("inf"))
    return sorted(found)


def p99(sorted_values):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * 0.99))] if sorted_values else float("inf")
