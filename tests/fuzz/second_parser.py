#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The second opinion on requests: what h11 makes of bytes. For fuzz_framing, over pipes, until the input ends.

Each question is 4 bytes of length (little-endian) and the bytes of a connection; so is each answer. An answer has a line for
each complete request, then one on the rest:

  request END METHOD TARGET FIELDS BODY      END: how many bytes of the connection it and those before it took; the others in
                                             hexadecimal, FIELDS as "name:value" joined by line feeds, sorted
  idle, unfinished, or refused WHY

h11 is asked about each request anew, since it ends a connection where heddle keeps it (Connection: keep-alive of HTTP/1.0).
It is made to take what README.md lists under "Differences that are meant".
"""
import re
import struct
import sys

import h11
from h11 import _readers

# RFC 9112, 7.1: a chunk's size has any number of digits. h11 takes at most 20.
_readers.chunk_header_re = re.compile(_readers.chunk_header_re.pattern.replace(b"{1,20}", b"+"))


def skip_empty_lines(data, at):
    # RFC 9112, 2.2: a server should ignore at least one empty line before a request. h11 refuses all of them.
    while data[at:at + 1] in (b"\r", b"\n"):
        at += 1
    return at


def fields_of(request):
    kept = []
    for name, value in request.headers:
        # heddle puts the host of the target in place of the field (RFC 9112, 3.2.2).
        if name != b"host":
            kept.append(name + b":" + (value.lower() if name == b"transfer-encoding" else value))
    return b"\n".join(sorted(kept))


def read_one(data, at):
    """What the answer says of the request that begins there, and where it ends; None instead if it is not complete."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 30)
    request, body = None, b""
    try:
        connection.receive_data(data[at:])
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return "unfinished", None
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
    except h11.RemoteProtocolError as e:
        return f"refused {e}", None
    end = len(data) - len(connection.trailing_data[0])
    words = (request.method, request.target, fields_of(request), body)
    return f"request {end} " + " ".join(word.hex() for word in words), end


def opinion(data):
    lines, at = [], 0
    while True:
        at = skip_empty_lines(data, at)
        if at == len(data):
            return lines + ["idle"]
        line, end = read_one(data, at)
        lines.append(line)
        if end is None:
            return lines
        at = end


def main():
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(4)) == 4:
        answer = "\n".join(opinion(source.read(struct.unpack("<I", head)[0]))).replace("\0", "?").encode()
        sink.write(struct.pack("<I", len(answer)) + answer)
        sink.flush()


if __name__ == "__main__":
    main()
