#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The second opinion: what h11 makes of bytes. For fuzz_framing and fuzz_answers, over pipes, until the input ends.

usage: second_parser.py requests|responses|responses-to-head

Each question is 4 bytes of length (little-endian) and the bytes of a connection; so is each answer. An answer has a line for
each complete message, then one on the rest:

  request END METHOD TARGET FIELDS BODY      END: how many bytes of the connection it and those before it took; the others in
  response END STATUS FIELDS BODY            hexadecimal, FIELDS as "name:value" joined by line feeds, sorted
  idle, unfinished, left out, or refused WHY

h11 is asked about each message anew, since it ends a connection where heddle keeps it (Connection: keep-alive of HTTP/1.0).
It is made to take what README.md lists under "Differences that are meant".
"""
import re
import struct
import sys

import h11
from h11 import _readers

# RFC 9112, 7.1: a chunk's size has any number of digits. h11 takes at most 20.
_readers.chunk_header_re = re.compile(_readers.chunk_header_re.pattern.replace(b"{1,20}", b"+"))
# RFC 9112, 4: a client should ignore the reason. heddle does, and takes any bytes but line ends.
_readers.status_line_re = re.compile(rb"HTTP/(?P<http_version>[0-9]\.[0-9]) (?P<status_code>[0-9]{3})(?: (?P<reason>[^\r\n]*))?")
# RFC 9110, 6.5.1: fields that frame a message mean nothing in its trailers. heddle drops all trailers; h11 judges their values.
_readers.EndOfMessage = lambda headers=(): h11.EndOfMessage()


def skip_empty_lines(data, at):
    # RFC 9112, 2.2: a server should ignore at least one empty line before a request. h11 refuses all of them. heddle does so
    # before responses, too.
    while data[at:at + 1] in (b"\r", b"\n"):
        at += 1
    return at


def fields_of(message):
    kept = []
    for name, value in message.headers:
        # heddle puts the host of the target in place of the field (RFC 9112, 3.2.2).
        if name != b"host":
            value = re.sub(rb"[ \t]+", b" ", value)  # a folded value is unfolded in several ways (RFC 9112, 5.2)
            kept.append(name + b":" + (value.lower() if name == b"transfer-encoding" else value))
    return b"\n".join(sorted(kept))


def connection_for(about):
    if about == "requests":
        return h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 30)
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 30)
    connection.send(h11.Request(method="HEAD" if about == "responses-to-head" else "GET", target="/", headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    return connection


def read_one(about, data, at):
    """What the answer says of the message that begins there, and where it ends; None instead if it is not complete."""
    connection = connection_for(about)
    message, body, ended = None, b"", False
    try:
        connection.receive_data(data[at:])
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if about == "requests" or ended:
                    return "unfinished", None
                ended = True
                connection.receive_data(b"")  # the end of the connection ends some responses
            elif isinstance(event, (h11.Request, h11.Response)):
                message = event
            elif isinstance(event, h11.InformationalResponse):
                return read_one(about, data, skip_empty_lines(data, len(data) - len(connection.trailing_data[0])))
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                return "unfinished", None
    except h11.RemoteProtocolError as e:
        # RFC 9110, 5.6.1: empty elements of a list are no elements. RFC 9112, 6.3: a response to HEAD, 1xx, 204 and 304 end at
        # their heads, whatever these say. h11 takes no coding but one "chunked".
        if about != "requests" and "Transfer-Encoding" in str(e):
            return "left out", None
        return f"refused {e}", None
    end = len(data) - len(connection.trailing_data[0])
    if about == "requests":
        first, words = "request", (message.method, message.target, fields_of(message), body)
    else:
        first, words = "response", (fields_of(message), body)
    status = "" if about == "requests" else f" {message.status_code}"
    return f"{first} {end}{status} " + " ".join(word.hex() for word in words), end


def opinion(about, data):
    lines, at = [], 0
    while True:
        at = skip_empty_lines(data, at)
        if at == len(data):
            return lines + ["idle"]
        line, end = read_one(about, data, at)
        lines.append(line)
        if end is None:
            return lines
        at = end


def main():
    about, source, sink = sys.argv[1], sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(4)) == 4:
        answer = "\n".join(opinion(about, source.read(struct.unpack("<I", head)[0]))).replace("\0", "?").encode()
        sink.write(struct.pack("<I", len(answer)) + answer)
        sink.flush()


if __name__ == "__main__":
    main()
