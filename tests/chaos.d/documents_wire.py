"""As much of MongoDB's protocol as it takes to give a server one command: no client for it comes with Python."""

import os
import socket
import struct

OP_MSG = 2013


def _cstring(text):
    return text.encode() + b"\0"


def _element(name, value):
    if isinstance(value, bool):
        return b"\x08" + _cstring(name) + bytes([value])
    if isinstance(value, int):
        return b"\x10" + _cstring(name) + struct.pack("<i", value)
    if isinstance(value, str):
        encoded = _cstring(value)
        return b"\x02" + _cstring(name) + struct.pack("<i", len(encoded)) + encoded
    if isinstance(value, dict):
        return b"\x03" + _cstring(name) + document(value)
    if isinstance(value, list):
        return b"\x04" + _cstring(name) + document({str(at): one for at, one in enumerate(value)})
    raise TypeError(f"{name}: {type(value)}")


def document(value):
    """The bytes of a document, in BSON."""
    body = b"".join(_element(name, one) for name, one in value.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def command(address, database, body):
    """Gives a server a command; the answer's bytes, which tell by themselves whether it was taken."""
    message = struct.pack("<i", 0) + b"\0" + document({**body, "$db": database})
    with socket.create_connection(address, timeout=10) as link:
        number = int.from_bytes(os.urandom(3), "little")
        link.sendall(struct.pack("<iiii", 16 + len(message), number, 0, OP_MSG) + message)
        answer = b""
        while len(answer) < 4 or len(answer) < struct.unpack_from("<i", answer)[0]:
            piece = link.recv(1 << 16)
            if not piece:
                raise OSError("the documents' server hung up")
            answer += piece
    # `ok: 1.0`
    if b"\x01ok\0" + struct.pack("<d", 1.0) not in answer:
        raise OSError(f"the documents' server refused {next(iter(body))}: {answer[20:]!r}")
    return answer
