"""A log that refuses a stage's records for good, for some seconds: Kafka's client then writes nothing more, since a gap may be behind it.

The stage goes on with another client in the same process: intake sends the same again, the scorer begins afresh and reads from the log what
stands in it.

What must stay true: the limit is set while the stage writes, so that what it has under way is refused; it is taken back before a stage that
begins again has used up its tries.
"""

import json
import os
import pathlib
import shutil
import subprocess
import time

from pipeline import STAGES, Feeder, Pipeline, generated, scored

RATE = 600
COUNT = 9_000
# No batch of records is so small.
TOO_SMALL = 100
# Who writes a topic, and what its process says once it goes on with another client.
SAYS = "is made anew"
BEGINS = "begins again"
TOPICS = {"accepted-transactions": ("intake", SAYS), "risk-scores": ("scorer", BEGINS), "account-activity": ("scorer", BEGINS)}


def tool(env):
    """How Kafka's own tool for settings is called; nothing where this machine has none."""
    cache = pathlib.Path(env.get("WARDHOUSE_CACHE") or pathlib.Path(env.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "wardhouse")
    java, libraries = shutil.which("java"), sorted(cache.glob("servers/kafka-*/libs"))
    return [java, "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{libraries[-1]}/*", "kafka.admin.ConfigCommand"] if java and libraries else None


def run(run):
    """One round of two topics, or ten of all."""
    if not tool(os.environ):
        run.checks.skip("a log that refuses records for good", "no java, or no Kafka of tests/stack, whose tool sets a topic's limit")
        return
    for round_ in range(run.rounds or (10 if run.is_long else 1)):
        topics = run.dice.sample(sorted(TOPICS), len(TOPICS)) if run.is_long else ["accepted-transactions", "risk-scores"]
        with run.place() as place:
            one(run, place, topics, (run.seed + round_) % 1_000_000)


def one(run, place, topics, seed):
    """One round."""
    checks, servers = run.checks, place.servers
    pipeline = Pipeline(run.binary, place.work, servers, checks)
    migrated = pipeline.command("migrate")
    if not checks.check("the servers are set up", migrated.returncode == 0, migrated.stderr[-400:]):
        return
    lines = generated(pipeline, seed, COUNT)
    host, port = servers.address("kafka")

    def limit(topic, *change):
        command = [*tool(servers.env), "--bootstrap-server", f"{host}:{port}", "--entity-type", "topics", "--entity-name", f"{servers.name}-{topic}", "--alter", *change]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"{topic}: {done.stdout.strip()[-300:]}")

    feeder = Feeder(pipeline, lines, RATE)
    try:
        for stage in STAGES:
            pipeline.start(stage)
        feeder.start()
        for topic in topics:
            stage, says = TOPICS[topic]
            before = said(pipeline, stage, says)
            time.sleep(2)
            limit(topic, "--add-config", f"max.message.bytes={TOO_SMALL}")
            limit(topic, "--delete-config", "max.message.bytes")
            until = time.monotonic() + 20
            while said(pipeline, stage, says) == before and time.monotonic() < until:
                time.sleep(0.2)
            checks.check(f"{topic} refused a record for good, and {stage} goes on with another client", said(pipeline, stage, says) > before, pipeline.last_line(stage))
        checks.check("the load was still on", feeder.is_alive())
        feeder.join()
        pipeline.prove(scored(pipeline, lines))
        told = [json.loads(data) for (data,) in pipeline.rows("SELECT data FROM ledger.audit_log WHERE event_type = 'incident_opened'")]
        checks.check("the audit log says so", any(one["kind"] == "producer_ended" and one["begun_again"] for one in told), str(told)[:400])
        # A machine that is slow to take the limit back may use up the scorer's tries: whoever looks after processes starts it again then.
        checks.check("no other stage ended for it", all(stage == "scorer" for stage, _ in pipeline.ended), str(pipeline.ended[:3]))
    finally:
        feeder.end()
        pipeline.stop()


def said(pipeline, stage, words):
    """How often a stage said something."""
    return (pipeline.work / f"{stage}.log").read_text(errors="replace").count(words)
