"""Hostile statements, and requests that are none, over HTTP."""

import base64
import contextlib
import http.client
import json
import socket
from decimal import Decimal

from outcome import PASSWORD, USER, Outcome

NAME = "HTTP"
KNOWN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Way:
    """A connection that is made again when it breaks."""

    def __init__(self, server):
        self.server = server
        self.connection = None

    def ask(self, statement, dice):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.server.http, timeout=60)
        form = dice.choice(["json", "json", "json", "ndjson", "csv", "arrow"])
        if statement.answer is not None:
            form = "json"
        response = None
        try:
            body = json.dumps({"sql": statement.sql, "parameters": statement.parameters, "format": form}).encode()
            self.connection.request("POST", "/v1/sql", body, {"Content-Type": "application/json", "Authorization": KNOWN})
            response = self.connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # CSV and Arrow have no room for a failure behind the rows: the answer breaks off, and why is asked for.
            if response is not None and response.status == 200 and form in ("csv", "arrow"):
                return self.broken_off(response.headers.get("X-Wardhouse-Query-Id"))
            return Outcome(error=f"{type(error).__name__}: {error}", broken=True)
        if form != "json" and response.status == 200:
            return Outcome(rows=content.count(b"\n"))
        try:
            found = json.loads(content, parse_float=Decimal)
        except (ValueError, RecursionError):
            # What it said of a deep value may be deep.
            return Outcome(error="" if response.status == 200 else content[:300].decode(errors="replace"))
        if "error" in found:
            return Outcome(error=str(found["error"]["message"]), sqlstate=found["error"]["sqlstate"])
        rows = found["rows"]
        return Outcome(len(rows), rows[0][0] if rows and rows[0] else None)

    def broken_off(self, number):
        asking = http.client.HTTPConnection("127.0.0.1", self.server.http, timeout=60)
        with contextlib.closing(asking):
            asking.request("GET", f"/v1/sql/queries/{number}", headers={"Authorization": KNOWN})
            query = json.loads(asking.getresponse().read())
        # Nothing but a failure may break off an answer.
        return Outcome(error=query.get("error") or query.get("state") or str(query), broken=query.get("state") not in ("failed", "cancelled"))

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def request(dice):
    head = f"POST /v1/sql HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {KNOWN}\r\nContent-Type: application/json\r\n".encode()

    def sent(body):
        return head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body

    return dice.choice(
        [
            lambda: dice.randbytes(dice.choice([1, 100, 10_000])),
            lambda: b"\x16\x03\x01" + dice.randbytes(300),
            lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + dice.randbytes(500),
            lambda: sent(dice.randbytes(200)),
            lambda: sent(b""),
            lambda: sent(b"null"),
            lambda: sent(b"[" * 100_000),
            lambda: sent(b'{"sql": ' * 50_000),
            lambda: sent(b'{"sql": "SELECT 1", "parameters": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
            lambda: sent(b'{"sql": "SELECT 1", "sql": "SELECT 2"}'),
            lambda: sent(b'{"sql": "SELECT 1", "settings": {"datafusion.execution.batch_size": 0}}'),
            lambda: sent(b'{"sql": "SELECT 1", "settings": {"statement_timeout": ' + dice.choice([b"-1", b"1e400", b'"x"', b"{}", b"null", b'"99999999999999999999s"']) + b"}}"),
            lambda: sent(b'{"sql": "SELECT $1", "parameters": [' + dice.choice([b"1e999999", b"-0", b'"\\ud800"', b'"\\u0000"', b"1" * 100_000, b"{}", b"true"]) + b"]}"),
            lambda: sent(b'{"sql": "SELECT \'\\u0000\'"}'),
            lambda: sent(b'{"sql": "SELECT 1", "format": "../../x"}'),
            lambda: sent(b'{"sql": 7}'),
            lambda: head + b"Content-Length: 99999999999999999999\r\n\r\n",
            lambda: head + b"Content-Length: 1000000000\r\n\r\n" + b"x" * 1000,
            lambda: head + b"Content-Length: -5\r\n\r\n",
            lambda: head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            lambda: head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            lambda: head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
            lambda: head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000,
            lambda: head + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n",
            lambda: head + b"".join(b"X-%d: y\r\n" % place for place in range(20_000)) + b"\r\n",
            lambda: b"POST /v1/sql HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n",
            lambda: b"POST /v1/sql HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\nAuthorization: " + KNOWN.encode() + b"\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nSELECT 1",
            lambda: b"GET /" + dice.choice([b"../" * 1000, b"%00", b"v1/sql/queries/99999999999999999999", b"v1/sql/queries/-1", b"\xff\xfe", b"a" * 500_000]) + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            lambda: b"DELETE /v1/sql/queries/%d HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\n\r\n" % (dice.randrange(1000), KNOWN.encode()),
            lambda: b"BREW /v1/sql HTTP/9.9\r\n\r\n",
            lambda: b"GET /v1/sql/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2_000,
            lambda: b"POST /v1/sql HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic " + b"A" * 100_000 + b"\r\n\r\n",
            # The answer is left where it is.
            lambda: sent(b'{"sql": "SELECT * FROM ledger.transactions a, ledger.transactions b", "format": "ndjson"}'),
        ]
    )()


def malformed(server, dice):
    """One conversation of bytes that no client would send."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.http), timeout=10) as plain:
        plain.settimeout(1)
        plain.sendall(request(dice))
        for _ in range(20):
            if not plain.recv(65536):
                break
