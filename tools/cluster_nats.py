# SPDX-License-Identifier: MIT
"""The little of NATS and JetStream that tools/cluster needs, over a blocking socket."""
import json
import re
import secrets
import socket
import ssl
import time
from urllib.parse import unquote

ANSWER_LIMIT = 5.0  # seconds in which the server answers


class Failed(Exception):
    """What is said to the user, and ends the tool with 1."""


class Place:
    """A cluster's address, from its URL."""

    def __init__(self, url):
        m = re.fullmatch(r"(nats|tls)://(?:([^@/]*)@)?([^/?]+)(?:/([^?]*))?(?:\?(.*))?", url)
        if not m:
            raise Failed("the cluster's URL is not nats://[user:password@]host[:port][,host...][/name]")
        self.tls = m[1] == "tls"
        login = [unquote(p) for p in (m[2] or "").split(":", 1)]
        self.login = {}
        if m[2]:
            self.login = {"user": login[0], "pass": login[1]} if len(login) == 2 else {"auth_token": login[0]}
        self.servers = []
        for part in m[3].split(","):
            host, _, port = part.rpartition(":") if re.search(r":\d+$", part) else (part, "", "4222")
            self.servers.append((host.strip("[]"), int(port)))
        self.name = unquote(m[4] or "") or "heddle"


class Nats:
    """The few verbs of NATS that this tool needs, over a blocking socket."""

    def __init__(self, place):
        self.name = place.name
        self.root = f"h.{place.name}."
        errors = []
        for server in place.servers:
            try:
                self.connect(server, place)
                break
            except OSError as e:
                errors.append(f"{server[0]}:{server[1]}: {e}")
        else:
            raise Failed("no server answers: " + "; ".join(errors))
        self.inbox = f"_INBOX.tool{secrets.token_hex(6)}"
        self.sid = 1
        self.send(f"SUB {self.inbox}.* 1\r\n".encode())
        self.asked = 0

    def connect(self, server, place):
        self.socket = socket.create_connection(server, timeout=ANSWER_LIMIT)
        self.bytes = b""
        info = json.loads(self.line().split(b" ", 1)[1])
        if place.tls or info.get("tls_required"):
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=server[0])
        hello = {"verbose": False, "headers": True, "no_responders": True, "name": "heddle-cluster", "protocol": 1,
                 "tls_required": place.tls, **place.login}
        self.send(b"CONNECT " + json.dumps(hello).encode() + b"\r\nPING\r\n")
        while True:
            line = self.line()
            if line.startswith(b"-ERR"):
                raise Failed(f"{server[0]}:{server[1]} refuses: {line[5:].decode(errors='replace')}")
            if line == b"PONG":
                return

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise Failed("the server has ended the connection")
        self.bytes += piece

    def line(self):
        while b"\r\n" not in self.bytes:
            self.fill()
        line, self.bytes = self.bytes.split(b"\r\n", 1)
        return line

    def message(self, end):
        """(subject, headers, payload) of the next message, or None at the time `end`."""
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                line = self.line()
            except (TimeoutError, socket.timeout):
                return None
            finally:
                self.socket.settimeout(ANSWER_LIMIT)
            words = line.split()
            if words and words[0] == b"PING":
                self.send(b"PONG\r\n")
            if not words or words[0] not in (b"MSG", b"HMSG"):
                continue
            total = int(words[-1])
            while len(self.bytes) < total + 2:
                self.fill()
            body, self.bytes = self.bytes[:total], self.bytes[total + 2:]
            size = int(words[-2]) if words[0] == b"HMSG" else 0
            return words[1].decode(), headers_of(body[:size]), body[size:]

    def publish(self, subject, payload=b"", reply="", headers=None):
        block = b""
        if headers:
            block = b"NATS/1.0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in headers.items()) + b"\r\n"
        word = f"HPUB {subject} {reply} {len(block)} " if block else f"PUB {subject} {reply} "
        self.send(word.encode() + f"{len(block) + len(payload)}\r\n".encode() + block + payload + b"\r\n")

    def ask(self, subject, payload=b"", headers=None):
        self.asked += 1
        inbox = f"{self.inbox}.{self.asked}"
        self.publish(subject, payload, inbox, headers)
        end = time.monotonic() + ANSWER_LIMIT
        while True:
            m = self.message(end)
            if m is None:
                raise Failed(f"the server does not answer to {subject}")
            if m[0] == inbox:
                return m

    def api(self, subject, **arguments):
        _, headers, payload = self.ask("$JS.API." + subject, json.dumps(arguments).encode() if arguments else b"")
        if headers.get("status") == "503":
            raise Failed("JetStream does not answer: start nats-server with -js")
        return json.loads(payload)

    def gather(self, subject, limit):
        """All answers that come within the limit."""
        self.asked += 1
        inbox = f"{self.inbox}.{self.asked}"
        self.publish(subject, reply=inbox)
        end = time.monotonic() + limit
        answers = []
        while True:
            m = self.message(end)
            if m is None:
                return answers
            if m[0] == inbox and m[2]:
                answers.append(json.loads(m[2]))

    def last(self, stream, subject):
        """(sequence, subject, headers, payload) of the last message of a subject, or None."""
        query = json.dumps({"last_by_subj": subject}).encode()
        _, headers, payload = self.ask(f"$JS.API.DIRECT.GET.{stream}_{self.name}", query)
        if headers.get("status"):
            return None
        return int(headers["Nats-Sequence"]), headers["Nats-Subject"], headers, payload

    def subjects(self, stream, pattern):
        """{subject: messages}"""
        answer = self.api(f"STREAM.INFO.{stream}_{self.name}", subjects_filter=pattern)
        if "error" in answer:
            raise Failed(f"the cluster \"{self.name}\" is not there: {answer['error']['description']}")
        return answer.get("state", {}).get("subjects") or {}

    def erase(self, stream, sequence):
        self.api(f"STREAM.MSG.DELETE.{stream}_{self.name}", seq=sequence, no_erase=True)


def headers_of(block):
    lines = block.decode(errors="replace").split("\r\n")
    found = {}
    status = re.match(r"NATS/1\.0 +(\d+)", lines[0])
    if status:
        found["status"] = status[1]
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found[name] = value.strip()
    return found
