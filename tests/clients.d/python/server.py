#!/usr/bin/env python3
"""A Wardhouse to ask: its data made once, its SQL on free ports of this machine, plain or with users and TLS.

What must stay true: it writes in the folder that it is given and nowhere else; a server that ends by itself is told with the end of its
log; whoever holds one ends it. Only Python's own library is used, so that it runs before anything is installed.

usage: server.py fill FOLDER            makes FOLDER/data: 20,000 generated transactions, and those of rows.ndjson
       server.py hold FOLDER VARIANT    runs a server on it, `plain` or `secure`, writes FOLDER/VARIANT.env, and ends it when it is itself ended
WARDHOUSE_BIN is the binary.
"""

import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

PARTS = pathlib.Path(__file__).resolve().parent.parent
GENERATED = 20_000
USER = "analyst"
# With what a URL gives a meaning to.
PASSWORD = "a pass:word/@%1"


def binary():
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    found = pathlib.Path(os.environ.get("WARDHOUSE_BIN", f"{target}/debug/wardhouse"))
    if not os.access(found, os.X_OK):
        sys.exit(f"there is no {found}: cargo build, or set WARDHOUSE_BIN")
    return str(found.resolve())


def quiet():
    """The environment without what would be read as settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WARDHOUSE_")} | {"RUST_LOG": os.environ.get("RUST_LOG", "warn")}


def fill(folder, generated=GENERATED):
    """Makes the data, unless it is there."""
    folder = pathlib.Path(folder)
    if (folder / "filled").exists():
        return
    program = binary()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "fill.toml"
    settings.write_text('[http]\nlisten = ""\n[operations]\nlisten = ""\n[sql]\npostgres = ""\nflight = ""\nhttp = ""\n', encoding="utf-8")
    lines = subprocess.run([program, "generate", "--seed", "11", "--count", str(generated)], env=quiet(), check=True, capture_output=True).stdout
    (folder / "input.ndjson").write_bytes(lines + (PARTS / "rows.ndjson").read_bytes())
    with open(folder / "fill.log", "wb") as log:
        command = [program, "--config", str(settings), "--data", str(folder / "data"), "up", "--input", str(folder / "input.ndjson"), "--rate", "0", "--until-idle"]
        done = subprocess.run(command, env=quiet(), stdout=log, stderr=log, timeout=600)
    if done.returncode:
        sys.exit("the data could not be made: " + (folder / "fill.log").read_text(encoding="utf-8", errors="replace")[-2000:])
    (folder / "filled").touch()


def free_ports(count):
    """Ports that nobody has at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Server:
    """One that runs."""

    def __init__(self, folder, secure=False, settings=""):
        self.folder = pathlib.Path(folder)
        self.secure = secure
        self.postgres, self.flight, self.http = free_ports(3)
        self.variant = "secure" if secure else "plain"
        self.certificate = self.folder / "certificates" / "ca.pem"
        lines = ["[http]", 'listen = ""', "[operations]", 'listen = ""', "[sql]"]
        lines += [f'{name} = "127.0.0.1:{getattr(self, name)}"' for name in ("postgres", "flight", "http")]
        if secure:
            lines += [f'tls_cert_file = "{self.certificate.with_name("server.pem")}"', f'tls_key_file = "{self.certificate.with_name("server.key")}"']
        lines += settings.splitlines()
        if secure:
            lines += ["[[sql.users]]", f'name = "{USER}"', 'role = "local"', f'password = "{PASSWORD}"']
        self.settings = self.folder / f"{self.variant}.toml"
        self.settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.log = self.folder / f"{self.variant}.log"
        # The plain one beside the pipeline, the other alone.
        command = ["run", "sql"] if secure else ["up", "--no-history", "--rate", "0"]
        with open(self.log, "wb") as log:
            # Nothing of what it says is asked of a terminal.
            self.process = subprocess.Popen(
                [binary(), "--config", str(self.settings), "--data", str(self.folder / "data"), *command], env=quiet(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._await()

    def _await(self, seconds=120):
        until = time.monotonic() + seconds
        for port in (self.postgres, self.flight, self.http):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=2).close()
                    break
                except OSError:
                    if self.process.poll() is not None or time.monotonic() > until:
                        self.stop()
                        sys.exit(f"the server does not listen on {port}: {self.said()}")
                    time.sleep(0.1)

    def said(self):
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def panicked(self):
        return "panicked at" in self.log.read_text(encoding="utf-8", errors="replace")

    def alive(self):
        return self.process.poll() is None

    def rss_mib(self):
        """Memory that it has in use, in MiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024

    def environment(self):
        """Where and who, for clients."""
        host = "localhost" if self.secure else "127.0.0.1"
        values = {
            "PGHOST": host,
            "PGPORT": str(self.postgres),
            "PGUSER": USER,
            "PGDATABASE": "wardhouse",
            "PGSSLMODE": "verify-full" if self.secure else "disable",
            "WARDHOUSE_CLIENTS_FLIGHT": f"{host}:{self.flight}",
            "WARDHOUSE_CLIENTS_HTTP": f"{host}:{self.http}",
        }
        if self.secure:
            values |= {"PGPASSWORD": PASSWORD, "PGSSLROOTCERT": str(self.certificate)}
        return values

    def stop(self):
        """Ends it; its exit code."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


def hold(folder, secure):
    ended = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: ended.set())
    server = Server(folder, secure)
    written = server.folder / f"{server.variant}.env"
    lines = [f"export {name}={shlex.quote(value)}" for name, value in server.environment().items()]
    lines.append(f"server_pid={server.process.pid} server_settings={shlex.quote(str(server.settings))}")
    written.with_suffix(".new").write_text("\n".join(lines) + "\n", encoding="utf-8")
    written.with_suffix(".new").rename(written)
    while not ended.wait(0.2) and server.alive():
        pass
    before = server.alive()
    code = server.stop()
    if not before or code != 0 or server.panicked():
        sys.exit(f"the server ended {'when asked' if before else 'by itself'} with {code}: {server.said()}")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "fill":
        fill(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "hold":
        hold(sys.argv[2], sys.argv[3] == "secure")
    else:
        sys.exit(__doc__)
