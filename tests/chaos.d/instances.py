"""Three instances of every stage that join and leave at random: asked to go, killed, frozen until others took over and then thawed.

What must stay true: of each group one instance at least goes on; instances that go without a word are so far apart that the group can notice
one before the next, since it waits a session's time for each.
"""

import calendar
import json
import re
import subprocess
import signal
import time

from pipeline import STAGES, Feeder, Pipeline, generated, scored

RATE = 300
# How long a partition may be without an owner.
UNOWNED = 15.0
# The group's session. Who is asked to go while the group waits for one that is dead is waited for as long again: its word of leaving stands behind
# its own request to join, so that two sessions and the time to agree anew must fit into what is promised.
SESSION = 6.0
APART = 2 * SESSION + 4.0
WORKED_ON = "not everything is in every store yet"
HALVES = {"front": STAGES[:3], "back": STAGES[3:]}


class Member:
    """One process, from its start to its end; times are those of its log."""

    def __init__(self, pipeline, half, number):
        self.name, self.half = f"{half}-{number}", half
        self.process = pipeline.start(self.name, *HALVES[half])
        # From when on it did not work: asked to go, killed.
        self.gone = None
        self.frozen = []

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)
        self.frozen.append([time.time(), None])

    def thaw(self):
        self.frozen[-1][1] = time.time()
        self.process.send_signal(signal.SIGCONT)

    @property
    def is_frozen(self):
        return bool(self.frozen) and self.frozen[-1][1] is None

    @property
    def works(self):
        return self.gone is None and not self.is_frozen


def owned(member, path, until):
    """When the member owned what: (group, topic and partition) to spans of time, those left out in which it was frozen."""
    spans, begun = {}, {}
    lines = path.read_text(errors="replace").splitlines()
    end = member.gone or until
    if member.gone:
        # Who is asked to go works on until everything is in every store, three seconds at most, and then says so.
        end = max([end, *(_seconds(json.loads(line)["timestamp"]) for line in lines if WORKED_ON in line)])
    for line in lines:
        if '"partitions' not in line:
            continue
        said = json.loads(line)
        word, at = said["fields"]["message"], _seconds(said["timestamp"])
        for number in re.findall(r"\((\d+), (\d+)\)", said["fields"]["partitions"]):
            place = (said["fields"]["group"], number)
            if word == "partitions taken over":
                begun.setdefault(place, at)
            elif place in begun:
                spans.setdefault(place, []).append((begun.pop(place), min(at, end)))
    for place, at in begun.items():
        spans.setdefault(place, []).append((at, end))
    for place in spans:
        for begin, back in member.frozen:
            spans[place] = [part for one in spans[place] for part in _without(one, begin, back or until)]
    return spans


def _without(span, begin, end):
    return [part for part in ((span[0], min(span[1], begin)), (max(span[0], end), span[1])) if part[1] > part[0]]


def _seconds(text):
    whole, fraction = re.match(r"(.*?)(\.\d+)?Z", text).groups()
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(fraction or 0)


def _clock(at):
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 10)}"


def gaps(spans, until):
    """The longest time without an owner, of each place."""
    found = {}
    for place, some in spans.items():
        some = sorted(some)
        covered, longest = some[0][1], (0.0, some[0][1])
        for begin, end, _ in [*some[1:], (until, until, "")]:
            longest = max(longest, (begin - covered, covered))
            covered = max(covered, end)
        found[place] = longest
    return found


class Crowd:
    """The instances, and what is done to them."""

    def __init__(self, pipeline, checks, dice):
        self.pipeline, self.checks, self.dice = pipeline, checks, dice
        self.members, self.started, self.hard, self.events = [], 0, {}, {}
        for half in HALVES:
            for _ in range(3):
                self.join(half)

    def join(self, half):
        self.started += 1
        self.members.append(Member(self.pipeline, half, self.started))
        return self.members[-1]

    def of(self, half):
        """Those that have not gone."""
        return [member for member in self.members if member.half == half and member.gone is None]

    def step(self):
        """Something that befalls one of them; told."""
        dice = self.dice
        for member in self.members:
            if member.gone is None and member.process.poll() is not None:
                member.gone = time.time()
                self.pipeline.ended.append((member.name, self.pipeline.last_line(member.name)))
                self.checks.say(f"{member.name} ended by itself: {self.pipeline.last_line(member.name)}")
            if member.is_frozen and time.time() - member.frozen[-1][0] > SESSION + 3:
                member.thaw()
                self.told("thaws", member)
        half = dice.choice(list(HALVES))
        here = self.of(half)
        working = [member for member in here if member.works]
        wanted = dice.choice(["join", "leave", "leave", "kill", "freeze"])
        if wanted == "join" or len(working) < 2:
            if len(here) < 3:
                self.told("joins", self.join(half))
            return
        member = dice.choice(working)
        if wanted != "leave":
            if time.time() - self.hard.get(half, 0) < APART:
                return
            self.hard[half] = time.time()
        if wanted == "freeze":
            member.freeze()
            self.told("is frozen", member)
            return
        member.gone = time.time()
        self.pipeline.take(member.name)
        member.process.send_signal(signal.SIGTERM if wanted == "leave" else signal.SIGKILL)
        self.told("is asked to go" if wanted == "leave" else "is killed", member)

    def told(self, what, member):
        self.events[what] = self.events.get(what, 0) + 1
        self.checks.say(f"{member.name} {what}; {', '.join(f'{sum(one.works for one in self.of(half))} {half}' for half in HALVES)} at work")

    def calm(self):
        """All that are frozen go on, and those that were asked to go have gone; gives the codes of those that ended otherwise than they should."""
        for member in self.members:
            if member.is_frozen:
                member.thaw()
        wrong = []
        for member in self.members:
            if member.gone is not None and member.process.returncode not in (-signal.SIGKILL, 1):
                try:
                    code = member.process.wait(20)
                except subprocess.TimeoutExpired:
                    code = "still there after 20 s"
                if code not in (0, -signal.SIGKILL):
                    wrong.append(f"{member.name}: {code}")
        return wrong


def run(run):
    """30 s, or ten minutes."""
    for round_ in range(run.rounds or 1):
        before = run.dice.getstate()
        with run.place() as place:
            in_time = one(run, place, round_, is_last=False)
        if not in_time:
            # Another program on this machine may have had its processors. The same faults once more, and what was missed twice is missed.
            run.dice.setstate(before)
            with run.place() as place:
                one(run, place, round_, is_last=True)


def one(run, place, round_, is_last):
    """One round; gives whether no partition was unowned for too long, which is a failure in the last of a round's tries."""
    checks = run.checks
    pipeline = Pipeline(run.binary, place.work, place.servers, checks)
    migrated = pipeline.command("migrate")
    if not checks.check("the servers are set up", migrated.returncode == 0, migrated.stderr[-400:]):
        return True
    seconds = 600 if run.is_long else 30
    lines = generated(pipeline, (run.seed + round_) % 1_000_000, RATE * (seconds + 60))
    feeder, crowd = Feeder(pipeline, lines, RATE), None
    try:
        crowd = Crowd(pipeline, checks, run.dice)
        feeder.start()
        time.sleep(6)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            crowd.step()
            time.sleep(run.dice.uniform(0.5, 2.5))
        # What befell last is watched to its end.
        time.sleep(APART)
        feeder.end()
        ended, wrong = time.time(), crowd.calm()
        sent = lines[: len(lines) - len(feeder.lines)]
        checks.say(f"{len(sent)} transactions were sent; {crowd.events}")
        checks.check("each that was asked to go has ended with code 0", not wrong, ", ".join(wrong))
        checks.check("no instance ended by itself", not pipeline.ended, str(pipeline.ended[:3]))
        spans = {}
        for member in crowd.members:
            for at, some in owned(member, pipeline.work / f"{member.name}.log", ended).items():
                spans.setdefault(at, []).extend((begin, end, member.name) for begin, end in some)
        found = gaps(spans, ended)
        # Intake, the scorer and each sink have three partitions of each topic that they read.
        checks.check(f"{len(found)} partitions of groups were owned", len(found) >= 3 * 8, str(sorted(found)))
        (longest, since), where = max((gap, place) for place, gap in found.items())
        owners = "; ".join(f"{name} {_clock(begin)} to {_clock(end)}" for begin, end, name in sorted(spans[where]))
        told, why = f"no partition was unowned for {UNOWNED:.0f} s: {where} was for {longest:.1f} s", f"from {_clock(since)} on: {owners}"
        if longest <= UNOWNED or is_last:
            checks.check(told, longest <= UNOWNED, why)
        else:
            checks.say(f"missed, to be tried again: {told}: {why}")
        pipeline.prove(scored(pipeline, sent))
        return longest <= UNOWNED
    finally:
        feeder.end()
        if crowd:
            for member in crowd.members:
                if member.process.poll() is None:
                    member.process.send_signal(signal.SIGCONT)
        pipeline.stop()
