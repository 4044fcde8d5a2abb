"""The real servers of tests/stack, with a place of its own on each for one run: names, settings, and their removal.

What must stay true: nothing outside the run's own names is touched.
"""

import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import urllib.error
import urllib.request

import documents_wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLES = {"kafka": "log", "postgres": "ledger", "mongodb": "documents", "influxdb": "metrics", "redis": "baselines", "elasticsearch": "search"}
# Answers are waited for briefly, so that a link that fails is noticed within seconds. Everything else is as it comes.
HASTY = """
[kafka]
connect_timeout_ms = 2000
request_timeout_ms = 3000
reconnect_ms = 100
reconnect_max_ms = 1000

[postgres]
connect_timeout_ms = 2000
statement_timeout_ms = 1500

[mongodb]
connect_timeout_ms = 2000
server_selection_timeout_ms = 2000
operation_timeout_ms = 3000

[influxdb]
connect_timeout_ms = 2000
request_timeout_ms = 3000

[redis]
response_timeout_ms = 2000

[elasticsearch]
connect_timeout_ms = 2000
request_timeout_ms = 3000
"""


def environment():
    """The environment with the variables of tests/stack in it."""
    found = subprocess.run([ROOT / "tests" / "stack", "env"], stdout=subprocess.PIPE, text=True, check=True)
    env = dict(os.environ)
    for line in found.stdout.splitlines():
        if line.startswith("export "):
            key, value = shlex.split(line)[1].split("=", 1)
            env[key] = value
    return env


def missing(env):
    """Servers that are not there."""
    return [name for name in ROLES if not env.get(f"WARDHOUSE_TEST_{name.upper()}")]


def _with_query(url, more):
    return f"{url}{'&' if '?' in url else '?'}{more}"


def _with_path(url, path):
    return re.sub(r"^([a-z+]+://[^/?]*)(/[^?]*)?", rf"\1/{path}", url)


class Servers:
    """The servers, and what this run calls its own on them."""

    def __init__(self, env, name):
        self.env, self.name = env, name
        url = {server: env[f"WARDHOUSE_TEST_{server.upper()}"] for server in ROLES}
        self.org = re.sub(r"^[a-z]+://[^/]*/([^/?]*).*", r"\1", url["influxdb"])
        self.urls = {
            "kafka": _with_query(url["kafka"], f"namespace={name}"),
            "postgres": _with_path(url["postgres"], name),
            "mongodb": _with_query(_with_path(url["mongodb"], name), "directConnection=true"),
            "influxdb": _with_path(url["influxdb"], f"{self.org}/{name}"),
            "redis": _with_query(url["redis"], f"namespace={name}"),
            "elasticsearch": _with_query(url["elasticsearch"], f"namespace={name}"),
        }
        self.admin = url["postgres"]
        self.token = env.get("WARDHOUSE_TEST_INFLUXDB_TOKEN", "")
        self.psql(f"CREATE DATABASE {name}", self.admin)

    def address(self, server):
        """Host and port of a server's first host."""
        host, port = re.match(r"^[a-z+]+://(?:[^@/]*@)?([^:/,?]+):(\d+)", self.urls[server]).groups()
        return host, int(port)

    def settings(self, addresses=None, more=""):
        """The text of a settings file; `addresses` are those by which servers are reached in place of their own."""
        lines = ["[stores]"]
        for server, role in ROLES.items():
            url = self.urls[server]
            if addresses and server in addresses:
                url = re.sub(r"^([a-z+]+://(?:[^@/]*@)?)[^/?]+", lambda found: f"{found[1]}{addresses[server]}", url)
            lines.append(f'{role} = "{url}"')
        return "\n".join([*lines, "", '[http]\nlisten = ""', '[operations]\nlisten = ""', more])

    def kafka_links(self):
        """By broker: where its proxy is to listen, and what it is to pass on to; none where no broker listens for one."""
        found = []
        for pair in filter(None, self.env.get("WARDHOUSE_TEST_KAFKA_LINK", "").split(",")):
            listen, server = ((host, int(port)) for host, port in (one.rsplit(":", 1) for one in pair.split("=")))
            try:
                socket.create_connection(server, timeout=2).close()
            except OSError:
                return []
            found.append((listen, server))
        return found

    # Each server by the simplest way in.

    def psql(self, statement, url=None):
        """What PostgreSQL says."""
        done = subprocess.run(["psql", url or self.urls["postgres"], "-qAtc", statement], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(f"{statement}: {done.stderr.strip()}")
        return done.stdout.strip()

    def mongodb(self, body):
        """Gives MongoDB a command."""
        return documents_wire.command(self.address("mongodb"), self.name, body)

    def http(self, server, method, path, body=None):
        """What a server that speaks HTTP answers, as JSON."""
        host, port = self.address(server)
        headers = {"Content-Type": "application/json"}
        if server == "influxdb":
            headers["Authorization"] = f"Token {self.token}"
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}{path}", data, headers, method=method), timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def remove(self):
        """Removes what the run had made, as far as the servers let it. Topics stay: they go with `tests/stack reset kafka`."""
        host, port = self.address("redis")
        steps = [
            lambda: self.psql(f"DROP DATABASE {self.name} WITH (FORCE)", self.admin),
            lambda: self.mongodb({"dropDatabase": 1}),
            lambda: [self.http("elasticsearch", "DELETE", f"/{index}") for index in self.http("elasticsearch", "GET", f"/{self.name}-*")],
            lambda: [self.http("elasticsearch", "DELETE", f"/_index_template/{one['name']}") for one in self._templates()],
            lambda: [self.http("influxdb", "DELETE", f"/api/v2/{kind}/{one['id']}") for kind in ("tasks", "buckets") for one in self._influx(kind)],
            lambda: subprocess.run(
                f"redis-cli -h {host} -p {port} --scan --pattern '*{self.name}*' | xargs -r redis-cli -h {host} -p {port} unlink", shell=True, check=False, stdout=subprocess.DEVNULL
            ),
        ]
        for step in steps:
            try:
                step()
            except (OSError, RuntimeError, ValueError) as error:
                print(f"left behind: {error}")

    def _templates(self):
        return self.http("elasticsearch", "GET", f"/_index_template/{self.name}*")["index_templates"]

    def _influx(self, kind):
        try:
            found = self.http("influxdb", "GET", f"/api/v2/{kind}?org={self.org}&limit=100" + (f"&name={self.name}" if kind == "buckets" else ""))[kind]
            if kind == "buckets":
                more = self.http("influxdb", "GET", f"/api/v2/buckets?org={self.org}&name={self.name}_1h")["buckets"]
                return found + more
            return [one for one in found if self.name in one["name"]]
        except urllib.error.HTTPError:
            return []
