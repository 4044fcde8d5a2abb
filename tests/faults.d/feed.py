"""What a drill feeds: generated transactions in slices, some of them with what can never be taken.

What must stay true: the same seed gives the same slices; whoever is fed the same slices in the same order has the same input.
"""

import json
import random
import re
import sqlite3
import struct
import subprocess
import time
import zlib

from place import binary

# Ids that the scorer remembers here, in each of three partitions: a row that comes again behind them is the stores' to refuse.
HORIZON = 200
FORGOTTEN = 1_200


class Feed:
    """Slices of generated transactions. A bad one ends with rows that a stage refuses: two ids with other content that the scorer knows
    still (its dead letters), two that it has forgotten (dead letters of ledger and documents), and a true duplicate."""

    def __init__(self, folder, seed, count, slice_rows):
        self.folder = folder
        self.dice = random.Random(seed)
        self.slice_rows = slice_rows
        self.lines = subprocess.run([binary(), "generate", "--seed", str(seed), "--count", str(count), "--anomaly-rate", "0.3"], capture_output=True, text=True, check=True).stdout.splitlines()
        self.at = 0
        self.rows = 0
        self.slices = []
        folder.mkdir(parents=True, exist_ok=True)

    def next(self, bad=False):
        """The next slice: its file, and the values of records that are no transactions."""
        if self.at + self.slice_rows > len(self.lines):
            raise RuntimeError("the generated transactions are used up")
        lines = self.lines[self.at:self.at + self.slice_rows]
        old = self.at - FORGOTTEN
        self.at += self.slice_rows
        malformed = []
        if bad and old > 20:
            recent = lines[-30:]
            lines += [edited(line) for line in self.dice.sample(recent, 2)] + [edited(line) for line in self.dice.sample(self.lines[:old], 2)] + [recent[0]]
            malformed = [b'{"transaction_id":"BAD-%d","amount":' % self.at, b"\xff\xfe not a record %d" % self.at]
        path = self.folder / f"slice-{len(self.slices):05}.ndjson"
        path.write_text("\n".join(lines) + "\n")
        self.rows += len(lines) + len(malformed)
        self.slices.append((path, malformed))
        return path, malformed


def edited(line):
    """The same transaction with a cent more."""
    cents = round(json.loads(line)["amount"] * 100) + 1
    return re.sub(r'"amount":[0-9.]+', f'"amount":{cents // 100}.{cents % 100:02}', line, count=1)


def length(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def append(log_file, values):
    """Appends records without a key to partition 0 of the embedded log's `hospital-transactions`, as a program that is not ours might
    (eventlog/src/embedded/block.rs has the form)."""
    payload = b"".join(b"\0" + length(len(value)) + value + b"\0" for value in values)
    header = struct.pack("<BBII", 1, 0, len(values), len(payload))
    data = header + struct.pack("<I", zlib.crc32(payload, zlib.crc32(header))) + payload
    connection = sqlite3.connect(log_file, timeout=30, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        (topic,) = connection.execute("SELECT topic_id FROM topics WHERE name = 'hospital-transactions'").fetchone()
        (offset,) = connection.execute("SELECT next_offset FROM partitions WHERE topic_id = ? AND partition = 0", (topic,)).fetchone()
        now = time.time_ns() // 1000
        connection.execute("INSERT INTO batches (topic_id, partition, base_offset, records, append_time, data) VALUES (?, 0, ?, ?, ?, ?)", (topic, offset, len(values), now, data))
        connection.execute("UPDATE partitions SET next_offset = next_offset + ?, bytes = bytes + ? WHERE topic_id = ? AND partition = 0", (len(values), len(data), topic))
        connection.execute("COMMIT")
    finally:
        connection.close()
