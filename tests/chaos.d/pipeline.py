"""The pipeline as processes of the real binary, a producer that feeds it, and the proof of what came of it.

What must stay true: a process that is started is ended; the proof asks the servers themselves, never by a link that fails.
"""

import collections
import csv
import io
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

STAGES = ["intake", "scorer", "patterns", "ledger", "documents", "metrics", "search"]
# A month is fed in a minute: seconds without anything are hours of event time.
QUIET_SECONDS = 5


class Pipeline:
    """Processes of the binary with one set of settings."""

    def __init__(self, binary, work, servers, checks, addresses=None, settings=""):
        self.binary, self.work, self.servers, self.checks = str(binary), pathlib.Path(work), servers, checks
        self.direct, self.stages = self.work / "direct.toml", self.work / "stages.toml"
        self.direct.write_text(servers.settings(None, settings))
        self.stages.write_text(servers.settings(addresses, settings))
        self.env = {**servers.env, "RUST_LOG": os.environ.get("RUST_LOG", "warn,wardhouse=info,wh_eventlog=info,wh_scorer=info"), "WARDHOUSE_SCORER__QUIET_SECONDS": str(QUIET_SECONDS)}
        self.env["WARDHOUSE_INFLUXDB__TOKEN"] = servers.token
        self.processes = {}
        # How processes ended by themselves: name and last line.
        self.ended = []
        self.lock = threading.Lock()

    def command(self, *arguments, through=False, data="tool"):
        """Runs the binary to its end."""
        config = self.stages if through else self.direct
        line = [self.binary, "--config", str(config), "--data", str(self.work / data), *map(str, arguments)]
        return subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**self.env, "RUST_LOG": "warn"})

    def start(self, name, *roles):
        """Starts a process of some roles, by default of the one that it is named after."""
        log = open(self.work / f"{name}.log", "ab")
        line = [self.binary, "--config", str(self.stages), "--data", str(self.work / name), "--log-format", "json", "run", *(roles or (name,))]
        process = subprocess.Popen(line, stdout=log, stderr=log, env=self.env)
        log.close()
        process.roles = roles
        with self.lock:
            self.processes[name] = process
        return process

    def revive(self):
        """Starts again what ended by itself, as a supervisor does, and notes why it had."""
        with self.lock:
            ended = [(name, process) for name, process in self.processes.items() if process.poll() is not None]
        for name, process in ended:
            why = self.last_line(name)
            self.ended.append((name, why))
            self.checks.say(f"{name} ended by itself, it is started again: {why}")
            self.start(name, *process.roles)

    def take(self, name):
        """A process that the caller ends: it is no longer looked after."""
        with self.lock:
            return self.processes.pop(name)

    def last_line(self, name):
        """The last that a process said."""
        lines = (self.work / f"{name}.log").read_text(errors="replace").splitlines() or [""]
        return lines[-1][:2_000]

    def stop(self):
        """Asks every process to end, and waits."""
        with self.lock:
            processes, self.processes = list(self.processes.values()), {}
        for process in processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # What came of it.

    def status(self):
        """What `wardhouse status` says; nothing where a server does not answer."""
        done = self.command("status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def rows(self, statement):
        """The rows of an answer to SQL."""
        done = self.command("sql", "--embedded", "--format", "csv", statement)
        if done.returncode:
            raise RuntimeError(f"{statement}: {done.stderr.strip()[-500:]}")
        return list(csv.reader(io.StringIO(done.stdout)))[1:]

    def number(self, statement):
        """The one number of an answer."""
        return int(float(self.rows(statement)[0][0] or 0))

    def settle(self, wanted, seconds, revive=True):
        """Waits until every stage has settled what the log has for it, and the first of them at least `wanted` records. Says how long it took."""
        begun, status = time.monotonic(), None
        while time.monotonic() - begun < seconds:
            status = self.status()
            if status and status["stages"][0]["input"] >= wanted and all(one["input"] == one["settled"] == sum(count for _, count in one["parts"]) for one in status["stages"]):
                return time.monotonic() - begun
            if revive:
                self.revive()
            time.sleep(0.3)
        self.checks.say(f"not settled after {seconds} s: {[(one['stage'], one['input'], one['settled']) for one in (status or {'stages': []})['stages']]}")
        return None

    def reconcile(self, *more):
        """Compares every store with the log; findings, as text."""
        done = self.command("reconcile", "--json", *more)
        lines = [line for line in done.stdout.splitlines() if '"finding' in line or '"what"' in line]
        return done.returncode, "; ".join(lines[:3] or [done.stderr.strip()[-600:]])

    def prove(self, rows, seconds=120, patterns=True, stores=()):
        """Checks that everything is in every store once, as the log says: `rows` are the transactions that were sent, by id, with their scores;
        `patterns` whether to wait for those by account, which come last; `stores` those that are compared with the log, all where none is named."""
        check, took = self.checks.check, self.settle(len(rows), seconds)
        check(f"everything is settled and adds up{'' if took is None else f', after {took:.0f} s'}", took is not None)
        if patterns:
            # They wait until they know that nobody brings anything any more.
            time.sleep(QUIET_SECONDS + 2)
            check("patterns are settled too", self.settle(len(rows), 40) is not None)
        stored = self.rows("SELECT transaction_id, risk_score FROM ledger.transactions")
        found = {one: int(score) for one, score in stored}
        lost, strange = rows.keys() - found.keys(), found.keys() - rows.keys()
        check(f"0 of {len(rows)} transactions lost", not lost, f"{len(lost)}: {sorted(lost)[:5]}")
        check("0 doubled, 0 made up", len(stored) == len(found) and not strange, f"{len(stored) - len(found)} doubled, {sorted(strange)[:5]} made up")
        other = [(one, score, found[one]) for one, score in rows.items() if one in found and found[one] != score]
        check("every score is that of an undisturbed run", not other, f"{len(other)} others: {other[:5]}")
        counts = {
            "documents.transaction_metadata": len(rows),
            "documents.explanations": len(rows),
            "search.alerts": self.number("SELECT count(*) FROM ledger.risk_alerts"),
        }
        for table, count in counts.items():
            there = self.number(f"SELECT count(*) FROM {table}")
            check(f"{table} has {count} rows", there == count, f"it has {there}")
        for what, statement in (("metrics", "SELECT sum(transactions) FROM metrics.throughput"), ("profiles", "SELECT sum(total_transactions) FROM ledger.user_profiles")):
            there = self.number(statement)
            check(f"{what} count {len(rows)} transactions", there == len(rows), f"they count {there}")
        waiting = (self.status() or {"letters": {"waiting": None}})["letters"]["waiting"]
        check("no dead letter waits", waiting == 0, str(waiting))
        code, findings = self.reconcile(*(word for store in stores for word in ("--store", store)))
        check(f"reconcile: {', '.join(stores) or 'every store'} as the log says", code == 0, f"exit code {code}: {findings}")


class Feeder(threading.Thread):
    """Sends lines in order at a rate, some at a time; what did not get through is sent again, as `import` does where it was stopped."""

    def __init__(self, pipeline, lines, rate, each=1.0):
        super().__init__(daemon=True, name="feeder")
        self.pipeline, self.rate, self.each = pipeline, rate, each
        self.lines = collections.deque(lines)
        self.failures = 0
        self.stopped = threading.Event()

    def run(self):
        folder = self.pipeline.work / "slices"
        folder.mkdir(exist_ok=True)
        due = time.monotonic()
        while self.lines and not self.stopped.is_set():
            some = [self.lines.popleft() for _ in range(min(len(self.lines), int(self.rate * self.each)))]
            path = folder / f"{time.monotonic_ns()}.ndjson"
            path.write_text("".join(some))
            while not self.stopped.is_set():
                done = self.pipeline.command("import", path, through=True, data="import")
                if done.returncode == 0:
                    break
                self.failures += 1
                self.pipeline.checks.say(f"the import goes on where it was: {done.stderr.strip()[-200:]}")
                self.stopped.wait(0.5)
            due += self.each
            self.stopped.wait(max(0.0, due - time.monotonic()))

    def end(self):
        """No more."""
        self.stopped.set()
        self.join()


def generated(pipeline, seed, count):
    """Lines of made-up transactions in order."""
    done = pipeline.command("generate", "--seed", seed, "--count", count)
    return done.stdout.splitlines(keepends=True)


def scored(pipeline, lines):
    """By id, the score that each line gets offline."""
    path = pipeline.work / "offline.ndjson"
    path.write_text("".join(lines))
    done = pipeline.command("score", path)
    if done.returncode:
        raise RuntimeError(f"score: {done.stderr.strip()[-500:]}")
    scores = (json.loads(line) for line in done.stdout.splitlines())
    return {one["transaction_id"]: one["risk_score"] for one in scores if "risk_score" in one}
