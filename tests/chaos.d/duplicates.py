"""A producer that sends a tenth of its records twice: at once, late, out of order; and a range of them all over again. Meanwhile intake and
sinks are killed, so that each stage delivers again too, and what was recorded is written into the stores again.

What must stay true: the first of each record comes in the order of the file, so that what an undisturbed run gives is known.
"""

import time

from pipeline import STAGES, Feeder, Pipeline, generated, scored

RATE = 600
COUNT = 7_000
SHARE = 0.1
AGAIN = 1_000
# How far behind its first a copy may come.
LATE = 2_000


def disturbed(lines, dice):
    """The lines with their copies among them, and how many copies there are."""
    order = [(float(at), line) for at, line in enumerate(lines)]
    copies = [(at, lines[at]) for at in dice.sample(range(len(lines)), int(len(lines) * SHARE))]
    # Half a place behind the first, or anywhere behind it, so that copies come in another order than their firsts.
    order += [(at + (0.5 if dice.random() < 0.3 else dice.uniform(0.5, LATE)), line) for at, line in copies]
    begin = dice.randrange(len(lines) - 2 * AGAIN)
    behind = dice.randrange(begin + AGAIN, len(lines))
    order += [(behind + at / AGAIN, line) for at, line in enumerate(lines[begin : begin + AGAIN])]
    return [line for _, line in sorted(order, key=lambda one: one[0])], len(copies) + AGAIN


def run(run):
    """Once, or ten times."""
    for round_ in range(run.rounds or (10 if run.is_long else 1)):
        with run.place() as place:
            one(run, place, round_)


def one(run, place, round_):
    """One round."""
    checks, dice = run.checks, run.dice
    pipeline = Pipeline(run.binary, place.work, place.servers, checks)
    migrated = pipeline.command("migrate")
    if not checks.check("the servers are set up", migrated.returncode == 0, migrated.stderr[-400:]):
        return
    lines = generated(pipeline, (run.seed + round_) % 1_000_000, COUNT)
    sent, copies = disturbed(lines, dice)
    feeder = Feeder(pipeline, sent, RATE)
    try:
        for stage in STAGES:
            pipeline.start(stage)
        time.sleep(1)
        feeder.start()
        killed, replays = [], 0
        while feeder.is_alive():
            time.sleep(dice.uniform(1.0, 2.0))
            victim = dice.choice(["intake", *STAGES[3:]])
            if victim not in killed:
                process = pipeline.take(victim)
                process.kill()
                process.wait()
                killed.append(victim)
                pipeline.start(victim)
            else:
                begin = dice.randrange(1_000)
                done = pipeline.command("replay", "--partition", dice.randrange(3), "--from", begin, "--to", begin + dice.randrange(100, 1_000))
                checks.check("what was recorded is sent again beside the stages", done.returncode == 0, done.stderr[-400:])
                replays += 1
            pipeline.revive()
        checks.say(f"{len(sent)} records were sent, {copies} of them copies; killed: {', '.join(killed)}; {replays} replays")
        took = pipeline.settle(len(sent), 120)
        parts = {stage["stage"]: dict(stage["parts"]) for stage in (pipeline.status() or {"stages": []})["stages"]} if took is not None else {}
        told = parts.get("scorer", {})
        again = sum(count for name, count in told.items() if "duplicate" in name)
        checks.check(f"the scorer knew each of the {copies} copies", again == copies and told.get("scored") == len(lines), str(told))
        pipeline.prove(scored(pipeline, lines))
        checks.check("no stage ended for it", not pipeline.ended, str(pipeline.ended[:3]))
    finally:
        feeder.end()
        pipeline.stop()
