"""Each server down or frozen for a while under a steady load, one after another.

What must stay true: stores that are up show what is new as soon as before; what waited is in the store some seconds after it is back; nothing is
lost, nothing doubled, nothing a dead letter.
"""

import os
import re
import signal
import subprocess
import time

from load import SINKS, Load, Mark, Watch, latencies, p99, share
from place import NAMES, ROLES, ROOT, Place, binary, missing, server_place, servers
from report import last_line, until

RATE = 1_000
CALM = 8
# Waited for at most, until it counts as never.
LATEST = 60
# How much later than before other stores may show what is new.
TIMES = 1.2
# What looking, sending and the sinks' own rhythm blur.
BLUR = 0.05
WAYS = ["down", "freeze", "kill"]
# In a short run; in a long one, the first time. Elasticsearch takes half a minute to start.
FIRST = {"kafka": "freeze", "postgres": "down", "mongodb": "freeze", "influxdb": "down", "redis": "down", "elasticsearch": "freeze"}
# Brokers that come back may wait so long for the members that they had (kafka.session_timeout_ms, docs/servers.md).
SESSION = 9
FRONT = ["intake", "scorer", "patterns", "http"]


def stack(*words):
    return subprocess.run([str(ROOT / "tests" / "stack"), *words], capture_output=True, text=True)


def processes(server):
    """A server's process and its children; nothing where it is not one of tests/stack."""
    found = re.search(r" pid ([0-9 ]+?)  ", stack("status", server).stdout)
    table = [tuple(map(int, line.split())) for line in subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.splitlines()]
    tree = [int(pid) for pid in found.group(1).split()] if found else []
    for parent in tree:
        tree += [pid for pid, of in table if of == parent]
    return tree


def freeze(work, server):
    tree = processes(server)
    for pid in tree:
        os.kill(pid, signal.SIGSTOP)

    def thaw():
        for pid in reversed(tree):
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    work.undo.append(thaw)
    return thaw


def take_down(work, server, how):
    stack(how, server)
    work.undo.append(lambda: stack("start", server))
    return lambda: stack("start", server)


def endless(work, seed):
    """Transactions without an end: month after month, of other people."""
    for month in range(12 * 40):
        start = f"{2026 + month // 12}-{month % 12 + 1:02}-01T00:00:00Z"
        child = subprocess.Popen([binary(), "generate", "--seed", str(seed + month), "--count", "300000", "--days", "28", "--start", start], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        work.children.append(child)
        yield from child.stdout


def run(options, report, work):
    urls = servers()
    if missing(urls):
        report.skip("outages", missing(urls))
        return
    theirs = [name for name in NAMES if not processes(name)]
    for name in theirs:
        report.skip(f"outages of {name}", "it is a server of your own")
    names = [name for name in NAMES if name not in theirs and (not options.only or name in options.only.split(","))]
    seconds = options.seconds or (60 if options.long else 10)
    runs = options.runs or (60 if options.long else len(names))
    order = [names[number % len(names)] for number in range(runs)]
    name = f"faults_{os.getpid()}"
    place = server_place(work, name, urls, {"WARDHOUSE_SCORER__QUIET_SECONDS": "600"})
    port = 9720 + os.getpid() % 200
    ports = {stage: port + 1 + number for number, stage in enumerate(SINKS)}
    stages = {"front": (FRONT, port), **{stage: ([stage], ports[stage]) for stage in SINKS}}

    def start(stage):
        roles, listen = stages[stage]
        own = Place(work.folder / f"{name}-{stage}", place.settings, place.environment)
        more = {"WARDHOUSE_OPERATIONS__LISTEN": f"127.0.0.1:{listen}", "WARDHOUSE_HTTP__LISTEN": f"127.0.0.1:{port + 10}"}
        return work.spawn(own.line("run", *roles), work.folder / f"{stage}.log", {**own.environment, **more})

    load = Load(port + 10, endless(work, options.seed), RATE)
    watches = {stage: Watch(stage, ports[stage]) for stage in SINKS}
    for thread in (load, *watches.values()):
        thread.start()
    drill = Drill(report, work, place, load, watches, stages, start, options.catch_up)
    load.go()
    time.sleep(3)
    if not report.check("the load goes on", load.sent > RATE) or not drill.sync():
        return
    # What comes with a transaction is measured before anything is disturbed.
    first = drill.mark
    load.go()
    time.sleep(CALM)
    if not drill.sync():
        return
    drill.shares = {stage: share(stage, first, drill.mark) for stage in SINKS}
    for number, server in enumerate(order):
        drill.outage(server, WAYS[(WAYS.index(FIRST[server]) + number // len(names)) % len(WAYS)], seconds)
    drill.judge(seconds)
    drill.end(options.long)
    load.stopping.set()
    for watch in watches.values():
        watch.stopping.set()


class Drill:
    def __init__(self, report, work, place, load, watches, stages, start, catch_up):
        self.catch_up = catch_up
        self.report, self.work, self.place, self.load, self.watches, self.start = report, work, place, load, watches, start
        self.children = {stage: start(stage) for stage in stages}
        self.mark = None
        # Of each outage: server, way, what it is called, the mark and the calm before, when it began and ended.
        self.outages = []
        self.calms = []
        self.shares = dict.fromkeys(SINKS, 1.0)

    def sync(self):
        """No load until everything is visible everywhere; whether it came so far."""
        self.load.rest()
        until(lambda: self.load.sent >= self.load.offered(), LATEST, 0.05)
        good = until(lambda: self.look() or self.place.all_visible(), LATEST, 0.2)
        time.sleep(0.5)
        self.mark = Mark(self.load, self.watches)
        return good or self.report.check("everything is settled between outages", False)

    def backlog(self, stage):
        """Rows that should have been sent by now, and are not visible in a store."""
        visible = self.mark.sent + ((self.watches[stage].last or 0) - self.mark.records[stage]) / self.shares[stage]
        return self.load.offered() - visible

    def outage(self, server, way, seconds):
        """What another program on this machine may have slowed down is tried once more."""
        good, told = self.try_outage(server, way, seconds)
        if not good:
            self.report.say(f"{told}: once more")
            good, told = self.try_outage(server, way, seconds)
        self.report.check(told, good)

    def try_outage(self, server, way, seconds):
        role = ROLES[server]
        what = f"{server} {'frozen' if way == 'freeze' else 'down' if way == 'down' else 'killed'} for {seconds} s"
        mark = self.mark
        self.calm()
        begin = time.monotonic()
        back = freeze(self.work, server) if way == "freeze" else take_down(self.work, server, way)
        away = time.monotonic()
        time.sleep(max(0.0, seconds - (away - begin)))
        gone = time.monotonic()
        back()
        returned = time.monotonic()
        # Of the baselines every store; of the log none is left to be compared.
        touched = SINKS if server == "kafka" else [role] if role in SINKS else SINKS
        caught = {}
        while len(caught) < len(touched) and time.monotonic() < returned + LATEST:
            for stage in touched:
                if stage not in caught and self.backlog(stage) <= RATE:
                    caught[stage] = time.monotonic() - returned
            self.look(what)
            time.sleep(0.02)
        slowest = max((caught.get(stage, float("inf")) for stage in touched), default=0.0)
        allowed = self.catch_up + (SESSION if server == "kafka" else 0)
        self.sync()
        self.outages.append((server, way, what, mark, len(self.calms) - 1, begin, gone))
        return slowest <= allowed, f"{what}: caught up with {RATE} transactions a second {slowest:.1f} s after it was back, {allowed} at most"

    def look(self, what="between outages"):
        """An outage ends no process: one that has ended is a failure, and started again."""
        for stage, child in self.children.items():
            if child.poll() is not None:
                self.report.check(f"{what}: {stage} goes on; it said: {last_line(self.work.folder / f'{stage}.log')}", False)
                time.sleep(0.5)
                self.children[stage] = self.start(stage)

    def calm(self):
        """The load alone, for a while: what an outage is compared with."""
        self.load.go()
        begin, mark = time.monotonic(), self.mark
        time.sleep(CALM)
        # Not what is under way when something begins.
        self.calms.append((mark, begin + 1, time.monotonic() - 1))

    def slowness(self, stage, mark, begin, end):
        return p99(latencies(self.load, self.watches[stage], mark, self.shares[stage], begin, end))

    def affected(self, outage):
        """Stores that an outage of another slowed down, with a sentence for each that is up: compared with the calm before and the one after."""
        server, _, _, mark, calm, begin, gone = outage
        sentences, slower = [], []
        for stage in [stage for stage in SINKS if server != "kafka" and stage != ROLES[server]]:
            before, after = (self.slowness(stage, *one) for one in self.calms[calm:calm + 2])
            during = self.slowness(stage, mark, begin, gone)
            sentences.append(f"{stage} {during * 1e3:.0f} ms (before {before * 1e3:.0f}, after {after * 1e3:.0f})")
            if during > TIMES * max(before, after) + BLUR:
                slower.append(stage)
        return sentences, slower

    def judge(self, seconds):
        """Whether stores that were up showed what was new as soon as before. What another program on this machine may have done is tried again."""
        self.calm()
        self.sync()
        for outage in list(self.outages):
            server, way, what = outage[:3]
            sentences, slower = self.affected(outage)
            if slower:
                self.report.say(f"{what}: p99 {', '.join(sentences)}: once more, whether it was that")
                self.outage(server, way, seconds)
                self.calm()
                self.sync()
                sentences, again = self.affected(self.outages[-1])
                slower = [stage for stage in again if stage in slower]
            if sentences:
                self.report.check(f"{what}: other stores unaffected, p99 {', '.join(sentences)}", not slower)

    def answer(self, statement):
        return self.place.ok("sql", "--format", "csv", statement).split()[-1]

    def end(self, long):
        report, load = self.report, self.load
        status = self.place.status()
        report.check(f"{load.sent} transactions were acknowledged, and none is a dead letter", status is not None and status["letters"]["written"] == 0)
        asked = {
            "SELECT count(*), count(DISTINCT transaction_id) FROM ledger.transactions": f"{load.sent},{load.sent}",
            "SELECT count(*), count(DISTINCT transaction_id) FROM documents.explanations": f"{load.sent},{load.sent}",
            "SELECT sum(transactions) FROM metrics.throughput": f"{load.sent}",
            "SELECT count(*), count(DISTINCT alert_id) FROM search.alerts": self.answer("SELECT count(*), count(DISTINCT alert_id) FROM ledger.risk_alerts"),
        }
        for statement, expected in asked.items():
            found = self.answer(statement)
            report.check(f"{statement}: {found}", found == expected)
        if not long:
            return
        # Baselines are scored anew for it.
        reconciled = self.place.reconciled()
        report.check(f"each store is what the log says: {(reconciled.stdout.strip().splitlines() or [''])[-1][:200]}", reconciled.returncode == 0)
        if reconciled.returncode != 0:
            report.say(reconciled.stdout[-1500:] + reconciled.stderr[-500:])
