# SPDX-License-Identifier: MIT
"""The message board (tools/examples/board) as a child process, and what its tests share."""
import asyncio
import http.server
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

import support
import websockets


class Board(support.Server):
    """A running board that keeps its data in `directory`."""

    def __init__(self, directory, *options, port=0, before_exec=None):
        def in_child():
            support.die_with_parent()
            if before_exec:
                before_exec()

        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [support.settings.server, "--listen", f"127.0.0.1:{port}", "--data", directory,
             "--grace", "60", *options],  # a busy machine needs more than the usual time to end in order
            stdout=subprocess.PIPE, stderr=self.errors, preexec_fn=in_child,
            env=support.environment(HEDDLE_REACTOR=support.settings.reactor))
        self.watchdog = threading.Timer(support.PATIENCE, self.process.kill)
        self.watchdog.start()
        line = self.read_line()
        self.watchdog.cancel()
        found = re.fullmatch(r"listening on (http)://127\.0\.0\.1:(\d+)/", line)
        if not found:
            status, _, errors = self.end()
            raise AssertionError(f"the board did not start: status {status}, said {line!r}\n{errors}")
        self.scheme, self.port = found[1], int(found[2])

    def json(self, path):
        return json.loads(support.curl(self.url + path).body)

    def talk(self, room, who, after=None):
        """A WebSocket to a room, to be awaited."""
        query = f"who={who}" + ("" if after is None else f"&after={after}")
        return websockets.connect(f"ws://127.0.0.1:{self.port}/rooms/{room}/talk?{query}", max_size=None,
                                  open_timeout=support.PATIENCE, ping_interval=None)


class BoardTest(unittest.TestCase):
    """Boards that stop as they should in the end and have nothing to complain of."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="heddle-board-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.data = self.dir + "/data"

    def start(self, *options, **more):
        board = Board(self.data, *options, **more)
        self.addCleanup(board.kill)
        return board

    def stop(self, board):
        board.signal()
        self.assertEqual(board.end(), (0, "", ""))

    def until(self, condition):
        """Looks again and again. If it never comes true, ctest's own time-out is the failure."""
        while not condition():
            time.sleep(0.01)

    def run_async(self, work):
        async def bounded():
            return await asyncio.wait_for(work, 4 * support.PATIENCE)
        return asyncio.run(bounded())

    def kept_lines(self, room):
        with open(f"{self.data}/rooms/{room}.jsonl", "rb") as f:
            return f.read()


async def told(ws, key):
    """What the next message of that kind says. Those of other kinds are skipped."""
    while True:
        message = json.loads(await asyncio.wait_for(ws.recv(), support.PATIENCE))
        if key in message:
            return message[key]


async def say(ws, text):
    await ws.send(json.dumps({"text": text}))


class Services:
    """Other services, as the board asks them: /fine, /slow, /broken and /text on one port."""

    def __init__(self):
        released = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                answers = {"/fine": (200, b'{"weather": "dry", "degrees": 7}'), "/text": (200, b"no JSON"),
                           "/broken": (500, b'{"oops": true}'), "/large": (200, b'"' + b"x" * 100_000 + b'"')}
                if self.path == "/slow":
                    released.wait()
                    return
                status, body = answers[self.path]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.released = released
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def url(self, name):
        return f"http://127.0.0.1:{self.server.server_address[1]}/{name}"

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def count_files(directory):
    return sum(len(files) for _, _, files in os.walk(directory))


def main():
    support.main()
