#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The message board's page in headless Chromium: two guests in two windows."""
import os
import shutil
import struct
import tempfile
import zlib

import support
from board import BoardTest, Services, main
from browser import Browser

ENTER = "\ue007"


def picture(width, height):
    """A PNG of that size: bands of colour."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"".join(bytes((194 - y, 98 + x % 90, 45 + (x + y) % 120)) for x in range(width))
                    for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class PageTest(BoardTest):
    @classmethod
    def setUpClass(cls):
        profile = tempfile.mkdtemp(prefix="heddle-board-")
        cls.addClassCleanup(shutil.rmtree, profile, ignore_errors=True)
        cls.browser = Browser(profile)
        cls.addClassCleanup(cls.browser.close)
        cls.ann = cls.browser.window()

    def setUp(self):
        super().setUp()
        self.addCleanup(self.browser.prefer, "light")
        self.addCleanup(self.browser.close_other_windows, self.ann)
        self.browser.open("about:blank")
        self.browser.call("POST", "/se/log", {"type": "browser"})  # what other tests have left
        self.browser.call("POST", "/window/rect", {"width": 1180, "height": 760})

    def go_in(self, board, room, name):
        """The present window goes into a room."""
        self.browser.open(board.url + "/#" + room)
        self.browser.script("document.getElementById('name').value = ''")
        self.browser.type("name", name + ENTER)
        self.browser.wait("document.body.dataset.link === 'open'")

    def say(self, text):
        self.browser.type("text", text + ENTER)

    def texts(self):
        return self.browser.script(
            "return [...document.querySelectorAll('#messages .body')].map(e => e.firstChild.textContent)")

    def wait_for_messages(self, count):
        self.browser.wait(f"document.querySelectorAll('#messages li').length >= {count}")

    def check_console(self):
        entries = self.browser.call("POST", "/se/log", {"type": "browser"})
        self.assertEqual([e for e in entries if e["level"] in ("SEVERE", "WARNING")], [])

    def keep_screenshot(self, name):
        shot = self.browser.screenshot()
        self.assertGreater(len(shot), 10_000)
        if support.settings.out:
            os.makedirs(support.settings.out, exist_ok=True)
            with open(f"{support.settings.out}/board-{support.settings.reactor}-{name}.png", "wb") as f:
                f.write(shot)

    def open_bob(self, board, room):
        self.browser.open_window()
        self.go_in(board, room, "Bob")
        return self.browser.window()


class Page(PageTest):
    def test_two_windows_of_a_room_show_each_others_messages_and_files(self):
        services = Services()
        self.addCleanup(services.close)
        board = self.start("--upstream", "weather=" + services.url("fine"), "--upstream", "mill=" + services.url("slow"))
        self.go_in(board, "weaving", "Ann")
        bob = self.open_bob(board, "weaving")
        self.browser.wait("document.getElementById('guests').textContent === '2 guests'")
        evil = "<img src=x onerror=\"document.title='lost'\"><script>document.title='lost'</script>"
        self.say("The warp is on the loom. Shall we begin?")
        self.browser.use_window(self.ann)
        self.wait_for_messages(1)
        self.say("Yes. " + evil)
        self.browser.use_window(bob)
        self.wait_for_messages(2)
        self.assertEqual(self.texts(), ["The warp is on the loom. Shall we begin?", "Yes. " + evil])
        content = picture(320, 120)
        with open(self.dir + "/pattern.png", "wb") as f:
            f.write(content)
        self.browser.script("document.getElementById('text').value = 'This is the pattern:'")
        self.browser.type("file", self.dir + "/pattern.png")
        self.browser.use_window(self.ann)
        self.browser.wait("document.querySelector('#messages img')?.naturalWidth === 320")
        link = self.browser.script("const a = document.querySelector('#messages li:nth-child(3) a');"
                                   "return [a.href, a.textContent, a.download]")
        self.assertEqual(link[1:], ["pattern.png", "pattern.png"])
        self.assertEqual(support.curl(link[0]).body, content)
        self.assertEqual(self.browser.script("return document.querySelectorAll('#messages img').length"), 1)
        self.assertEqual(self.browser.script("return document.title"), "board")
        self.browser.wait("document.getElementById('stat-said').textContent === '3'")
        self.browser.wait("document.getElementById('stat-guests').textContent === '2'")
        self.look_around()
        self.keep_screenshot("light")
        self.browser.prefer("dark")
        self.keep_screenshot("dark")
        self.check_console()
        self.stop(board)

    def look_around(self):
        """On a busy machine both services may be late. The slow one always is."""
        while True:
            self.browser.wait("!document.getElementById('again').disabled")
            states = self.browser.script("return [...document.querySelectorAll('#around article')]"
                                         ".map(e => [e.dataset.name, e.dataset.state, e.lastChild.textContent])")
            self.assertEqual([name for name, _, _ in states], ["weather", "mill"])
            self.assertEqual(states[1][1], "late")
            if states[0][1] == "fine":
                break
            self.browser.click("again")
        self.assertIn('"degrees": 7', states[0][2])

    def test_a_page_comes_back_when_its_board_does_and_misses_nothing(self):
        board = self.start()
        self.go_in(board, "weaving", "Ann")
        self.say("one")
        self.wait_for_messages(1)
        self.stop(board)
        self.browser.wait("document.body.dataset.link === 'lost'")
        again = self.start(port=board.port)

        async def talk():
            async with again.talk("weaving", "Bob") as bob:
                await bob.send('{"text": "two"}')
                while "said" not in await bob.recv():
                    pass
        self.run_async(talk())
        self.wait_for_messages(2)
        self.browser.wait("document.body.dataset.link === 'open'")
        self.say("three")
        self.wait_for_messages(3)
        self.assertEqual(self.texts(), ["one", "two", "three"])
        self.open_bob(again, "weaving")
        self.wait_for_messages(3)
        self.assertEqual(self.texts(), ["one", "two", "three"])
        self.stop(again)

    def test_what_is_refused_is_shown_and_rooms_lead_to_each_other(self):
        board = self.start()
        self.go_in(board, "weaving", "Ann")
        self.say("one")
        self.wait_for_messages(1)
        self.browser.script("socket.send('nonsense')")
        self.browser.wait("!document.getElementById('refused').hidden")
        self.open_bob(board, "spinning")
        self.browser.wait("document.querySelector('#rooms a[href=\"#weaving\"]')")
        self.browser.script("document.querySelector('#rooms a[href=\"#weaving\"]').click()")
        self.wait_for_messages(1)
        self.assertEqual(self.texts(), ["one"])
        self.assertEqual(self.browser.script("return document.getElementById('title').textContent"), "#weaving")
        self.browser.call("POST", "/window/rect", {"width": 500, "height": 900})
        self.assertLessEqual(*self.browser.script(
            "return [document.documentElement.scrollWidth, window.innerWidth]"))
        self.keep_screenshot("narrow")
        self.check_console()
        self.stop(board)


if __name__ == "__main__":
    main()
