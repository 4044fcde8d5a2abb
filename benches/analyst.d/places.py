"""Where the data of a run lies: a folder of embedded stores, or places of its own on the servers of tests/stack.

What must stay true: whatever it makes on a server bears its name, and goes when it is removed; what others have there is not touched.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STORES = ("kafka", "postgres", "mongodb", "influxdb", "redis", "elasticsearch")
# What of the made-up hospital belongs to incidents of fraud: of a million transactions some 5,000 raise alerts.
ANOMALY_RATE, USERS, DAYS, SEED = 0.03, 500, 60, 11


class Failed(Exception):
    """What cannot go on, in a sentence."""


def joined(url, parameter):
    return f"{url}{'&' if '?' in url else '?'}{parameter}"


def with_path(url, path):
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(path=f"/{path}"))


def bare(url, scheme):
    """Scheme and authority alone."""
    return f"{scheme}://{urllib.parse.urlsplit(url).netloc}"


class Place:
    """A folder, and the settings with which the binary is run on it."""

    def __init__(self, binary, folder, name):
        self.binary, self.folder, self.name = binary, pathlib.Path(folder), name
        self.data = self.folder / "data"
        self.settings = self.folder / "settings.toml"

    def stores(self):
        """The settings' section of stores."""
        return ""

    def configure(self, listening=("", "", "")):
        """Writes the settings, with the addresses of SQL."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ways = "".join(f'{way} = "{address}"\n' for way, address in zip(("postgres", "flight", "http"), listening))
        text = f'{self.stores()}[http]\nlisten = ""\n[operations]\nlisten = ""\n[sql]\n{ways}'
        self.settings.write_text(text, encoding="utf-8")

    def environment(self):
        """Without what would be read as settings."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("WARDHOUSE_")}
        return kept | {"RUST_LOG": os.environ.get("RUST_LOG", "warn")}

    def command(self, *arguments):
        return [self.binary, "--config", str(self.settings), "--data", str(self.data), *map(str, arguments)]

    def run(self, *arguments, into=None):
        log = self.folder / "fill.log"
        with open(log, "ab") as said, open(into or log, "wb" if into else "ab") as out:
            done = subprocess.run(self.command(*arguments), env=self.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=said)
        if done.returncode:
            raise Failed(f"`wardhouse {arguments[0]}` failed: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")

    def fill(self, rows, say):
        """Makes the data, unless they are there."""
        filled = self.folder / "filled"
        if filled.exists():
            held = json.loads(filled.read_text(encoding="utf-8"))
            if held["rows"] != rows:
                raise Failed(f"{self.folder} holds {held['rows']} transactions, not {rows}: --drop it first, or ask with --rows {held['rows']}")
            say(f"{self.name} is there already")
            return
        try:
            self.make()
            self.configure()
            say(f"{self.name}: generating {rows} transactions")
            made = self.folder / "input.ndjson"
            self.run("generate", "--seed", SEED, "--count", rows, "--users", USERS, "--days", DAYS, "--anomaly-rate", ANOMALY_RATE, into=made)
            say(f"{self.name}: filling the stores")
            self.run("migrate")
            self.run("up", "--input", made, "--rate", 0, "--until-idle")
            made.unlink()
            self.settle()
        except BaseException:
            # Half of the data is no use to a later run.
            for left in self.drop():
                say(left)
            raise
        filled.write_text(json.dumps({"rows": rows}), encoding="utf-8")

    def make(self):
        """Makes what `migrate` does not."""

    def settle(self):
        """What a server would do by itself a little later."""

    def drop(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        return []


class Embedded(Place):
    """Five files and an index."""

    kind = "embedded"


class Servers(Place):
    """A database, a bucket, a namespace on each of the servers."""

    kind = "servers"

    def __init__(self, binary, folder, name):
        super().__init__(binary, folder, name)
        urls = {one: os.environ.get(f"WARDHOUSE_TEST_{one.upper()}", "") for one in STORES}
        missing = [one for one, url in urls.items() if not url]
        if missing:
            raise Failed(f"no {', '.join(missing)}: tests/stack up")
        self.token = os.environ.get("WARDHOUSE_TEST_INFLUXDB_TOKEN", "")
        self.server = urls
        self.org = urllib.parse.urlsplit(urls["influxdb"]).path.split("/")[1]
        self.urls = {
            "log": joined(urls["kafka"], f"namespace={name}"),
            "ledger": with_path(urls["postgres"], name),
            "documents": with_path(urls["mongodb"], name),
            "metrics": with_path(urls["influxdb"], f"{self.org}/{name}"),
            "baselines": joined(urls["redis"], f"namespace={name}"),
            "search": joined(urls["elasticsearch"], f"namespace={name}"),
        }
        self.influxdb, self.elasticsearch = bare(urls["influxdb"], "http"), bare(urls["elasticsearch"], "http")

    def stores(self):
        return "[stores]\n" + "".join(f'{role} = "{url}"\n' for role, url in self.urls.items())

    def environment(self):
        return super().environment() | {"WARDHOUSE_INFLUXDB__TOKEN": self.token}

    def make(self):
        import psycopg

        with psycopg.connect(self.server["postgres"], autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{self.name}"')

    def settle(self):
        import psycopg

        with psycopg.connect(self.urls["ledger"], autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")

    def drop(self):
        """Removes what it has on the servers; what could not be, in sentences."""
        left = []
        for one in STORES:
            try:
                getattr(self, f"_drop_{one}")()
            except Exception as error:
                left.append(f"{one}: what is called {self.name} there was not removed: {' '.join(str(error).split())[:300]}")
        return left + super().drop()

    def _drop_kafka(self):
        broker = urllib.parse.urlsplit(self.server["kafka"]).netloc
        # As benches/servers does it: the broker's own tool.
        script = """variant=plain; . tests/stack.d/lib.sh; . tests/stack.d/kafka.sh
            exec "$(find_java 17)" -Xmx256m -cp "$kafka_home/libs/*" org.apache.kafka.tools.TopicCommand --bootstrap-server "$1" --delete --topic "$2-.*" """
        done = subprocess.run(["bash", "-c", script, "-", broker, re.escape(self.name)], cwd=ROOT, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise Failed(done.stderr[-300:] or done.stdout[-300:])

    def _drop_postgres(self):
        import psycopg

        with psycopg.connect(self.server["postgres"], autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')

    def _drop_mongodb(self):
        import pymongo

        with pymongo.MongoClient(bare(self.server["mongodb"], "mongodb")) as client:
            client.drop_database(self.name)

    def _drop_redis(self):
        import redis

        client = redis.Redis.from_url(self.server["redis"].split("?")[0])
        batch = []
        for key in client.scan_iter(match=f"{self.name}:*", count=1000):
            batch.append(key)
            if len(batch) == 1000:
                client.unlink(*batch)
                batch = []
        if batch:
            client.unlink(*batch)

    def _drop_influxdb(self):
        api = f"{self.influxdb}/api/v2"
        for kind, names in (("tasks", [f"wardhouse downsample {self.name}"]), ("buckets", [self.name, f"{self.name}_1h"])):
            for name in names:
                query = urllib.parse.urlencode({"name": name, "org": self.org})
                try:
                    found = json.loads(self._ask("GET", f"{api}/{kind}?{query}"))
                except urllib.error.HTTPError as error:
                    if error.code == 404:
                        continue
                    raise
                for one in found[kind]:
                    self._ask("DELETE", f"{api}/{kind}/{one['id']}")

    def _drop_elasticsearch(self):
        indices = self._ask("GET", f"{self.elasticsearch}/_cat/indices/{self.name}-*?h=index").decode().split()
        for index in indices:
            self._ask("DELETE", f"{self.elasticsearch}/{index}")
        self._ask("DELETE", f"{self.elasticsearch}/_index_template/{self.name}-alerts")

    def _ask(self, method, url):
        headers = {"Authorization": f"Token {self.token}"} if url.startswith(self.influxdb) else {}
        with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=60) as answer:
            return answer.read()
