"""kill -9 at each named point of the code (eventlog/src/crash.rs), on embedded stores in one process and on the servers, one process a stage.

What must stay true: a kill counts only where the process told, before it died, that it was there; each round ends with a comparison of every
row of every store with those of a run on the same input that nobody disturbed.
"""

import os
import random
import re
import signal
import time

from feed import HORIZON, Feed, append
from place import ROOT, STAGES, Place, compare, missing, server_place, servers
from producer import ForeignProducer
from report import last_line, until

SINK = ["sink.read", "sink.rows", "sink.written", "sink.published", "sink.committed"]
BURYING = ["sink.refused", "sink.buried"]
SCORER = ["scorer.buried", "scorer.producing", "scorer.produced", "scorer.checkpointed", "scorer.committed"]
BY_STAGE = {
    "intake": ["intake.read", "intake.buried", "intake.produced", "intake.committed"],
    "scorer": SCORER,
    "patterns": ["patterns.produced", "patterns.checkpointed"],
    "ledger": SINK + BURYING,
    "documents": SINK + BURYING,
    "metrics": SINK,
    "search": SINK,
}
LOG = ["log.written", "log.durable"]
# On the servers, in a run of CI: each point once at least, what lies between rows and position in each store.
SHORT = {
    **BY_STAGE,
    "ledger": ["sink.rows", "sink.read", "sink.refused"],
    "documents": ["sink.rows", "sink.written", "sink.buried"],
    "metrics": ["sink.rows", "sink.published"],
    "search": ["sink.rows", "sink.committed"],
}
# The last time at which a point may be passed before the kill.
LATEST = {"log.written": 40, "log.durable": 40, "intake.read": 5, "intake.produced": 5, "scorer.producing": 5, "scorer.produced": 5, "sink.read": 6, "sink.rows": 6, "sink.written": 6, "sink.published": 6}
SLICE = 300
# Slices after which a process has passed no point that it ever will.
PATIENCE = 40
# Patterns wait for all that is still to come, until a round ends.
UNQUIET, SOON = "900", "3"
# A horizon that is soon passed, and dead letters without a limit: what is fed in minutes would be that of days.
ASKED = {"WARDHOUSE_SCORER__DEDUP_HORIZON": str(HORIZON), "WARDHOUSE_DEAD_LETTERS__MAX_PER_MINUTE": "0", "WARDHOUSE_DEAD_LETTERS__MAX_PERCENT": "0"}


def points():
    text = (ROOT / "eventlog/src/crash.rs").read_text()
    return re.findall(r'^    "([a-z.]+)",$', text, re.M)


def run(options, report, work):
    known = points()
    planned = {point for stage in BY_STAGE.values() for point in stage} | set(LOG)
    if not report.check(f"the drill knows all {len(known)} points of the code", planned == set(known)):
        return
    dice = random.Random(options.seed)
    both = not (options.embedded or options.servers)
    kills = options.kills or (1_000 if options.long else 0)
    if both or options.embedded:
        embedded(report, work, dice, (kills * 6 // 10 if both else kills) or len(known), known, options.seed)
    if both or options.servers:
        urls = servers()
        if missing(urls):
            report.skip("kills of stages on the servers", missing(urls))
        else:
            on_the_servers(report, work, dice, kills * 4 // 10 if both else kills, urls, options.seed)


def tell(report, counts, where):
    """How many kills each window had; one that had none fails."""
    for point, count in counts.items():
        report.say(f"  {point:<24} {count:>4} kills")
    none = [point for point, count in counts.items() if not count]
    report.check(f"{sum(counts.values())} kills {where}, in each of {len(counts)} windows{': none at ' + ', '.join(none) if none else ''}", not none)


class Armed:
    """A process that is to be killed at a point."""

    def __init__(self, work, place, words, log, point, time_of, environment=None):
        self.point = point
        self.told = work.folder / "kills.txt"
        told = {"WARDHOUSE_CRASH_AT": f"{point}:{time_of}", "WARDHOUSE_CRASH_FILE": str(self.told)} if point else {}
        self.log = log
        self.child = work.spawn(place.line(*words), log, {**place.environment, **(environment or {}), **told})

    def ended(self):
        return self.child.poll() is not None

    def was_killed_there(self):
        lines = self.told.read_text().splitlines() if self.told.exists() else []
        return self.child.poll() == -signal.SIGKILL and f"{self.point} {self.child.pid}" in lines

    def stop(self):
        if not self.ended():
            self.child.send_signal(signal.SIGTERM)
            self.child.wait()


def reference(report, work, feed, name):
    """The same input through embedded stores that nobody disturbs."""
    place = Place(work.folder / f"{name}-undisturbed", environment=ASKED)
    for path, malformed in feed.slices:
        place.ok("import", str(path))
        if malformed:
            append(place.data / "log/log.db", malformed)
    report.say(f"{feed.rows} records through embedded stores that nobody disturbs")
    place.ok("up", "--rate", "0", "--no-history", "--until-idle")
    rows = work.folder / f"{name}-undisturbed-rows"
    place.dump(rows)
    return rows, place.status()["letters"]["written"]


def finish(report, work, place, feed, name, what):
    report.check(f"{what}: everything is settled and adds up", until(lambda: place.settled(feed.rows), 120, 0.3))
    rows = work.folder / f"{name}-rows"
    place.dump(rows)
    expected, letters = reference(report, work, feed, name)
    compare(report, expected, rows, f"undisturbed and {what}")
    status = place.status() or {"letters": {"written": None}}
    report.check(f"{what}: {letters} dead letters, each once, as undisturbed; found {status['letters']['written']}", status["letters"]["written"] == letters)


def embedded(report, work, dice, kills, known, seed):
    counts = dict.fromkeys(known, 0)
    for number, size in enumerate(rounds(kills, 60)):
        # Each window once before any comes again.
        order = [point for _ in range(size // len(known) + 1) for point in dice.sample(known, len(known))][:size]
        environment = {**ASKED, "WARDHOUSE_SCORER__QUIET_SECONDS": UNQUIET}
        name = f"embedded-{number}"
        place = Place(work.folder / name, environment=environment)
        feed = Feed(work.folder / f"{name}-input", seed + number, (size * 8 + 60) * SLICE, SLICE)
        for _ in range(5):
            place.ok("import", str(feed.next()[0]))
        for point in order:
            begun = time.monotonic()
            time_of = dice.randint(1, LATEST.get(point, 2))
            armed = Armed(work, place, ["up", "--rate", "0", "--no-history"], work.folder / f"{name}.log", point, time_of)
            for fed in range(PATIENCE):
                path, malformed = feed.next(bad=fed % 4 == 0)
                place.ok("import", str(path))
                if malformed:
                    append(place.data / "log/log.db", malformed)
                if until(armed.ended, 1.0, 0.01):
                    break
            if armed.was_killed_there():
                counts[point] += 1
                report.say(f"embedded: killed at {point}, passed for the {time_of}. time, {time.monotonic() - begun:.1f} s")
            elif armed.ended():
                report.check(f"up goes on until it is killed at {point}; it said: {last_line(armed.log)}", False)
            else:
                report.say(f"embedded: {point} was not passed {time_of} times")
                armed.stop()
        place.ok("up", "--rate", "0", "--no-history", "--until-idle", environment={"WARDHOUSE_SCORER__QUIET_SECONDS": SOON})
        finish(report, work, place, feed, name, f"killed {size} times on embedded stores")
    tell(report, counts, "on embedded stores")


def rounds(kills, most):
    parts = max(1, -(-kills // most))
    return [kills // parts + (1 if part < kills % parts else 0) for part in range(parts)]


def on_the_servers(report, work, dice, kills, urls, seed):
    short = sum(map(len, SHORT.values()))
    whole = sum(map(len, BY_STAGE.values()))
    counts = {f"{stage} {point}": 0 for stage, of in (BY_STAGE if kills else SHORT).items() for point in of}
    for number in range(-(-kills // whole) if kills else 1):
        plan = BY_STAGE if kills else SHORT
        # A member that is known by its name comes back at once; another is waited for until its session is over.
        named = number % 2 == 0
        servers_round(report, work, dice, plan, urls, seed + number, named, counts, f"faults_{os.getpid()}_{number}")
    tell(report, counts, f"on the servers ({short if not kills else kills} asked for)")


def servers_round(report, work, dice, plan, urls, seed, named, counts, name):
    environment = {**ASKED, "WARDHOUSE_SCORER__QUIET_SECONDS": UNQUIET}
    place = server_place(work, name, urls, environment)
    foreign = ForeignProducer(work, urls["kafka"], f"{name}-hospital-transactions")
    if not foreign.is_there():
        report.skip("kills at intake.buried on the servers", foreign.reason)
        plan = {**plan, "intake": [point for point in plan["intake"] if point != "intake.buried"]}
        counts.pop("intake intake.buried", None)
    feed = Feed(work.folder / f"{name}-input", seed, 400 * SLICE, SLICE)
    queues = {stage: dice.sample(plan[stage], len(plan[stage])) for stage in STAGES}
    report.say(f"{sum(map(len, queues.values()))} kills of stages on the servers, members {'known by name' if named else 'without a name'}")
    for _ in range(5):
        place.ok("import", str(feed.next()[0]))
    running = {}

    def start(stage):
        point = queues[stage][0] if queues[stage] else None
        member = {"WARDHOUSE_KAFKA__GROUP_INSTANCE_ID": stage} if named else {}
        time_of = dice.randint(1, min(3, LATEST.get(point, 2)))
        own = Place(work.folder / f"{name}-{stage}", place.settings, place.environment)
        running[stage] = Armed(work, own, ["run", stage], work.folder / f"{name}-{stage}.log", point, time_of, member)

    def look():
        for stage, armed in list(running.items()):
            if not armed.ended():
                continue
            if armed.point and armed.was_killed_there():
                counts[f"{stage} {armed.point}"] += 1
                report.say(f"servers: {stage} killed at {armed.point}")
                queues[stage].pop(0)
            else:
                report.check(f"{stage} goes on until it is killed; it said: {last_line(armed.log)}", False)
            start(stage)

    for stage in STAGES:
        start(stage)
    fed, most = 0, 150 if named else 300
    while any(queues.values()) and fed < most:
        path, malformed = feed.next(bad=fed % 5 == 0)
        place.ok("import", str(path))
        foreign.send(malformed)
        fed += 1
        until(lambda: look() or not any(queues.values()), 0.7 if named else 1.5, 0.05)
    left = {stage: queue for stage, queue in queues.items() if queue}
    if left:
        report.say(f"servers: not passed: {left}")
    foreign.close()
    # Those that wait for a point yet go on without.
    queues = {stage: [] for stage in STAGES}
    for stage in STAGES:
        if running[stage].point or stage == "patterns":
            running[stage].stop()
    place.environment["WARDHOUSE_SCORER__QUIET_SECONDS"] = SOON
    for stage in STAGES:
        if running[stage].ended():
            start(stage)
    settled = until(lambda: look() or place.settled(feed.rows), 120, 0.3)
    report.check("servers: everything is settled and adds up", settled)
    # Patterns know some seconds later that nothing comes any more.
    time.sleep(int(SOON) + 3)
    finish(report, work, place, feed, name, "killed on the servers")
    for armed in running.values():
        armed.stop()
