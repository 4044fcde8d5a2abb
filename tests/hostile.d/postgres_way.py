"""Hostile statements, and bytes that are no messages, over PostgreSQL's protocol."""

import contextlib
import os
import socket
import struct

import psycopg

from outcome import PASSWORD, ROWS, USER, Outcome

NAME = "PostgreSQL"


class Way:
    """A connection that is made again when it breaks."""

    def __init__(self, server):
        self.server = server
        self.connection = None

    def connected(self):
        if self.connection is None or self.connection.closed:
            # Parameters as `$1`.
            self.connection = psycopg.connect(
                host="127.0.0.1", port=self.server.postgres, user=USER, password=PASSWORD, dbname="wardhouse", sslmode="disable", autocommit=True, cursor_factory=psycopg.RawCursor, connect_timeout=20
            )
        return self.connection

    def ask(self, statement, dice):
        connection = self.connected()
        try:
            with connection.cursor(binary=dice.random() < 0.5) as cursor:
                # By the simple protocol, or by the extended one.
                parameters = statement.parameters or (() if dice.random() < 0.5 else None)
                if statement.sql.lstrip().upper().startswith("COPY"):
                    with cursor.copy(statement.sql) as copy:
                        return Outcome(rows=sum(1 for _ in copy))
                cursor.execute(statement.sql, parameters, prepare=dice.random() < 0.2)
                if cursor.description is None:
                    return Outcome()
                rows = cursor.fetchmany(ROWS + 1)
                return Outcome(len(rows), rows[0][0] if rows and rows[0] else None)
        except psycopg.Error as error:
            return Outcome(error=str(error) or repr(error), sqlstate=error.sqlstate or "", broken=bool(connection.closed))
        except (ValueError, UnicodeError, AssertionError, NotImplementedError) as error:
            # What the client itself will not send.
            return Outcome(error=f"the client: {error}")

    def close(self):
        if self.connection is not None:
            self.connection.close()


def message(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


def startup(dice):
    """What comes first on a connection."""
    three = struct.pack("!i", 196608)
    user = b"user\0guest\0\0"
    wrong = [-1, 0, 3, 4, 7, 2**31 - 1, 100_000]
    return dice.choice(
        [
            lambda: dice.randbytes(dice.choice([1, 8, 64, 5_000, 100_000])),
            lambda: struct.pack("!i", dice.choice(wrong)) + three + user,
            lambda: struct.pack("!ii", 8, dice.choice([80877103, 80877104])) + dice.randbytes(200),
            lambda: struct.pack("!iiii", 16, 80877102, dice.randrange(2**31), dice.randrange(2**31)),
            lambda: struct.pack("!ii", dice.choice([8, 12, 5_000]), 80877102) + dice.randbytes(300),
            lambda: struct.pack("!ii", 9, dice.choice([131072, 262144, 196609, 0])) + b"\0",
            lambda: struct.pack("!i", 8 + len(user)) + three + user[:-1],
            lambda: struct.pack("!i", 8 + 80_000) + three + b"user\0guest\0" + b"a\0b\0" * 20_000,
            lambda: struct.pack("!i", 8 + len(user)) + three + user + message(b"p", dice.choice([b"", b"x", b"SCRAM-SHA-256\0\xff\xff\xff\xff", b"SCRAM-SHA-256\0\x00\x00\x00\x05n,,n="])),
            lambda: struct.pack("!i", 8 + len(user)) + three + user + message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", 26) + b"n,,n=guest,r=" + dice.randbytes(13)) + message(b"p", dice.randbytes(50)),
            lambda: struct.pack("!i", 8 + len(user)) + three + user + message(b"Q", b"SELECT 1\0"),
            lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: b"\x16\x03\x01" + dice.randbytes(300),
        ]
    )()


def conversation(dice):
    """What comes where statements are expected."""
    name = b"x\0"
    parse = message(b"P", name + b"SELECT $1::int\0" + struct.pack("!h", 0))
    return dice.choice(
        [
            lambda: dice.randbytes(dice.choice([1, 10, 1_000])),
            lambda: bytes([dice.randrange(256)]) + struct.pack("!i", dice.choice([-1, 0, 3, 2**31 - 1, 2**30])) + dice.randbytes(100),
            lambda: message(bytes([dice.choice(b"AaGIJKMNORTUVWXYZyz12390!")]), dice.randbytes(dice.choice([0, 1, 30]))),
            lambda: message(b"Q", b"SELECT 1"),
            lambda: message(b"Q", b"SELECT '\xff\xfe\xc3'\0"),
            lambda: message(b"Q", b"SELECT 1\0SELECT 2\0"),
            lambda: message(b"P", b"x"),
            lambda: message(b"P", b"\0SELECT 1\0" + struct.pack("!h", -1)),
            lambda: message(b"P", b"\0SELECT 1\0" + struct.pack("!h", 32767)),
            lambda: message(b"P", b"\0SELECT $1\0" + struct.pack("!hI", 1, dice.choice([0, 1, 999_999, 2**32 - 1]))) + message(b"S", b""),
            lambda: message(b"B", b"\0no such\0" + struct.pack("!hhh", 0, 0, 0)) + message(b"S", b""),
            lambda: parse + message(b"B", b"\0x\0" + struct.pack("!hhhi", 1, 1, 1, dice.choice([4, 3, 5, 0, -2, 2**31 - 1])) + dice.randbytes(4) + struct.pack("!h", 0)) + message(b"E", b"\0\0\0\0\0") + message(b"S", b""),
            lambda: parse + message(b"B", b"\0x\0" + struct.pack("!hhhh", 2, 7, -1, dice.choice([0, 5, -1, 32767]))) + message(b"S", b""),
            lambda: parse * 1_000 + message(b"S", b""),
            lambda: b"".join(message(b"P", b"s%d\0SELECT %d\0\0\0" % (place, place)) for place in range(5_000)) + message(b"S", b""),
            lambda: message(b"E", b"no such\0" + struct.pack("!i", -1)) + message(b"S", b""),
            lambda: message(b"D", dice.choice([b"", b"X\0", b"Sno such\0", b"Pno such\0", b"S"])) + message(b"S", b""),
            lambda: message(b"C", dice.choice([b"", b"X\0", b"Sx\0", b"P"])) + message(b"S", b""),
            lambda: message(b"d", b"data") + message(b"c", b"") + message(b"f", b"why\0"),
            lambda: message(b"F", struct.pack("!ihh", 1, 0, 0) + b"\0\0"),
            lambda: message(b"p", b"again\0"),
            lambda: message(b"S", b"") * 10_000,
            lambda: message(b"H", b"") * 10_000,
            lambda: message(b"Q", b"SELECT 1\0") * 2_000,
            lambda: message(b"X", b"") * 3 + message(b"Q", b"SELECT 1\0"),
            lambda: message(b"Q", b"COPY (SELECT * FROM ledger.transactions) TO STDOUT\0") + message(b"d", b"x") * 100,
            # The answer is left where it is.
            lambda: message(b"Q", b"SELECT * FROM ledger.transactions a, ledger.transactions b\0"),
        ]
    )()


def talk(plain, sent):
    plain.settimeout(1)
    with contextlib.suppress(OSError):
        plain.sendall(sent)
        for _ in range(20):
            if not plain.recv(65536):
                break


def malformed(server, dice):
    """One conversation of bytes that no client would send."""
    if dice.random() < 0.4:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.postgres), timeout=10) as plain:
            talk(plain, startup(dice))
        return
    way = Way(server)
    connection = way.connected()
    # Past libpq, which would not send it.
    with socket.socket(fileno=os.dup(connection.fileno())) as plain:
        talk(plain, conversation(dice))
    connection.close()
