"""Hostile statements, and messages that are none, over Flight SQL."""

import contextlib
import socket

import pyarrow
from adbc_driver_flightsql import DatabaseOptions, dbapi
from pyarrow import flight

from outcome import PASSWORD, ROWS, USER, Outcome

NAME = "Flight SQL"
# Requests larger than gRPC's default are sent all the same: refusing them is the server's part.
LARGEST = 64 << 20


class Way:
    """A connection that is made again when it breaks."""

    def __init__(self, server):
        self.server = server
        self.connection = None

    def ask(self, statement, dice):
        if self.connection is None:
            options = {"username": USER, "password": PASSWORD, DatabaseOptions.WITH_MAX_MSG_SIZE.value: str(LARGEST)}
            options |= {kind.value: "60" for kind in (DatabaseOptions.TIMEOUT_FETCH, DatabaseOptions.TIMEOUT_QUERY, DatabaseOptions.TIMEOUT_UPDATE)}
            self.connection = dbapi.connect(f"grpc://127.0.0.1:{self.server.flight}", db_kwargs=options, autocommit=True)
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(statement.sql, statement.parameters or None)
                rows, value = 0, None
                for batch in cursor.fetch_record_batch():
                    if rows == 0 and statement.answer is not None and batch.num_rows:
                        value = batch.column(0)[0].as_py()
                    rows += batch.num_rows
                    if rows > ROWS:
                        break
                return Outcome(rows, value)
        except dbapi.Error as error:
            return Outcome(error=str(error), sqlstate=state(str(error)))
        except (pyarrow.ArrowException, OSError, ValueError, UnicodeError) as error:
            # What breaks off while rows are coming.
            return Outcome(error=str(error), sqlstate=state(str(error)))

    def close(self):
        if self.connection is not None:
            with contextlib.suppress(Exception):
                self.connection.close()
            self.connection = None


def state(said):
    """The SQLSTATE that the message names."""
    return said.partition("SQLSTATE ")[2][:5]


def garbage(dice):
    """Bytes for the port itself."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"

    def frame(kind, flags, stream, body):
        return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body

    return dice.choice(
        [
            lambda: dice.randbytes(dice.choice([1, 24, 10_000])),
            lambda: b"\x16\x03\x01" + dice.randbytes(200),
            lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: preface + dice.randbytes(2_000),
            lambda: preface + settings + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + dice.randbytes(100),
            lambda: preface + settings + frame(1, 4, 1, dice.randbytes(100)),
            lambda: preface + settings + b"".join(frame(1, 4, 2 * place + 1, b"\x82\x86\x84") + frame(3, 0, 2 * place + 1, b"\x00\x00\x00\x08") for place in range(5_000)),
            lambda: preface + settings * 10_000,
            lambda: preface + settings + frame(6, 0, 0, b"12345678") * 10_000,
            lambda: preface + settings + frame(1, 0, 1, b"\x82") + frame(9, 0, 1, b"\x00" * 1_000) * 2_000,
            lambda: preface + settings + frame(8, 0, 0, b"\x7f\xff\xff\xff") * 3,
        ]
    )()


def call(client, options, dice):
    """A call of the protocol with what it does not expect in it."""
    noise = dice.choice([b"", b"\x00", dice.randbytes(40), dice.randbytes(100_000), b"\x0a\xff\xff\xff\xff\x0f", b"\x0a" * 50_000])
    kinds = [
        "CommandStatementQuery", "CommandPreparedStatementQuery", "CommandGetTables", "CommandGetDbSchemas", "CommandGetSqlInfo", "CommandGetPrimaryKeys", "CommandGetXdbcTypeInfo",
        "TicketStatementQuery", "CommandStatementSubstraitPlan", "CommandStatementIngest", "CommandGetCrossReference", "NoSuchCommand",
    ]  # fmt: skip
    address = f"type.googleapis.com/arrow.flight.protocol.sql.{dice.choice(kinds)}".encode()
    packed = b"\x0a" + bytes([len(address)]) + address + b"\x12" + varint(len(noise)) + noise
    command = dice.choice([noise, packed])
    dice.choice(
        [
            lambda: client.get_flight_info(flight.FlightDescriptor.for_command(command), options),
            lambda: client.get_flight_info(flight.FlightDescriptor.for_path("a", "../..", "b"), options),
            lambda: client.get_schema(flight.FlightDescriptor.for_command(command), options),
            lambda: client.do_get(flight.Ticket(command), options).read_all(),
            lambda: list(client.do_action(flight.Action(dice.choice(["CreatePreparedStatement", "ClosePreparedStatement", "CancelFlightInfo", "CancelQuery", "BeginTransaction", "EndTransaction", "CreatePreparedSubstraitPlan", "SetSessionOptions", "NoSuchAction", "x" * 10_000]), command), options)),
            lambda: list(client.list_flights(noise, options)),
            lambda: put(client, flight.FlightDescriptor.for_command(command), options),
            lambda: client.do_exchange(flight.FlightDescriptor.for_command(command), options)[1].read_all(),
            lambda: client.authenticate_basic_token(USER, "x" * dice.choice([0, 1, 10_000])),
        ]
    )()


def varint(number):
    made = bytearray()
    while number >= 0x80:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def put(client, descriptor, options):
    table = pyarrow.table({f"c{place}": [None, "x", "y" * 1_000] for place in range(200)})
    writer, _ = client.do_put(descriptor, table.schema, options)
    with writer:
        writer.write_table(table)


def malformed(server, dice):
    """One conversation of bytes that no client would send."""
    if dice.random() < 0.3:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.flight), timeout=10) as plain:
            plain.settimeout(1)
            plain.sendall(garbage(dice))
            for _ in range(20):
                if not plain.recv(65536):
                    break
        return
    with flight.connect(f"grpc://127.0.0.1:{server.flight}") as client:
        token = client.authenticate_basic_token(USER, PASSWORD)
        with contextlib.suppress(pyarrow.ArrowException, OSError, ValueError, TypeError):
            call(client, flight.FlightCallOptions(timeout=20, headers=[token]), dice)
