"""`wardhouse run sql` on a place, and the ways to ask it.

What must stay true: whoever starts one ends it; a server that ends by itself is told with the end of its log.
"""

import signal
import socket
import subprocess
import time

from places import Failed

WAYS = ("postgres", "flight", "http")


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

    def __init__(self, place):
        self.postgres, self.flight, self.http = free_ports(3)
        place.configure([f"127.0.0.1:{port}" for port in (self.postgres, self.flight, self.http)])
        self.log = place.folder / "server.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(place.command("run", "sql"), env=place.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._await()
        except BaseException:
            self.stop()
            raise

    def _await(self, seconds=60):
        until = time.monotonic() + seconds
        for port in (self.postgres, self.flight, self.http):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=2).close()
                    break
                except OSError as error:
                    if self.process.poll() is not None or time.monotonic() > until:
                        raise Failed(f"the server does not listen on {port}: {self.said()}") from error
                    time.sleep(0.05)

    def said(self):
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def memory(self):
        """What it has had in memory at most, and has now, in MB (of a million bytes)."""
        found = {}
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                name, _, rest = line.partition(":")
                if name in ("VmHWM", "VmRSS"):
                    found[name] = int(rest.split()[0]) * 1024 / 1e6
        return found["VmHWM"], found["VmRSS"]

    def address(self):
        """For libpq."""
        return f"host=127.0.0.1 port={self.postgres} user=local dbname=wardhouse sslmode=disable"

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()
