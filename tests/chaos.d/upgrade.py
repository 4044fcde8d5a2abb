"""Three instances of every stage under load, replaced one at a time: asked to go, and an instance of the new binary started in its place.

What must stay true: one is gone before the next is asked, and the newcomer has its share of the partitions by then; what an instance does from
the moment on at which it was asked to go counts as nobody's.
"""

import http.client
import json
import signal
import socket
import subprocess
import time

from instances import HALVES, UNOWNED, gaps, owned
from pipeline import Feeder, Pipeline, generated

RATE = 1_000
INSTANCES = 3
# Within which an instance that is asked to go has ended.
DRAIN = 15.0
# Within which it no longer says that it is ready.
UNREADY = 1.0
# Within which a newcomer has its share.
SHARE = 40.0
# Load before the first is asked, between two, and behind the last.
BEFORE, BETWEEN, BEHIND = 6.0, 1.0, 6.0
# The load ends there, whether all are replaced or not.
MOST_SECONDS = 115
# Groups of more than one partition in which an instance of a half has a share.
GROUPS = {"front": 2, "back": 4}


class Upgraded(Pipeline):
    """Processes with a port each on which they tell how they are."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.ports = {}

    def start(self, name, *roles):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.ports[name] = free.getsockname()[1]
        plain, self.env = self.env, {**self.env, "WARDHOUSE_OPERATIONS__LISTEN": f"127.0.0.1:{self.ports[name]}"}
        try:
            return super().start(name, *roles)
        finally:
            self.env = plain


class Member:
    """One process; times are those of its log."""

    def __init__(self, pipeline, half, name):
        self.name, self.half, self.log = name, half, pipeline.work / f"{name}.log"
        self.process = pipeline.start(name, *HALVES[half])
        self.port = pipeline.ports[name]
        # From when on it did not work. None of these is ever frozen.
        self.gone, self.frozen = None, []


def ready(port):
    """What an instance says of itself; `None` where it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def spans_of(members, until):
    """Who owned what: by place, spans of time with the instance's name."""
    spans = {}
    for member in members:
        for place, some in owned(member, member.log, until).items():
            spans.setdefault(place, []).extend((begin, end, member.name) for begin, end in some)
    return spans


def shared(members, newcomers):
    """Whether every partition that was ever owned has an owner, and each newcomer its share."""
    now = time.time()
    spans = spans_of(members, now)
    held = {place: {name for _, end, name in some if end >= now} for place, some in spans.items()}
    groups = {one.name: {group for (group, _), names in held.items() if one.name in names} for one in newcomers}
    return len(held) >= INSTANCES * 8 and all(held.values()) and all(len(groups[one.name]) >= GROUPS[one.half] for one in newcomers)


def awaited(members, newcomers):
    """Waits until newcomers are ready and have their share; says how long it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < SHARE:
        if all(ready(one.port) for one in newcomers) and shared(members, newcomers):
            return time.monotonic() - begun
        if any(one.process.poll() is not None for one in newcomers):
            return None
        time.sleep(0.3)
    return None


def asked_to_go(pipeline, member):
    """Asks an instance to go, and gives what was wrong with how it went, and how long it took."""
    process = pipeline.take(member.name)
    member.gone, begun, said = time.time(), time.monotonic(), []
    process.send_signal(signal.SIGTERM)
    while process.poll() is None and time.monotonic() - begun < DRAIN + 5:
        said.append((ready(member.port), time.monotonic() - begun))
        time.sleep(0.01)
    took = time.monotonic() - begun
    if process.poll() is None:
        process.kill()
    code, wrong = process.wait(), []
    if code != 0 or took > DRAIN:
        wrong.append(f"it ended with code {code} after {took:.1f} s: {pipeline.last_line(member.name)}")
    answers = [answer for answer, at in said if answer is not None]
    first = answers.index(False) if False in answers else len(answers)
    if True in answers[first:] or any(answer and at > UNREADY for answer, at in said):
        wrong.append(f"it said that it is ready while it stopped: {[(answer, round(at, 2)) for answer, at in said if answer][-3:]}")
    if False not in answers and took > UNREADY:
        wrong.append("nobody was told that it is not ready")
    return wrong, took


def explained(binary, pipeline, lines):
    """By id, score, dimensions and reasons of each line, as this binary gives them offline."""
    path = pipeline.work / "offline.ndjson"
    path.write_text("".join(lines))
    done = subprocess.run([str(binary), "--data", str(pipeline.work / "offline"), "score", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**pipeline.env, "RUST_LOG": "warn"})
    if done.returncode:
        raise RuntimeError(f"score: {done.stderr.strip()[-500:]}")
    found = {}
    for line in done.stdout.splitlines():
        one = json.loads(line)
        if "risk_score" in one and "transaction_id" in one and "dimensions" in one:
            found[one["transaction_id"]] = (one["risk_score"], json.dumps(one["dimensions"]), json.dumps(one["reasons"]))
    return found


def stored(pipeline):
    """The same as the stores have it."""
    rows = pipeline.rows("SELECT transaction_id, risk_score, dimensions, reasons FROM documents.explanations")
    return {one: (int(score), json.dumps(json.loads(dimensions)), json.dumps(json.loads(reasons))) for one, score, dimensions, reasons in rows}


def run(run):
    """Once, or ten times."""
    for round_ in range(run.rounds or (10 if run.is_long else 1)):
        with run.place() as place:
            one(run, place, round_)


def one(run, place, round_):
    """One round."""
    checks, old = run.checks, run.old or run.binary
    checks.say(f"from {old} to {run.binary}" if run.old else f"{run.binary} plays both: name an earlier one with --old")
    pipeline = Upgraded(old, place.work, place.servers, checks)
    migrated = pipeline.command("migrate")
    if not checks.check("the servers are set up", migrated.returncode == 0, migrated.stderr[-400:]):
        return
    lines = generated(pipeline, (run.seed + round_) % 1_000_000, RATE * MOST_SECONDS)
    feeder, members = Feeder(pipeline, lines, RATE), []
    try:
        first = [Member(pipeline, half, f"{half}-{number}") for number in range(INSTANCES) for half in HALVES]
        members += first
        took = awaited(members, first)
        if not checks.check(f"{len(first)} instances have their shares{'' if took is None else f' after {took:.0f} s'}", took is not None):
            return
        feeder.start()
        time.sleep(BEFORE)
        pipeline.binary = str(run.binary)
        for member in first:
            if not feeder.is_alive():
                break
            wrong, took = asked_to_go(pipeline, member)
            newcomer = Member(pipeline, member.half, f"{member.name}-next")
            members.append(newcomer)
            joined = awaited(members, [newcomer])
            checks.check(f"{member.name} ended with code 0 after {took:.1f} s, and said at once that it is not ready", not wrong, "; ".join(wrong))
            checks.check(f"the next one has its share{'' if joined is None else f' after {joined:.1f} s'}", joined is not None, pipeline.last_line(newcomer.name))
            time.sleep(BETWEEN)
        replaced = sum(member.gone is not None for member in first)
        checks.check(f"{replaced} of {len(first)} are replaced while {RATE} transactions a second come", replaced == len(first) and feeder.is_alive())
        time.sleep(BEHIND)
        feeder.end()
        ended = time.time()
        sent = lines[: len(lines) - len(feeder.lines)]
        checks.say(f"{len(sent)} transactions were sent")
        dead = [f"{member.name}: {pipeline.last_line(member.name)}" for member in members if member.gone is None and member.process.poll() is not None]
        checks.check("no instance ended by itself", not dead, str(dead[:3]))
        found = gaps(spans_of(members, ended), ended)
        (longest, since), where = max((gap, place) for place, gap in found.items())
        told = time.strftime("%H:%M:%S", time.localtime(since))
        checks.check(f"no partition was unowned for {UNOWNED:.0f} s: {where} was for {longest:.1f} s", longest <= UNOWNED, f"from {told} on")
        prove(run, pipeline, sent)
    finally:
        feeder.end()
        pipeline.stop()


def prove(run, pipeline, sent):
    """Everything is in every store once, scored as offline."""
    wanted = explained(run.binary, pipeline, sent)
    before = explained(run.old, pipeline, sent) if run.old else wanted
    others = sum(wanted[one] != before.get(one) for one in wanted)
    scores = {one: score for one, (score, _, _) in wanted.items()}
    if others:
        # Which rows which of the two has scored is not known: the log's word stands for both.
        run.checks.skip("scores as offline", f"the two binaries score {others} of {len(wanted)} rows otherwise by themselves")
        pipeline.settle(len(sent), 180)
        scores.update((one, score) for one, (score, _, _) in stored(pipeline).items() if one in scores)
    pipeline.prove(scores, 180)
    if not others:
        found = stored(pipeline)
        other = [one for one in wanted if found.get(one) != wanted[one]]
        run.checks.check("points and reasons of each are those of an undisturbed run, to the letter", not other, f"{len(other)} others: {[(wanted[one], found.get(one)) for one in other[:2]]}")
