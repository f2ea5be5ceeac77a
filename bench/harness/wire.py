# SPDX-License-Identifier: MIT
"""Exact numbers of requests over plain sockets, in rounds: one on each connection, then answers.

Slow, which does not matter to what counts instructions.
"""
import contextlib
import socket
import struct

PATIENCE = 60  # seconds for one answer
MASK = b"\x37\x5a\x21\x6d"


def connect(port):
    s = socket.create_connection(("127.0.0.1", port), PATIENCE)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def _exactly(s, size):
    pieces = []
    while size > 0:
        piece = s.recv(size)
        if not piece:
            raise RuntimeError("the server ended a connection")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _head(s):
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        text += _exactly(s, 1)
    return text


def _rounds(sockets, requests, message, take):
    if requests % len(sockets):
        raise RuntimeError("so many requests are no whole rounds")
    for _ in range(requests // len(sockets)):
        for s in sockets:
            s.sendall(message)
        for s in sockets:
            take(s)


def exchange_http(port, request, connections, requests):
    """All answers are as long as the first."""
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(connect(port)) for _ in range(connections)]
        with connect(port) as probe:
            probe.sendall(request)
            head = _head(probe)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the server answered {head.splitlines()[0]!r}")
            lengths = [int(line.split(b":")[1]) for line in head.splitlines()
                       if line.lower().startswith(b"content-length:")]
            size = len(head) + lengths[0]
        _rounds(sockets, requests, request, lambda s: _exactly(s, size))


def _frame_head(size, mark):
    if size < 126:
        return struct.pack("!BB", 0x82, mark | size)
    if size < 65536:
        return struct.pack("!BBH", 0x82, mark | 126, size)
    return struct.pack("!BBQ", 0x82, mark | 127, size)


def _upgraded(port):
    s = connect(port)
    s.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    if not _head(s).startswith(b"HTTP/1.1 101"):
        raise RuntimeError("the server opens no WebSocket")
    return s


def exchange_websocket(port, size, connections, requests):
    """Binary messages of so many bytes, there and back."""
    masked = bytes(b ^ m for b, m in zip(b"x" * size, MASK * (size // 4 + 1)))
    message = _frame_head(size, 0x80) + MASK + masked
    expected = _frame_head(size, 0) + b"x" * size

    def take(s):
        if _exactly(s, len(expected)) != expected:
            raise RuntimeError("the echo differs from what was sent")
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(_upgraded(port)) for _ in range(connections)]
        _rounds(sockets, requests, message, take)
