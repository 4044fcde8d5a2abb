"""The credentials of a store's user are wrong for a while: changed or taken away on the server under the running stage, or mistyped in the settings
of a stage that is started again. The stage is started again whenever it ends, as a supervisor does.

What must stay true: only stages of that store end, and say why; no record is a dead letter for it; once the credentials are right, every row of
every store is that of a run that nobody disturbed.
"""

import json
import os
import re
import subprocess
import time
import urllib.request

from feed import Feed
from place import ROOT, STAGES, Place, compare, missing, psql, server_place, servers, superuser, with_path
from report import last_line, until

STAGES_OF = {"postgres": ["ledger"], "mongodb": ["documents"], "influxdb": ["metrics"], "redis": ["scorer", "patterns"], "elasticsearch": ["search"]}
# Servers of one run together.
RUNS = [["postgres"], ["mongodb", "influxdb"], ["redis", "elasticsearch"]]
SLICE = 300
WORDS = re.compile(r"password|token|credential|authenticat|not let in|log in|WRONGPASS|NOAUTH|28P01|unauthorized", re.I)


def secure():
    """The servers with passwords and TLS: URLs, and sections of the settings."""
    told = subprocess.run([str(ROOT / "tests" / "stack"), "env", "--secure"], capture_output=True, text=True).stdout
    urls = {name.lower(): value for name, value in re.findall(r"^export WARDHOUSE_TEST_SECURE_([A-Z]+)='?([^'\n]*)'?$", told, re.M)}
    config = subprocess.run([str(ROOT / "tests" / "stack"), "config", "--secure"], capture_output=True, text=True).stdout
    return urls, dict(re.findall(r"^\[([a-z]+)\]\n((?:[a-z_]+ = .*\n?)+)", config, re.M))


class Postgres:
    """Another password, and no session left."""

    def __init__(self, work, urls, name):
        self.admin, self.user = superuser(urls), f"{name}_user"
        psql(self.admin, f"CREATE ROLE {self.user} LOGIN PASSWORD 'right'")
        work.undo.append(lambda: psql(self.admin, f"DROP ROLE {self.user}"))
        self.url = re.sub(r"//[^@/]*@", f"//{self.user}:right@", with_path(urls["postgres"], name))

    def give(self, name):
        psql(self.admin, f"ALTER DATABASE {name} OWNER TO {self.user}")

    def wrong(self):
        psql(self.admin, f"ALTER ROLE {self.user} PASSWORD 'wrong'; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.user}'")

    def right(self):
        psql(self.admin, f"ALTER ROLE {self.user} PASSWORD 'right'")


class Influxdb:
    """A token that is switched off."""

    def __init__(self, work, urls):
        host = re.sub(r"^influxdb://([^/]*)/.*", r"\1", urls["influxdb"])
        self.base, self.admin = f"http://{host}/api/v2/authorizations", urls["influxdb_token"]
        known = self.ask("GET", "")["authorizations"]
        like = next(one for one in known if one["token"] == self.admin)
        made = self.ask("POST", "", {"orgID": like["orgID"], "description": "tests/faults", "permissions": like["permissions"]})
        self.token, self.id = made["token"], made["id"]
        work.undo.append(lambda: self.ask("DELETE", f"/{self.id}"))

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode() if body else None, {"Authorization": f"Token {self.admin}", "Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def wrong(self):
        self.ask("PATCH", f"/{self.id}", {"status": "inactive"})

    def right(self):
        self.ask("PATCH", f"/{self.id}", {"status": "active"})


class Redis:
    """Another password of an ACL user, and no connection left."""

    def __init__(self, work, urls, name):
        host, port = re.match(r"redis://(?:[^@/]*@)?([^:/]*):(\d+)", urls["redis"]).groups()
        self.cli, self.user = ["redis-cli", "-h", host, "-p", port], f"{name}_user"
        self.ask("ACL", "SETUSER", self.user, "on", ">right", "~*", "&*", "+@all")
        work.undo.append(lambda: self.ask("ACL", "DELUSER", self.user))
        self.url = re.sub(r"redis://([^@/]*@)?", f"redis://{self.user}:right@", f"{urls['redis']}{'&' if '?' in urls['redis'] else '?'}namespace={name}")

    def ask(self, *words):
        subprocess.run([*self.cli, *words], check=True, capture_output=True)

    def wrong(self):
        self.ask("ACL", "SETUSER", self.user, "resetpass", ">wrong")
        self.ask("CLIENT", "KILL", "USER", self.user)

    def right(self):
        self.ask("ACL", "SETUSER", self.user, "resetpass", ">right")


class Mistyped:
    """The right server, and a wrong password in the settings of its stage."""

    def __init__(self, supervisor, stage, variable):
        self.supervisor, self.stage, self.variable = supervisor, stage, variable

    def wrong(self):
        self.supervisor.more[self.stage] = {self.variable: "mistyped"}
        self.supervisor.children[self.stage].kill()
        self.supervisor.expected.add(self.stage)

    def right(self):
        self.supervisor.more.pop(self.stage, None)


class Supervisor:
    """Starts each stage, and again whenever it ended."""

    def __init__(self, work, place, name):
        self.work, self.place, self.name = work, place, name
        self.more, self.children, self.ends, self.again, self.expected = {}, {}, {}, {}, set()
        for stage in STAGES:
            self.start(stage)

    def start(self, stage):
        own = Place(self.work.folder / f"{self.name}-{stage}", self.place.settings, {**self.place.environment, "WARDHOUSE_KAFKA__GROUP_INSTANCE_ID": stage, **self.more.get(stage, {})})
        self.children[stage] = self.work.spawn(own.line("run", stage), self.log(stage), own.environment)

    def log(self, stage):
        return self.work.folder / f"{self.name}-{stage}.log"

    def look(self):
        for stage, child in list(self.children.items()):
            if child.poll() is None or time.monotonic() < self.again.get(stage, 0):
                continue
            if stage not in self.again:
                if stage in self.expected:
                    self.expected.discard(stage)
                else:
                    self.ends.setdefault(stage, []).append(last_line(self.log(stage)))
                self.again[stage] = time.monotonic() + 0.5
                continue
            del self.again[stage]
            self.start(stage)


def run(options, report, work):
    urls = servers()
    if missing(urls):
        report.skip("wrong credentials", missing(urls))
        return
    name = f"faults_{os.getpid()}"
    secured, sections = secure()
    postgres, influxdb, redis = Postgres(work, urls, name), Influxdb(work, urls), Redis(work, urls, name)
    overrides = {"ledger": postgres.url, "baselines": redis.url}
    more = "".join(f"\n[{server}]\n{sections[server]}" for server in ("mongodb", "elasticsearch") if server in secured)
    if "mongodb" in secured:
        overrides["documents"] = with_path(secured["mongodb"], name)
    if "elasticsearch" in secured:
        overrides["search"] = f"{secured['elasticsearch']}&namespace={name}"
    own = {**urls, "influxdb_token": influxdb.token}
    place = server_place(work, name, own, {"WARDHOUSE_SCORER__QUIET_SECONDS": "600"}, overrides, more, prepared=lambda: postgres.give(name))
    feed = Feed(work.folder / "input", options.seed, 200_000 if options.long else 40_000, SLICE)
    supervisor = Supervisor(work, place, name)
    users = {"postgres": postgres, "influxdb": influxdb, "redis": redis}
    for server, variable in (("mongodb", "WARDHOUSE_MONGODB__PASSWORD"), ("elasticsearch", "WARDHOUSE_ELASTICSEARCH__PASSWORD")):
        if server in secured:
            users[server] = Mistyped(supervisor, STAGES_OF[server][0], variable)
        else:
            report.skip(f"wrong credentials of {server}", "tests/stack up --secure")
    seconds = options.seconds or (60 if options.long else 10)
    for number in range(options.runs or (50 if options.long else 3)):
        together = [server for server in RUNS[number % len(RUNS)] if server in users]
        if together:
            one(report, supervisor, feed, place, users, together, seconds)
    for child in supervisor.children.values():
        child.terminate()
    for child in supervisor.children.values():
        child.wait()
    place.environment["WARDHOUSE_SCORER__QUIET_SECONDS"] = "2"
    supervisor = Supervisor(work, place, name)
    time.sleep(8)
    report.check("everything is settled and adds up", until(lambda: supervisor.look() or place.settled(feed.rows), 90, 0.3))
    finish(report, work, place, feed, name)


def send(place, feed, supervisor, seconds):
    """A slice a second, for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        place.ok("import", str(feed.next()[0]))
        until(lambda: supervisor.look() or time.monotonic() >= end, 1.0, 0.05)


def one(report, supervisor, feed, place, users, together, seconds):
    what = f"{' and '.join(together)}: credentials wrong for {seconds} s"
    send(place, feed, supervisor, 2)
    supervisor.ends.clear()
    for server in together:
        users[server].wrong()
    send(place, feed, supervisor, seconds)
    for server in together:
        users[server].right()
    affected = {stage for server in together for stage in STAGES_OF[server]}
    for stage in sorted(affected):
        said = supervisor.ends.get(stage, [])
        report.check(f"{what}: {stage} ended {len(said)} times and said why: {said[-1] if said else ''}", bool(said) and all(WORDS.search(line) for line in said))
    others = {stage: lines for stage, lines in supervisor.ends.items() if stage not in affected}
    report.check(f"{what}: no other stage ended{f': {others}' if others else ''}", not others)
    report.check(f"{what}: 30 s later everything is in every store", until(lambda: supervisor.look() or place.all_visible(), 30, 0.3))
    status = place.status()
    report.check(f"{what}: no dead letter", status is not None and status["letters"]["written"] == 0)


def finish(report, work, place, feed, name):
    found, expected = work.folder / "rows", work.folder / "undisturbed-rows"
    place.dump(found)
    calm = Place(work.folder / f"{name}-undisturbed", environment={"WARDHOUSE_SCORER__QUIET_SECONDS": "2"})
    for path, _ in feed.slices:
        calm.ok("import", str(path))
    calm.ok("up", "--rate", "0", "--no-history", "--until-idle")
    calm.dump(expected)
    compare(report, expected, found, "undisturbed and with wrong credentials")
