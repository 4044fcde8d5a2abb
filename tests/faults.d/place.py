"""Where a pipeline runs: its settings, its commands, and what its stores hold.

What must stay true: a place uses nothing of another's: folders, databases, topics, indexes and ports of its own.
"""

import json
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
STAGES = ["intake", "scorer", "patterns", "ledger", "documents", "metrics", "search"]
# No port but those that a drill asks for.
QUIET = {"WARDHOUSE_HTTP__LISTEN": "", "WARDHOUSE_OPERATIONS__LISTEN": "", "WARDHOUSE_SQL__POSTGRES": "", "WARDHOUSE_SQL__FLIGHT": "", "WARDHOUSE_SQL__HTTP": ""}


BINARY = Path(os.environ.get("WARDHOUSE_BIN") or Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug" / "wardhouse").absolute()


def binary():
    if not os.access(BINARY, os.X_OK):
        raise SystemExit(f"there is no {BINARY}: cargo build, or set WARDHOUSE_BIN")
    return str(BINARY)


class Place:
    """A pipeline on embedded stores, or on those that a settings file names."""

    def __init__(self, data, settings=None, environment=None):
        self.data, self.settings = Path(data), settings
        self.command = [binary(), *(["--config", str(settings)] if settings else []), "--data", str(self.data)]
        self.environment = {**os.environ, **QUIET, "RUST_LOG": "warn,tantivy=error", **(environment or {})}

    def line(self, *words):
        return [*self.command, *words]

    def run(self, *words, environment=None, **more):
        return subprocess.run(self.line(*words), env={**self.environment, **(environment or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True, **more)

    def ok(self, *words, **more):
        done = self.run(*words, **more)
        if done.returncode != 0:
            raise RuntimeError(f"wardhouse {' '.join(words)} ended with {done.returncode}: {done.stderr[-600:]}")
        return done.stdout

    def status(self):
        """As `wardhouse status` tells it; None while that cannot be read."""
        done = self.run("status", "--json", timeout=60)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def settled(self, rows):
        """Whether so many records are in, and everything is settled and adds up."""
        status = self.status()
        if not status:
            return False
        adds_up = all(stage["input"] == stage["settled"] == sum(count for _, count in stage["parts"]) for stage in status["stages"])
        return adds_up and status["stages"][0]["input"] == rows

    def all_visible(self):
        """Whether all that came in is visible in every store; patterns by account may wait for more."""
        status = self.status()
        stages = {stage["stage"]: stage for stage in status["stages"]} if status else {}
        return bool(stages) and all(stage["input"] == stage["settled"] for stage in stages.values())

    def dump(self, folder):
        """Every row of every store, without the times at which the log took it."""
        folder.mkdir(parents=True, exist_ok=True)
        for line in (HERE / "rows.txt").read_text().splitlines():
            name, columns, table, order = line.split("|")
            (folder / f"{name}.csv").write_text(self.ok("sql", "--format", "csv", f"SELECT {columns} FROM {table} ORDER BY {order}"))

    def reconciled(self):
        """What `wardhouse reconcile` says: whether every store is what the log says."""
        return self.run("reconcile", timeout=600)


def compare(report, expected, found, names):
    """Each table of one folder as in the other."""
    for one in sorted(expected.glob("*.csv")):
        left, right = one.read_text().splitlines(), (found / one.name).read_text().splitlines()
        if not report.check(f"{one.stem}: {len(left) - 1} rows, equal {names}", left == right):
            missing, extra = set(left) - set(right), set(right) - set(left)
            report.say(f"  {len(right) - 1} rows found; {len(missing)} missing or other, {len(extra)} extra or other")
            for sign, lines in (("-", missing), ("+", extra)):
                for line in sorted(lines)[:3]:
                    report.say(f"  {sign} {line[:300]}")


def servers():
    """The URLs of tests/stack by name, with what belongs to them; a server that is not there is missing."""
    told = subprocess.run([str(ROOT / "tests" / "stack"), "env"], capture_output=True, text=True).stdout
    found = dict(re.findall(r"^export WARDHOUSE_TEST_([A-Z_]+)='?([^'\n]*)'?$", told, re.M))
    return {name.lower(): value for name, value in found.items()}


NAMES = ["kafka", "postgres", "mongodb", "influxdb", "redis", "elasticsearch"]
ROLES = {"kafka": "log", "postgres": "ledger", "mongodb": "documents", "influxdb": "metrics", "redis": "baselines", "elasticsearch": "search"}


def missing(urls):
    """The sentence that says which servers are not there, if any."""
    gone = [name for name in NAMES if name not in urls]
    return f"no {', '.join(gone)}: tests/stack up" if gone else None


def joined(url, query):
    return f"{url}{'&' if '?' in url else '?'}{query}"


def with_path(url, path):
    return re.sub(r"^([a-z+]+://[^/?]*)(/[^?]*)?", rf"\1/{path}", url)


def on_servers(urls, name, overrides=None):
    """The URLs of a place of its own on each server."""
    org = re.sub(r"^[a-z]+://[^/]*/([^/?]*).*", r"\1", urls["influxdb"])
    stores = {
        "log": joined(urls["kafka"], f"namespace={name}"),
        "ledger": with_path(urls["postgres"], name),
        "documents": with_path(urls["mongodb"], name),
        "metrics": with_path(urls["influxdb"], f"{org}/{name}"),
        "baselines": joined(urls["redis"], f"namespace={name}"),
        "search": joined(urls["elasticsearch"], f"namespace={name}"),
    }
    return {**stores, **(overrides or {})}


def settings_file(path, stores, sections=""):
    path.write_text("[stores]\n" + "".join(f'{role} = "{url}"\n' for role, url in stores.items()) + sections)
    return path


def psql(url, statement, check=True):
    return subprocess.run(["psql", url, "-qAtc", statement], check=check, capture_output=True, text=True).stdout


def superuser(urls):
    """Of tests/stack, who has the password of its user."""
    return re.sub(r"//[^:@/]*:", "//postgres:", urls["postgres"])


def server_place(work, name, urls, environment=None, overrides=None, sections="", prepared=None):
    """A place on the servers, made, and removed again as far as it can be. `prepared` is called once its database is there."""
    psql(urls["postgres"], f"CREATE DATABASE {name}")
    if prepared:
        prepared()
    work.undo.append(lambda: psql(superuser(urls) if prepared else urls["postgres"], f"DROP DATABASE {name} WITH (FORCE)"))
    settings = settings_file(work.folder / f"{name}.toml", on_servers(urls, name, overrides), sections)
    place = Place(work.folder / name, settings, {"WARDHOUSE_INFLUXDB__TOKEN": urls.get("influxdb_token", ""), **(environment or {})})
    place.ok("migrate")
    return place
