"""Links that fail before each real server while the pipeline runs under load, one process a stage.

What must stay true: what a fault did is told, and one that had nothing to strike fails the run; no stage ends for a link that fails.
"""

import time

from link import Link
from pipeline import STAGES, Feeder, Pipeline, generated, scored
from servers import HASTY

RATE = 300
# Longer than the answers that are waited for.
SILENCE = (4.0, 6.0)
KINDS = ["cut", "half-open", "deaf", "late", "slow", "cut in the request", "cut in the reply", "reply lost"]


def deck(dice, servers, count):
    """So many faults: every server and every kind in turn, no pair again before all were there."""
    faults = []
    while len(faults) < count:
        names, kinds = dice.sample(servers, len(servers)), dice.sample(KINDS, len(KINDS))
        pairs = [(names[at % len(names)], kinds[(at + at // len(names)) % len(kinds)]) for at in range(len(names) * len(kinds))]
        # Where both numbers have a factor in common the walk comes back to itself early: what it left out comes behind.
        rest = [(name, kind) for name in names for kind in kinds if (name, kind) not in pairs]
        faults += list(dict.fromkeys(pairs)) + dice.sample(rest, len(rest))
    return faults[:count]


class Faults:
    """The links, and what is done to them."""

    def __init__(self, links, dice):
        self.links, self.dice = links, dice

    def strike(self, name, kind):
        """One fault, to its end; what it did, and how much."""
        links, dice = self.links[name], self.dice
        # Behind a fault of the log it takes some seconds until something comes to the others again.
        before, until = sum(link.written for link in links), time.monotonic() + 20
        while sum(link.written for link in links) == before and time.monotonic() < until:
            time.sleep(0.02)
        if kind == "cut":
            count = sum(link.cut() for link in links)
            return count, f"{count} connections reset"
        if kind in ("half-open", "deaf", "late"):
            ways = ["down"] if kind == "deaf" else dice.choice([["up", "down"], ["up", "down"], ["up"]])
            seconds = dice.uniform(*SILENCE)
            for link in links:
                link.hold(ways)
            time.sleep(seconds)
            count = sum(link.release(forget=kind != "late") for link in links)
            return count, f"{count} bytes held for {seconds:.1f} s ({' and '.join(ways)}), {'passed on late' if kind == 'late' else 'then forgotten with their connections'}"
        if kind == "slow":
            rate, seconds = dice.choice([500, 2_000, 8_000]), dice.uniform(3.0, 5.0)
            for link in links:
                link.slow(rate)
            time.sleep(seconds)
            count = sum(link.slow(None) for link in links)
            return count, f"{count} bytes at {rate} bytes/s for {seconds:.1f} s"
        for link in links:
            link.arm(kind)
        until = time.monotonic() + 8
        while time.monotonic() < until and not any(link.count() for link in links):
            time.sleep(0.05)
        count = sum(link.arm(None) for link in links)
        return count, f"{count} writes struck"


def run(run):
    """20 faults, or 500."""
    count = run.rounds or (500 if run.is_long else 20)
    with run.place() as place:
        checks, servers = run.checks, place.servers
        links = {name: [Link(name, servers.address(name))] for name in servers.urls if name != "kafka"}
        brokers = servers.kafka_links()
        if brokers:
            links["kafka"] = [Link("kafka", server, listen) for listen, server in brokers]
        else:
            checks.skip("a link that fails before Kafka", "its broker has no second listener, or was started before it had: tests/stack reset kafka")
        addresses = {name: ",".join("{}:{}".format(*link.address) for link in some) for name, some in links.items()}
        pipeline = Pipeline(run.binary, place.work, servers, checks, addresses, HASTY)
        migrated = pipeline.command("migrate")
        if not checks.check("the servers are set up", migrated.returncode == 0, migrated.stderr[-400:]):
            return
        # As many lines as will do for the longest faults; those that were sent count.
        lines = generated(pipeline, run.seed % 1_000_000, RATE * count * 6)
        feeder = Feeder(pipeline, lines, RATE)
        try:
            for stage in STAGES:
                pipeline.start(stage)
            feeder.start()
            time.sleep(4)
            faults, done, idle = Faults(links, run.dice), {}, []
            for number, (name, kind) in enumerate(deck(run.dice, list(links), count), 1):
                pipeline.revive()
                struck, what = faults.strike(name, kind)
                checks.say(f"{number}/{count} {name}, {kind}: {what}")
                done[kind] = done.get(kind, 0) + 1
                if not struck:
                    idle.append(f"{number} {name}, {kind}")
                time.sleep(run.dice.uniform(0.3, 1.5))
            feeder.end()
            sent = lines[: len(lines) - len(feeder.lines)]
            checks.say(f"{len(sent)} transactions were sent, {feeder.failures} imports went on where they were; faults: {done}")
            checks.check(f"each of the {count} faults had something to strike", not idle, "; ".join(idle))
            pipeline.prove(scored(pipeline, sent), seconds=150)
            checks.check("no stage ended for it", not pipeline.ended, str(pipeline.ended[:3]))
        finally:
            feeder.end()
            pipeline.stop()
            for some in links.values():
                for link in some:
                    link.close()
