"""Fills the stores, asks the twenty questions of both sides, and tells what came of it: see benches/analyst.

What must stay true: whatever was begun is ended, also by an interrupt; a question that fails is told and the others are asked.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import psycopg

import measure
import transfers
from embedded import Embedded as EmbeddedNative
from places import Embedded, Failed, Servers
from questions import QUESTIONS, Samples
from server import Server
from servers import Servers as ServersNative

KINDS = {"servers": (Servers, ServersNative), "embedded": (Embedded, EmbeddedNative)}
# Demanded of the server's memory, in MB.
MEMORY_MB = 300.0


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="benches/analyst", add_help=False)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--servers", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--keep")
    parser.add_argument("--drop")
    parser.add_argument("--json")
    chosen = parser.parse_args()
    for name in chosen.only:
        if name not in [question.name for question in QUESTIONS] + ["transfers"]:
            parser.error(f"no question is called {name}; there are {', '.join(question.name for question in QUESTIONS)}, and transfers")
    for name in (chosen.keep, chosen.drop):
        # A part of the names of databases, topics and indexes, and of a folder's.
        if name is not None and not re.fullmatch("[a-z0-9]{1,20}", name):
            parser.error(f"{name!r}: a name is of 1 to 20 small letters and digits")
    if chosen.rows < 1_000 or chosen.runs < 1:
        parser.error("at least 1,000 rows, and one run")
    return chosen


def asked(native, question):
    """The native answer: its own function, or the question's SQL where the ledger alone is asked."""
    by_hand = getattr(native, question.name, None)
    return (lambda values: by_hand(*values)) if by_hand else (lambda values: native.rows(question.sql, values))


def questions(place, native, server, chosen):
    samples = Samples(native)
    told = []
    for question in QUESTIONS:
        if chosen.only and question.name not in chosen.only:
            continue
        say(f"{place.kind}: {question.name}")
        # A failure may have cost the connection.
        connection = psycopg.connect(server.address(), autocommit=True)
        cursor = connection.cursor(binary=True)

        def ours(values, cursor=cursor, sql=question.sql):
            return cursor.execute(sql, values).fetchall()

        try:
            told.append(measure.measured(question, samples, ours, asked(native, question), chosen.runs))
        except Exception as error:
            told.append({"question": question.name, "what": question.what, "sql": question.sql, "failed": " ".join(f"{type(error).__name__}: {error}".split())[:400], "passed": False})
        finally:
            connection.close()
    return told


def measured(kind, binary, folder, name, chosen):
    """Everything about one kind of stores; whatever could not be removed is said."""
    make, connect = KINDS[kind]
    place = make(binary, folder, name)
    server = native = None
    try:
        place.fill(chosen.rows, say)
        server = Server(place)
        native = connect(place)
        told = {"holds": native.held(), "questions": [], "transfers": []}
        if chosen.only != ["transfers"]:
            told["questions"] = questions(place, native, server, chosen)
        most, now = server.memory()
        told["memory"] = {"after_questions_mb": round(now, 1), "most_mb": round(most, 1)}
        if not chosen.only or "transfers" in chosen.only:
            try:
                told["transfers"] = transfers.measured(place, server, chosen.runs, say)
            except Exception as error:
                told["transfers"] = [{"what": f"transfers failed: {' '.join(str(error).split())[:400]}", "value": None, "unit": "", "passed": False}]
        most, now = server.memory()
        told["memory"] |= {"at_the_end_mb": round(now, 1), "most_mb": round(most, 1), "allowed_mb": MEMORY_MB, "passed": most <= MEMORY_MB}
        return told
    finally:
        if native:
            native.close()
        if server:
            server.stop()
        if not chosen.keep:
            for left in place.drop():
                say(left)


def table(kind, told):
    """Markdown."""
    holds = told["holds"]
    lines = [f"### {kind}: {', '.join(f'{count:,} {name}' for name, count in holds.items())}", ""]
    lines += ["| question | rows | ours, ms | native, ms | ratio | allowed, ms | |", "|---|---|---|---|---|---|---|"]
    for one in told["questions"]:
        verdict = "ok" if one["passed"] else one.get("difference") and f"ANOTHER ANSWER: {one['difference']}" or one.get("failed") and f"FAILED: {one['failed']}" or "MISSED"
        figures = [one.get("rows"), one.get("ours_ms"), one.get("native_ms"), one.get("ratio"), one.get("allowed_ms")]
        shown = " | ".join("–" if figure is None else str(figure) for figure in figures)
        lines.append(f"| {one['question']}: {one['what']} | {shown} | {verdict.replace('|', '¦')[:300]} |")
    lines += ["", "| what | measured | demanded | |", "|---|---|---|---|"]
    for one in told["transfers"]:
        wanted = f"at most {one['allowed']:g}" if one.get("allowed") else f"at least {one['wanted']}" if one.get("wanted") else "–"
        lines.append(f"| {one['what']} | {one['value']} {one['unit']} | {wanted} | {'ok' if one['passed'] else 'MISSED'} |")
    memory = told["memory"]
    lines.append(f"| memory of the server, at most | {memory['most_mb']} MB | at most {memory['allowed_mb']:g} MB | {'ok' if memory['passed'] else 'MISSED'} |")
    return "\n".join(lines)


def failures(told):
    return sum(not one["passed"] for one in told["questions"] + told["transfers"]) + (not told["memory"]["passed"])


def main():
    chosen = arguments()
    # An end by a signal must not leave a database behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    binary, cache = os.environ["WARDHOUSE_BIN"], pathlib.Path(os.environ["ANALYST_CACHE"])
    kinds = [kind for kind in KINDS if getattr(chosen, kind)] or list(KINDS)
    if chosen.drop:
        for kind in kinds:
            for left in KINDS[kind][0](binary, cache / chosen.drop / kind, f"analyst_{chosen.drop}").drop():
                say(left)
        if (cache / chosen.drop).is_dir() and not any((cache / chosen.drop).iterdir()):
            (cache / chosen.drop).rmdir()
        return 0
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    results = {"version": version, "cores": os.cpu_count(), "questions_per_median": chosen.runs, "kinds": {}}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="analyst") as temporary:
        for kind in kinds:
            folder = cache / chosen.keep / kind if chosen.keep else pathlib.Path(temporary) / kind
            name = f"analyst_{chosen.keep or os.getpid()}"
            try:
                told = measured(kind, binary, folder, name, chosen)
            except Failed as error:
                say(f"{kind}: {error}")
                results["kinds"][kind] = {"failed": str(error)}
                failed += 1
                continue
            results["kinds"][kind] = told
            failed += failures(told)
            print(f"\n{version}, {os.cpu_count()} cores, medians of {chosen.runs}\n\n{table(kind, told)}\n", flush=True)
    if chosen.json:
        pathlib.Path(chosen.json).write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
