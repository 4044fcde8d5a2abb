"""A TCP proxy before one server, whose link can fail: cut, half-open, slow, torn in a message, a reply lost after the write took effect.

It reads no protocol; of a request it knows only by a few bytes whether it writes, so that a fault can strike right there.

What must stay true: without a fault every byte goes through, in order; a fault strikes only where it is asked for, and says what it did,
so that a run in which one had nothing to strike can tell.
"""

import asyncio
import contextlib
import re
import socket
import struct
import threading

# A close that tells the other side by RST.
ABORT = struct.pack("ii", 1, 0)
# How long replies are swallowed from the first one on: what the server has taken has taken effect by then.
EFFECT = 0.2
# What is read at a time.
PIECE = 1 << 16
# Whether bytes from the client are, or begin, a write.
WRITES = {
    "kafka": lambda data: len(data) > 6 and data[4:6] in (b"\0\0", b"\0\x08"),  # Produce, OffsetCommit
    "postgres": re.compile(rb"COMMIT").search,
    "mongodb": re.compile(rb"\x02(insert|update)\0").search,
    "influxdb": re.compile(rb"^POST /api/v2/write").search,
    "redis": re.compile(rb"(?i)evalsha").search,
    "elasticsearch": re.compile(rb"^POST \S*/_bulk|^PUT \S*positions").search,
}


class Connection:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, near, far):
        self.near, self.far = near, far
        # Its other end is gone and nobody was told.
        self.silent = False
        self.trap = None
        self.ended = False
        self.ways = []

    def reset(self):
        """Ends it as a firewall does."""
        self.ended = True
        for end in (self.near, self.far):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            end.close()
        for way in self.ways:
            way.cancel()


class Link:
    """The proxy before one server. Its methods may be called from any thread."""

    def __init__(self, name, server, listen=("127.0.0.1", 0)):
        self.name, self.server = name, server
        self.writes = WRITES[name]
        self.connections = set()
        # Connections whose client has gone and whose server was never told.
        self.forgotten = []
        self.rate = None
        self.trap = None
        # What the fault that is on has done so far.
        self.struck = 0
        # Writes that have passed.
        self.written = 0
        self.loop = asyncio.new_event_loop()
        self.listener = socket.create_server(listen, backlog=256)
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        self.thread = threading.Thread(target=self._run, name=f"link {name}", daemon=True)
        self.thread.start()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.passes = {"up": asyncio.Event(), "down": asyncio.Event()}
        for way in self.passes.values():
            way.set()
        self.loop.run_until_complete(self._accept())

    def _do(self, what):
        done = threading.Event()
        outcome = []

        def call():
            outcome.append(what())
            done.set()

        self.loop.call_soon_threadsafe(call)
        done.wait()
        return outcome[0]

    # The faults.

    def cut(self):
        """Resets every connection; new ones pass. Gives how many."""
        return self._do(self._cut)

    def _cut(self):
        found = list(self.connections)
        for connection in found:
            connection.reset()
        self.connections.clear()
        return len(found)

    def hold(self, ways):
        """Takes connections and bytes of these ways ("up": to the server, "down": from it), and passes none on."""

        def begin():
            self.struck = 0
            for way in ways:
                self.passes[way].clear()

        self._do(begin)

    def release(self, forget):
        """Passes on again: what was held too, late, or, where `forget`, only what comes by new connections, while the ends of those before hear
        nothing ever. Gives how many bytes were held."""

        def end():
            if forget:
                for connection in self.connections:
                    connection.silent = True
            for way in self.passes.values():
                way.set()
            return self.struck

        return self._do(end)

    def slow(self, rate):
        """So many bytes a second in each way of each connection; None: as fast as it goes. Gives how many bytes went slowly."""

        def change():
            before = self.struck
            self.rate, self.struck = rate, 0
            return before

        return self._do(change)

    def arm(self, trap):
        """The next write is struck: "reply lost", "cut in the request" or "cut in the reply". None disarms; gives how often it struck."""

        def change():
            before = self.struck
            self.trap, self.struck = trap, 0
            return before

        return self._do(change)

    def count(self):
        """What the fault that is on has done so far."""
        return self._do(lambda: self.struck)

    def close(self):
        """Ends it."""
        def end():
            self._cut()
            for connection in self.forgotten:
                connection.reset()
            self.listener.close()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()

        self.loop.call_soon_threadsafe(end)
        self.thread.join(5)

    # The bytes.

    async def _accept(self):
        waiting = set()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            while True:
                near, _ = await self.loop.sock_accept(self.listener)
                task = self.loop.create_task(self._carry(near))
                waiting.add(task)
                task.add_done_callback(waiting.discard)

    async def _carry(self, near):
        far = socket.socket()
        for end in (near, far):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(near, far)
        try:
            await self.loop.sock_connect(far, self.server)
        except OSError:
            connection.reset()
            return
        self.connections.add(connection)
        connection.ways = [self.loop.create_task(self._way(connection, near, far, "up")), self.loop.create_task(self._way(connection, far, near, "down"))]
        await asyncio.wait(connection.ways)
        self.connections.discard(connection)
        if connection.silent and not connection.ended:
            # The server holds on to what its client began.
            near.close()
            self.forgotten.append(connection)
        else:
            near.close()
            far.close()

    async def _way(self, connection, source, sink, way):
        try:
            while True:
                data = await self.loop.sock_recv(source, PIECE)
                if not connection.silent:
                    if not self.passes[way].is_set():
                        self.struck += len(data)
                        await self.passes[way].wait()
                if connection.silent:
                    if data:
                        continue
                    # The client has given up. Its server does not hear of it, nor does a server that gives up reach anyone.
                    for other in connection.ways:
                        other.cancel()
                    return
                if not data:
                    with contextlib.suppress(OSError):
                        sink.shutdown(socket.SHUT_WR)
                    return
                await self._pass(connection, sink, data, way)
        except (OSError, asyncio.CancelledError):
            if not connection.silent:
                # One end is broken: so is the other.
                connection.reset()

    async def _pass(self, connection, sink, data, way):
        if way == "up" and self.trap and connection.trap is None and self.writes(data):
            connection.trap, self.trap = self.trap, None
            if connection.trap == "cut in the request":
                await self.loop.sock_sendall(sink, data[: max(1, len(data) // 2)])
                self.struck += 1
                connection.reset()
                return
        elif way == "down" and connection.trap == "reply lost":
            connection.trap = "struck"
            self.loop.call_later(EFFECT, self._lose, connection)
            return
        elif way == "down" and connection.trap == "struck":
            return
        elif way == "down" and connection.trap == "cut in the reply":
            await self.loop.sock_sendall(sink, data[: max(1, len(data) // 2)])
            self.struck += 1
            # Read first what was sent: a reset overtakes it.
            self.loop.call_later(0.02, connection.reset)
            connection.trap = "struck"
            return
        self.written += way == "up" and bool(self.writes(data))
        rest = memoryview(data)
        while self.rate and rest:
            some = rest[: max(1, int(self.rate / 20))]
            rest = rest[len(some) :]
            self.struck += len(some)
            await self.loop.sock_sendall(sink, some)
            await asyncio.sleep(len(some) / self.rate)
        if rest:
            await self.loop.sock_sendall(sink, rest)

    def _lose(self, connection):
        self.struck += 1
        connection.reset()
