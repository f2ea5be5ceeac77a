#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The message board, by Python's websockets, curl and bare sockets."""
import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import unittest

import support
import websockets
from board import BoardTest, Services, count_files, main, say, told


class Talking(BoardTest):
    def test_guests_of_one_room_hear_each_other_and_nobody_else(self):
        board = self.start()

        async def talk():
            async with board.talk("tea", "ann") as ann, board.talk("tea", "bob") as bob, \
                    board.talk("coffee", "eve") as eve:
                for ws in ann, bob, eve:
                    self.assertEqual(await told(ws, "history"), [])
                await say(ann, "hello, <b>bob</b>")
                await say(bob, "hello \U0001f375\n\"ann\"")
                await say(ann, "  bye  ")
                wanted = {"hello, <b>bob</b>": "ann", "hello \U0001f375\n\"ann\"": "bob", "bye": "ann"}
                heard = [[await told(ws, "said") for _ in wanted] for ws in (ann, bob)]
                self.assertEqual(heard[0], heard[1])
                self.assertEqual([m["id"] for m in heard[0]], [1, 2, 3])
                self.assertEqual({m["text"]: m["who"] for m in heard[0]}, wanted)
                await say(eve, "is anybody here?")
                self.assertEqual((await told(eve, "said"))["text"], "is anybody here?")
        self.run_async(talk())
        self.stop(board)

    def test_guests_are_counted(self):
        board = self.start()

        async def talk():
            async with board.talk("tea", "ann") as ann:
                self.assertEqual(await told(ann, "guests"), 1)
                async with board.talk("tea", "bob"):
                    self.assertEqual(await told(ann, "guests"), 2)
                    self.assertEqual(board.json("/api/rooms"), [{"name": "tea", "guests": 2}])
                while await told(ann, "guests") != 1:
                    pass
        self.run_async(talk())
        self.stop(board)

    def test_what_is_no_message_is_refused_and_the_guest_stays(self):
        board = self.start()

        async def talk():
            async with board.talk("tea", "ann") as ann:
                for wrong in "", "hello", "[]", "{}", '{"text": 7}', '{"text": " "}', '{"text": "\\u0007"}', b"\xff":
                    await ann.send(wrong)
                    self.assertNotEqual(await told(ann, "refused"), "", wrong)
                await say(ann, "x" * 2001)
                self.assertIn("more than 2000 bytes", await told(ann, "refused"))
                await say(ann, "x" * 2000)
                self.assertEqual((await told(ann, "said"))["id"], 1)
                await say(ann, "x" * 20_000)
                with self.assertRaises(websockets.ConnectionClosed):
                    await told(ann, "said")
                self.assertEqual(ann.close_code, 1009)
        self.run_async(talk())
        self.stop(board)

    def refusal(self, board, room, who, **more):
        """The status with which the board refuses a WebSocket."""
        async def ask():
            url = f"ws://127.0.0.1:{board.port}/rooms/{room}/talk?{who}"
            with self.assertRaises(websockets.InvalidStatusCode) as caught:
                await websockets.connect(url, open_timeout=support.PATIENCE, **more)
            return caught.exception.status_code
        return self.run_async(ask())

    def test_names_are_checked_before_anything_is_opened(self):
        board = self.start()
        for room in "Tea", "-tea", "t" * 33, "..", "%2e%2e", "a%2Fb", "tea.jsonl", "t%00", "%C3%A9":
            self.assertIn(self.refusal(board, room, "who=ann"), (400, 404), room)
        for who in "", "who=", "who=%20", "who=a%0Ab", "who=%ff", "who=" + "a" * 41:
            self.assertEqual(self.refusal(board, "tea", who), 400, who)
        self.assertEqual(self.refusal(board, "tea", "who=ann&after=x"), 400)
        self.assertEqual(os.listdir(self.data + "/rooms"), [])
        self.stop(board)

    def test_pages_of_other_sites_are_refused(self):
        board = self.start()
        self.assertEqual(self.refusal(board, "tea", "who=ann", origin="http://evil.example"), 403)
        form = ("-F", "who=eve", "-F", "file=@/dev/null;filename=x")
        for origin, status in ("http://evil.example", 403), ("null", 403), (board.url, 200):
            got = support.curl(board.url + "/rooms/tea/files", "-H", "Origin: " + origin, *form)
            self.assertEqual(got.status, status, origin)
        self.stop(board)

    def test_a_board_has_so_many_rooms_and_no_more(self):
        os.makedirs(self.data + "/rooms")
        for i in range(200):
            open(f"{self.data}/rooms/r{i}.jsonl", "w").close()
        board = self.start()
        self.assertEqual(len(board.json("/api/rooms")), 200)
        self.assertEqual(self.refusal(board, "one-more", "who=ann"), 503)

        async def talk():
            async with board.talk("r7", "ann") as ann:
                self.assertEqual(await told(ann, "history"), [])
        self.run_async(talk())
        self.stop(board)


class Remembering(BoardTest):
    def say_all(self, board, room, texts):
        async def talk():
            async with board.talk(room, "ann") as ann:
                for text in texts:
                    await say(ann, text)
                return [await told(ann, "said") for _ in texts]
        return self.run_async(talk())

    def history(self, board, room, after=None):
        async def ask():
            async with board.talk(room, "bob", after) as ws:
                return await told(ws, "history")
        return self.run_async(ask())

    def test_a_room_is_remembered_over_a_restart(self):
        board = self.start()
        said = self.say_all(board, "tea", ["one", "two", "three"])
        self.assertEqual(self.history(board, "tea"), said)
        self.assertEqual(self.history(board, "tea", 1), said[1:])
        self.assertEqual(self.history(board, "tea", 3), [])
        self.stop(board)
        board = self.start()
        self.assertEqual(board.json("/api/rooms"), [{"name": "tea", "guests": 0}])
        self.assertEqual(self.history(board, "tea"), said)
        more = self.say_all(board, "tea", ["four"])
        self.assertEqual(more[0]["id"], 4)
        self.stop(board)

    def test_half_a_line_and_a_broken_one_spoil_nothing(self):
        board = self.start()
        said = self.say_all(board, "tea", ["one", "two"])
        self.stop(board)
        one, two = self.kept_lines("tea").splitlines(keepends=True)
        with open(self.data + "/rooms/tea.jsonl", "wb") as f:
            f.write(one + b"{broken}\n" + two + one[:20])  # a program that was killed as it wrote
        board = self.start()
        self.assertEqual(self.history(board, "tea"), said)
        self.assertEqual(self.say_all(board, "tea", ["three"])[0]["id"], 3)
        self.stop(board)
        self.assertTrue(self.kept_lines("tea").startswith(one + b"{broken}\n" + two + b"{"))

    def test_a_full_file_is_put_aside(self):
        os.makedirs(self.data + "/rooms")
        line = json.dumps({"id": 7, "at": 0, "who": "ann", "text": "old"}).encode()
        filling = line + b" " * (4095 - len(line)) + b"\n"
        with open(self.data + "/rooms/tea.jsonl", "wb") as f:
            f.write(filling * 1024)  # exactly the limit
        board = self.start()
        self.assertEqual(self.say_all(board, "tea", ["new"])[0]["id"], 8)
        self.assertEqual([m["text"] for m in self.history(board, "tea")][-2:], ["old", "new"])
        self.stop(board)
        self.assertEqual(len(self.kept_lines("tea").splitlines()), 1)
        self.assertEqual(os.path.getsize(self.data + "/rooms/tea.jsonl.old"), 4 << 20)

    def test_a_full_disk_is_told_and_leaves_no_half_line(self):
        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        board = self.start(before_exec=small_files)

        async def talk():
            async with board.talk("tea", "ann") as ann, board.talk("tea", "bob") as bob:
                for i in range(20):
                    await say(ann, f"{i} " + "x" * 1500)
                    while "said" not in (message := json.loads(await ann.recv())) and "refused" not in message:
                        pass
                    if "refused" in message:
                        break
                    self.assertEqual(message["said"], await told(bob, "said"))
                self.assertEqual(message.get("refused"), "the disk of this board is full")
                self.assertGreater(i, 1)
                await say(ann, "short")  # there is room for this one
                self.assertEqual((await told(bob, "said"))["text"], "short")
                return i
        whole = self.run_async(talk())
        for line in self.kept_lines("tea").splitlines():
            json.loads(line)
        large = self.dir + "/large"
        with open(large, "wb") as f:
            f.write(b"x" * 100_000)
        got = support.curl(board.url + "/rooms/tea/files", "-F", "who=ann", "-F", "file=@" + large)
        self.assertEqual((got.status, json.loads(got.body)["detail"]), (507, "the disk of this board is full"))
        self.assertEqual(os.listdir(self.data + "/files"), [])
        self.stop(board)
        self.assertEqual(os.listdir(self.data + "/incoming"), [])
        board = self.start()
        self.assertEqual(len(self.history(board, "tea")), whole + 1)
        self.stop(board)


class Uploading(BoardTest):
    def send(self, board, *form, room="tea"):
        options = [word for part in form for word in ("-F", part)]
        return support.curl(f"{board.url}/rooms/{room}/files", *options)

    def file(self, name, content):
        path = f"{self.dir}/{name}"
        with open(path, "wb") as f:
            f.write(content)
        return path

    def test_an_upload_arrives_byte_for_byte_and_is_told(self):
        board = self.start()
        content = os.urandom(3_000_001)
        path = self.file("picture.PNG", content)

        async def talk():
            async with board.talk("tea", "bob") as bob:
                await told(bob, "history")
                got = await asyncio.get_running_loop().run_in_executor(
                    None, lambda: self.send(board, "who=ann", "text=look", "file=@" + path))
                self.assertEqual(got.status, 200, got.body)
                said = await told(bob, "said")
                self.assertEqual(json.loads(got.body), said)
                return said
        said = self.run_async(talk())
        self.assertEqual((said["who"], said["text"]), ("ann", "look"))
        self.assertEqual((said["file"]["name"], said["file"]["bytes"]), ("picture.PNG", len(content)))
        self.assertRegex(said["file"]["path"], r"^/files/[0-9a-f]{32}\.png$")
        got = support.curl(board.url + said["file"]["path"])
        self.assertEqual(got.body, content)
        self.assertEqual(got["content-type"], "image/png")
        part = support.curl(board.url + said["file"]["path"], "-H", "Range: bytes=1000-1999")
        self.assertEqual((part.status, part.body), (206, content[1000:2000]))
        self.stop(board)
        self.assertEqual(os.listdir(self.data + "/incoming"), [])

    def test_a_file_is_harmless_whatever_it_is_called_and_holds(self):
        board = self.start()
        path = self.file("x", b"<script>alert(1)</script>")
        for name, shown in (("../../evil.html", "evil.html"), ("a.svg", "a.svg"), ("/etc/passwd", "passwd"),
                            ("c:\\autoexec.bat", "autoexec.bat"), ("noend", "noend"), ("x.h/tml", "tml")):
            got = self.send(board, "who=ann", f'file=@{path};filename="{name}"'.replace("\\", "\\\\"))
            self.assertEqual(got.status, 200, got.body)
            said = json.loads(got.body)
            self.assertEqual(said["file"]["name"], shown)
            self.assertRegex(said["file"]["path"], r"^/files/[0-9a-f]{32}(\.[a-z]{1,8})?$")
            got = support.curl(board.url + said["file"]["path"])
            self.assertEqual(got["content-disposition"], "attachment")
            self.assertIn("sandbox", got["content-security-policy"])
            self.assertEqual(got["x-content-type-options"], "nosniff")
        self.assertEqual(count_files(self.dir), 6 + 1 + 1)  # the uploads, the room's history, x
        for way in "/files/../rooms/tea.jsonl", "/files/%2e%2e/rooms/tea.jsonl", "/files/..%2frooms%2ftea.jsonl", \
                "/files//etc/passwd":
            self.assertIn(support.curl(board.url + way).status, (400, 404), way)
        self.stop(board)

    def test_forms_that_lack_something_keep_nothing(self):
        board = self.start()
        small = "file=@" + self.file("x", b"x")
        for form in [small], ["who=ann"], ["who= ", small], ["who=ann", small, small], \
                ["who=ann", small, "text=" + "x" * 2001], ["who=ann", small, "text=" + "x" * 20_000]:
            self.assertIn(self.send(board, *form).status, (400, 413), form)
        self.assertEqual(self.send(board, "who=ann", small, room="Tea").status, 400)
        got = support.curl(board.url + "/rooms/tea/files", "-H", "Content-Type: text/plain", "-d", "x")
        self.assertEqual(got.status, 415)
        self.assertEqual(os.listdir(self.data + "/files"), [])
        self.stop(board)
        self.assertEqual(os.listdir(self.data + "/incoming"), [])

    def test_a_file_beyond_the_limit_is_refused(self):
        board = self.start()
        large = self.dir + "/large"
        with open(large, "wb") as f:
            f.truncate(64 << 20)  # its form is longer than the limit
        self.assertEqual(self.send(board, "who=ann", "file=@" + large).status, 413)
        self.assertEqual(os.listdir(self.data + "/files"), [])
        self.stop(board)

    def test_an_upload_that_breaks_off_leaves_nothing(self):
        board = self.start()
        wire = self.begin_upload(board, 1_000_000)
        self.assertEqual(count_files(self.data + "/incoming"), 1)
        wire.close()
        self.until(lambda: os.listdir(self.data + "/incoming") == [])
        self.assertEqual(os.listdir(self.data + "/files"), [])
        self.stop(board)

    def begin_upload(self, board, size):
        """An upload of that size whose first half is on the disk. The rest is b"x" * (size // 2) and self.tail."""
        head = (b'--b\r\nContent-Disposition: form-data; name="who"\r\n\r\nann\r\n'
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="half"\r\n\r\n')
        self.tail = b"\r\n--b--\r\n"
        wire = support.Wire(board.port)
        self.addCleanup(wire.close)
        wire.send(b"POST /rooms/tea/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; "
                  b"boundary=b\r\nContent-Length: %d\r\n\r\n" % (len(head) + size + len(self.tail)))
        wire.send(head + b"x" * (size // 2))

        def on_disk():
            sizes = [os.path.getsize(os.path.join(top, name))
                     for top, _, names in os.walk(self.data + "/incoming") for name in names]
            return sum(sizes) > size // 4  # the reader of parts keeps a little back
        self.until(on_disk)
        return wire

    def test_a_stop_lets_uploads_finish_and_closes_the_rest_in_order(self):
        board = self.start()
        half = self.begin_upload(board, 400_000)
        events = support.Wire(board.port)
        self.addCleanup(events.close)
        events.send("GET /api/stats HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        events._until(b"data: ")

        async def talk():
            async with board.talk("coffee", "ann") as ann:
                await told(ann, "history")
                board.signal()
                with self.assertRaises(websockets.ConnectionClosedOK):
                    await told(ann, "said")
                self.assertEqual(ann.close_code, 1001)
        self.run_async(talk())
        self.assertTrue(events.rest().endswith(b"0\r\n\r\n"))  # the stream of events has an end
        half.send(b"x" * 200_000 + self.tail)
        self.assertEqual(half.answer().status, 200)
        self.assertEqual(board.end(), (0, "", ""))
        name, = os.listdir(self.data + "/files")
        with open(f"{self.data}/files/{name}", "rb") as f:
            self.assertEqual(f.read(), b"x" * 400_000)
        self.assertEqual(os.listdir(self.data + "/incoming"), [])


class Looking(BoardTest):
    def test_other_services_are_shown_with_what_became_of_each(self):
        services = Services()
        self.addCleanup(services.close)
        with socket.create_server(("127.0.0.1", 0)) as gone:
            closed = f"http://127.0.0.1:{gone.getsockname()[1]}/"
        names = "fine", "slow", "broken", "text", "large"
        options = [word for name in names for word in ("--upstream", f"{name}={services.url(name)}")]
        board = self.start(*options, "--upstream", "closed=" + closed)
        # On a busy machine all may be late. The slow one always is.
        while True:
            reports = {r["name"]: r for r in board.json("/api/around")}
            self.assertEqual(reports["slow"]["state"], "late")
            if all(r["state"] != "late" for name, r in reports.items() if name != "slow"):
                break
        self.assertEqual(list(reports), [*names, "closed"])
        self.assertEqual(reports["fine"]["value"], {"weather": "dry", "degrees": 7})
        errors = {"slow": "no answer within 2 s", "broken": "it answers with status 500",
                  "text": "it sends no JSON", "large": "its answer is too large", "closed": "it cannot be reached"}
        for name, error in errors.items():
            self.assertEqual(reports[name]["error"], error)
            self.assertEqual(reports[name]["state"], "late" if name == "slow" else "failed")
        self.stop(board)

    def test_statistics_tick_and_count(self):
        board = self.start()
        wire = support.Wire(board.port)
        self.addCleanup(wire.close)
        wire.send("GET /api/stats HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

        def tick():
            wire._until(b"data: ")
            return json.loads(wire._until(b"\n\n"))
        first = tick()
        self.assertEqual((first["guests"], first["said"], first["rooms"]), (0, 0, []))

        async def talk():
            async with board.talk("tea", "ann") as ann:
                await say(ann, "hello")
                await told(ann, "said")
                while (now := tick())["said"] != 1 or now["guests"] != 1:
                    pass
                return now
        now = self.run_async(talk())
        self.assertEqual(now["rooms"], [{"name": "tea", "guests": 1}])
        self.assertGreater(now["tasks"], first["tasks"])
        self.stop(board)

    def test_the_page_brings_all_it_needs_and_lets_nothing_else_in(self):
        board = self.start()
        for path, kind in ("/", "text/html"), ("/board.css", "text/css"), ("/board.js", "text/javascript"), \
                ("/board.svg", "image/svg+xml"):
            got = support.curl(board.url + path, "--compressed")
            self.assertTrue(got["content-type"].startswith(kind), path)
            self.assertIn("default-src 'none'", got["content-security-policy"])
            self.assertEqual(got["x-content-type-options"], "nosniff")
            for word in "http://", "https://", "//cdn":
                self.assertNotIn(word, got.text.replace("http://www.w3.org/2000/svg", ""), path)
        self.assertEqual(support.curl(board.url + "/nowhere").status, 404)
        self.assertEqual(support.curl(board.url + "/api/rooms", "-X", "DELETE").status, 405)
        self.stop(board)


class Usage(BoardTest):
    def run_board(self, *options):
        return subprocess.run([support.settings.server, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=support.PATIENCE, env=support.environment(), cwd=self.dir)

    def test_help_and_wrong_usage(self):
        done = self.run_board("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for option in "--listen", "--data", "--upstream", "--grace":
            self.assertIn(option, done.stdout)
        for wrong in (["--port", "1"], ["--listen"], ["--listen", "8080"], ["--listen", "127.0.0.1:x"],
                      ["--upstream", "x"], ["--upstream", "x=nowhere"], ["--grace", "-1"], ["x", "y"]):
            done = self.run_board(*wrong)
            self.assertEqual((done.returncode, done.stdout), (2, ""), wrong)
            self.assertIn("usage:", done.stderr)

    def test_a_port_that_is_taken_and_a_directory_that_is_none_are_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            at = f"127.0.0.1:{taken.getsockname()[1]}"
            done = self.run_board("--listen", at)
        self.assertEqual(done.returncode, 1)
        self.assertIn(at, done.stderr)
        done = self.run_board("--listen", "127.0.0.1:0", "--data", "/dev/null")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/dev/null", done.stderr)


if __name__ == "__main__":
    main()
