"""Rows that a store refuses though intake and scorer took them: a constraint, a validator, a mapping that somebody else put there.

They are in the dead letters with a reason, or their stage stops and says why; the good rows are delivered, the other stores are not held up;
and once the cause is mended and the letters are sent again, every store is as the log says.

What must stay true: the store takes everything until the first half is in it, so that whatever is behind its back is there while it runs.
"""

import json
import time

from pipeline import STAGES, Feeder, Pipeline, generated, scored

RATE = 600
CLEAN = 600
# By share in percent: how many rows come once the store refuses some. All of them, where there is no limit, is one letter after the other.
ROWS = {1: 3_000, 50: 1_500, 100: 300}
NO_LIMITS = "[dead_letters]\nmax_per_minute = 0\nmax_percent = 0\n"
# The defaults.
PER_MINUTE, PERCENT, PERCENT_FROM = 100, 5, 200
# What is made up of it can be refused by its id alone.
MARK = "POISON-"
PATTERN_ROWS = 1_000_000
STORES = ["ledger", "documents", "search"]


def spoil(servers, store):
    """Makes a store refuse rows whose transaction is marked."""
    if store == "ledger":
        servers.psql(f"ALTER TABLE transactions ADD CONSTRAINT poison CHECK (transaction_id NOT LIKE '{MARK}%')")
    elif store == "documents":
        servers.mongodb({"collMod": "documents", "validator": {"transaction_id": {"$not": {"$regex": f"^{MARK}"}}}})
    else:
        # Alerts of patterns by account stand behind a number of partitions that no topic has.
        script = f"if (ctx.transaction_id != null && ctx.transaction_id.startsWith('{MARK}') && ctx.partition < {PATTERN_ROWS}) {{ ctx.risk_score = 'refused' }}"
        servers.http("elasticsearch", "PUT", f"/_ingest/pipeline/{servers.name}", {"processors": [{"script": {"source": script}}]})
        servers.http("elasticsearch", "PUT", f"/{servers.name}-alerts-*/_settings", {"index.default_pipeline": servers.name})


def mend(servers, store):
    """Takes it back."""
    if store == "ledger":
        servers.psql("ALTER TABLE transactions DROP CONSTRAINT poison")
    elif store == "documents":
        servers.mongodb({"collMod": "documents", "validator": {}})
    else:
        servers.http("elasticsearch", "PUT", f"/{servers.name}-alerts-*/_settings", {"index.default_pipeline": "_none"})
        servers.http("elasticsearch", "DELETE", f"/_ingest/pipeline/{servers.name}")


def marked(lines, chosen):
    """The lines with the ids of those that were chosen marked."""
    for at, line in enumerate(lines):
        if at in chosen:
            row = json.loads(line)
            line = line.replace(row["transaction_id"], MARK + row["transaction_id"])
        yield line


def rounds(dice, count):
    """Store, percent and whether there are limits, of each round."""
    # Each share is there once at least, and so are a stop and a stage that buries all that it is given.
    # Few rows are alerts: half of them may be borne.
    stops = dice.choice(["ledger", "documents"])
    rest = dice.sample([store for store in STORES if store != stops], 2)
    plan = [(rest[0], 1, True), (stops, 50, True), (rest[1], 100, False)]
    every = [(store, percent, limits) for store in STORES for percent in ROWS for limits in (True, False)]
    while len(plan) < count:
        plan += dice.sample(every, len(every))
    return plan[:count]


def run(run):
    """Three rounds, or thirty."""
    for number, (store, percent, limits) in enumerate(rounds(run.dice, run.rounds or (30 if run.is_long else 3)), 1):
        run.checks.say(f"round {number}: the {store} store refuses {percent} % of the rows that it is given, {'within the limits of dead letters' if limits else 'without a limit'}")
        with run.place("" if limits else NO_LIMITS) as place:
            one(run, place, store, percent, limits, (run.seed + number) % 1_000_000)


def one(run, place, store, percent, limits, seed):
    """One round."""
    checks, servers = run.checks, place.servers
    pipeline = Pipeline(run.binary, place.work, servers, checks, settings=place.settings)
    migrated = pipeline.command("migrate")
    if not checks.check("the servers are set up", migrated.returncode == 0, migrated.stderr[-400:]):
        return
    # Few rows are alerts.
    lines, clean = generated(pipeline, seed, CLEAN + (ROWS[1] if store == "search" else ROWS[percent])), CLEAN
    given = range(clean, len(lines))
    if store == "search":
        # It is given alerts alone, and has its index from the first of them on.
        given = alerts(pipeline, lines)
        clean = max(clean, given[0] + 1)
        given = [at for at in given if at >= clean]
    chosen = set(run.dice.sample(given, max(1, len(given) * percent // 100)))
    lines = list(marked(lines, chosen))
    try:
        for stage in STAGES:
            pipeline.start(stage)
        Feeder(pipeline, lines[:clean], clean).run()
        if not checks.check("the first rows are in every store", pipeline.settle(clean, 60) is not None):
            return
        spoil(servers, store)
        sink = pipeline.take(store)
        Feeder(pipeline, lines[clean:], RATE).run()
        others_settle(pipeline, store, len(lines), checks)
        too_many = limits and (len(chosen) > PER_MINUTE or (len(chosen) * 100 > PERCENT * len(lines) and len(lines) >= PERCENT_FROM))
        letters = stopped(pipeline, sink, store, len(chosen), checks) if too_many else buried(pipeline, sink, store, len(chosen), len(lines), checks)
        mend(servers, store)
        if too_many:
            pipeline.start(store)
        else:
            pipeline.processes[store] = sink
        checks.check("with its cause mended, the store takes the rest", pipeline.settle(len(lines), 60, revive=False) is not None)
        if letters:
            done = pipeline.command("dead-letters", "retry", "--store", store, "--all")
            checks.check(f"{letters} letters are sent again", done.returncode == 0 and f"{letters} dead letter" in done.stderr and "sent again" in done.stderr, (done.stdout + done.stderr)[-400:])
            again = pipeline.command("dead-letters", "retry", "--store", store, "--all")
            checks.check("a second time there is nothing to send", " is in the " not in again.stdout, again.stdout[-300:])
        pipeline.prove(scored(pipeline, lines), patterns=False, stores=sorted({store, "ledger"}))
        checks.check("no other stage ended for it", not pipeline.ended, str(pipeline.ended[:3]))
    finally:
        pipeline.stop()


def alerts(pipeline, lines):
    """Which lines raise an alert by themselves, in order."""
    path = pipeline.work / "alerts.ndjson"
    path.write_text("".join(lines))
    said = [json.loads(line) for line in pipeline.command("score", path).stdout.splitlines()]
    places = {json.loads(line)["transaction_id"]: at for at, line in enumerate(lines)}
    return sorted(places[one["transaction_id"]] for one in said if one.get("risk_score", 0) >= 70)


def others_settle(pipeline, store, wanted, checks):
    """The other stages are not held up."""
    until, behind = time.monotonic() + 60, None
    while time.monotonic() < until:
        status = pipeline.status()
        behind = [one["stage"] for one in (status or {"stages": []})["stages"] if one["input"] != one["settled"] and not one["stage"].startswith(store)]
        if status and status["stages"][0]["input"] >= wanted and not behind:
            break
        time.sleep(0.3)
    checks.check("every other stage has settled everything", not behind, str(behind))


def stopped(pipeline, sink, store, count, checks):
    """The stage has stopped, in clear words, and has not drained its topic; gives how many letters it has written."""
    until = time.monotonic() + 60
    while sink.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    said = pipeline.last_line(store)
    checks.check("its stage has stopped and says why", sink.returncode == 1 and "too many dead letters" in said and "raise the limit" in said, f"code {sink.returncode}: {said}")
    checks.say(said[:300])
    letters = pipeline.status()["letters"]["waiting"]
    checks.check(f"{letters} letters were written, not more than the limit and not all of {count}", letters <= PER_MINUTE and letters < count, str(letters))
    if store == "documents":
        # Its start puts the validator back that belongs there: that mends it.
        return letters
    pipeline.start(store)
    again = pipeline.take(store)
    while again.poll() is None and time.monotonic() < until + 30:
        time.sleep(0.2)
    after = pipeline.status()["letters"]["waiting"]
    checks.check(f"started again before it is mended, it stops again: {after} letters", again.poll() == 1 and after <= 2 * PER_MINUTE and after < count, f"code {again.poll()}")
    return after


def buried(pipeline, sink, store, count, wanted, checks):
    """All bad rows are in the dead letters, each with a reason, and the good ones in the store; gives how many."""
    took = pipeline.settle(wanted, 240, revive=False)
    checks.check("everything else is settled and adds up", took is not None and sink.poll() is None, pipeline.last_line(store))
    said = pipeline.command("dead-letters", "list", "--json", "--store", store, "--limit", count + 10).stdout.splitlines()
    letters = [json.loads(line) for line in said if line.startswith("{")]
    checks.check(f"{count} rows are in the dead letters", len(letters) == count, f"{len(letters)} are")
    reasons = {(one.get("error_class"), str(one.get("error_message"))[:120]) for one in letters}
    checks.check("each with a class and a reason", letters and all(all(one) for one in reasons), str(list(reasons)[:3]))
    checks.say(f"the reasons: {list(reasons)[:2]}")
    code, findings = pipeline.reconcile("--store", store)
    checks.check("reconcile: what is in the dead letters is no finding", code == 0, f"exit code {code}: {findings}")
    return count
