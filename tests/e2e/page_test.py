#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The live page in headless Chromium, as browser.py drives it."""
import json
import os
import re
import subprocess
import threading

import support
from browser import Browser

COUNTERS = ["run", "stolen", "parked", "woken", "polls", "io_events", "rescues", "created"]
LENGTHS = ["queue", "forks", "inbox", "timers"]


class Page(support.ServedTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser(cls.dir + "/profile")
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.open(self.server.url + "/")
        self.browser.wait("document.body.dataset.refreshes >= 2")

    def stats(self):
        return json.loads(self.curl("/stats").body)

    def figures(self):
        """All that the page shows at one moment, by id: the exact value and the text."""
        return self.browser.script("""
            return Object.fromEntries([...document.querySelectorAll('[id][data-value]')]
                .map(e => [e.id, [e.dataset.value, e.textContent]]));""")

    def number(self, figures, element_id):
        return float(figures[element_id][0])

    def figures_between_two_looks(self):
        """What /stats said, what the page showed then, what /stats said then."""
        before = self.stats()
        # Two refreshes further the page shows what it asked for after that.
        refreshes = int(self.browser.script("return document.body.dataset.refreshes"))
        self.browser.wait(f"document.body.dataset.refreshes >= {refreshes + 2}")
        figures = self.figures()
        return before, figures, self.stats()

    def check_figures(self):
        before, figures, after = self.figures_between_two_looks()

        def within(element_id, low, high):
            value = self.number(figures, element_id)
            self.assertTrue(low <= value <= high, f"{element_id}: {low} <= {value} <= {high}")

        def total(stats, name):
            return sum(loop[name] for loop in stats["loops"])

        self.assertEqual(self.number(figures, "loops-count"), after["loops_count"])
        self.assertEqual(figures["reactor"], [after["reactor"]] * 2)
        within("uptime", before["uptime_s"], after["uptime_s"])
        within("requests", before["requests"], after["requests"])
        for name in "run", "stolen", "rescues":
            within("total-" + name, total(before, name), total(after, name))
        for loop, (low, high) in enumerate(zip(before["loops"], after["loops"])):
            for name in COUNTERS:
                within(f"loop-{loop}-{name}", low[name], high[name])
            for name in LENGTHS:
                within(f"loop-{loop}-{name}", 0, 1e6)
            within(f"loop-{loop}-busy", 0, 1)
        self.assertLessEqual(self.number(figures, "latency-p50"), self.number(figures, "latency-p99"))
        self.assertLessEqual(self.number(figures, "latency-p99"), self.number(figures, "latency-max"))
        # The text is the value, in a form for people.
        for element_id, (value, text) in figures.items():
            if re.search(r"^(requests|total-\w+|loops-count|loop-\d+-(?!busy)\w+)$", element_id):
                self.assertEqual(text, f"{int(value):,}", element_id)
            elif element_id.endswith("-busy"):
                self.assertAlmostEqual(int(text), float(value) * 100, delta=0.51)
        return figures

    def load(self):
        """Bounded load from outside the browser, for as long as the returned event is not set."""
        ended = threading.Event()

        def ask(path):
            wire = support.Wire(self.server.port)
            while not ended.is_set():
                self.assertEqual(wire.get(path).status, 200)
            wire.close()

        threads = [threading.Thread(target=ask, args=(path,))
                   for path in ("/hash?n=20000", "/plaintext", "/fork?n=22", "/fork?n=22", "/spin?ms=20")]
        for thread in threads:
            thread.start()

        def end():
            ended.set()
            for thread in threads:
                thread.join()
        self.addCleanup(end)
        return end

    def check_console(self):
        entries = self.browser.call("POST", "/se/log", {"type": "browser"})
        self.assertEqual([e for e in entries if e["level"] in ("SEVERE", "WARNING")], [])
        self.assertFalse(self.browser.script("return document.body.classList.contains('lost')"))

    def test_the_figures_move_equal_stats_and_tasks_are_stolen(self):
        self.assertEqual(self.browser.script("return document.title"), "heddle: loops at work")
        self.check_figures()
        end = self.load()
        first = self.check_figures()
        self.browser.wait("Number(document.getElementById('total-stolen').dataset.value) > 0")
        second = self.check_figures()
        for moving in ("requests", "uptime", "total-run", "loop-0-run", "loop-1-run", "loop-0-polls",
                       "loop-1-polls", "loop-0-io_events"):
            self.assertGreater(self.number(second, moving), self.number(first, moving), moving)
        self.assertGreater(self.number(second, "total-stolen"), 0)
        self.assertGreater(max(self.number(second, f"loop-{i}-busy") for i in (0, 1)), 0)
        self.screenshot("loaded")
        end()
        self.check_figures()
        self.check_console()

    def test_the_buttons_give_the_loops_work(self):
        names = self.browser.script(
            "return [...document.querySelectorAll('button[data-load]')].map(b => b.id)")
        self.assertIn("load-steal", names)
        for count, name in enumerate(names, 1):
            self.browser.click(name)
            self.browser.wait(f"document.body.dataset.loads >= {count}")
            self.assertEqual(self.browser.script(
                "return document.querySelector('#log li .bad')?.textContent ?? ''"), "", name)
            self.assertFalse(self.browser.script(f"return document.getElementById('{name}').disabled"))
        self.assertGreater(self.number(self.check_figures(), "total-stolen"), 0)
        self.screenshot("buttons")
        self.check_console()

    def test_tasks_and_stalls_stand_on_the_page(self):
        self.browser.wait("document.getElementById('inside').contentDocument?.body?.dataset.refreshes >= 2")
        inside = "document.getElementById('inside').contentDocument"
        self.assertGreater(self.browser.script(f"return {inside}.querySelectorAll('#tree li').length"), 0)
        self.assertGreater(self.browser.script(f"return {inside}.querySelectorAll('#groups tr').length"), 0)
        self.assertFalse(self.browser.script(f"return {inside}.body.classList.contains('deadlock')"))
        self.assertTrue(self.browser.script(f"return {inside}.body.classList.contains('embedded')"))
        self.check_console()

    def inspected(self):
        """A program with a deadlock; its port."""
        peer = subprocess.Popen([support.settings.client, "inspected", support.settings.reactor], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=support.environment(),
                                preexec_fn=support.die_with_parent)

        def end():
            peer.stdin.close()
            peer.stdout.close()
            self.assertEqual(peer.wait(), 0)
        self.addCleanup(end)
        return int(peer.stdout.readline())

    def test_the_inspector_shows_a_deadlock(self):
        self.addCleanup(self.browser.prefer, "light")
        self.browser.open(f"http://127.0.0.1:{self.inspected()}/inspector")
        self.addCleanup(self.browser.open, "about:blank")  # before its server goes
        self.browser.wait("document.body.classList.contains('deadlock') && document.body.dataset.refreshes >= 3")
        script = self.browser.script
        band = script("return document.getElementById('deadlock').innerText")
        self.assertRegex(band, r"^DEADLOCK of 2 tasks: ")
        self.assertIn("lobby>games #", band)
        self.assertIn("games>lobby #", band)
        self.assertEqual(script("return getComputedStyle(document.getElementById('deadlock')).display"), "block")
        # The circle is drawn: two boxes and two edges of its own.
        self.assertEqual(script("return document.querySelectorAll('#drawing g.bad').length"), 2)
        self.assertEqual(script("return document.querySelectorAll('#drawing path.edge.bad').length"), 2)
        self.assertEqual(script("return document.querySelectorAll('#tree li.bad').length"), 2)
        # What does the same is one group.
        counts = script("return [...document.querySelectorAll('#groups td.n')].map(e => Number(e.textContent))")
        self.assertGreaterEqual(max(counts), 40)
        self.assertEqual(script("return document.querySelectorAll('#loops article').length"), 2)
        self.assertGreater(script("return document.querySelector('#loops .spark path:last-child').getAttribute('d').length"), 5)
        # A name is text, whatever stands in it.
        self.assertIn("<img src=x", script("return document.getElementById('tree').innerText"))
        self.assertEqual(script("return document.querySelectorAll('img').length"), 0)
        self.browser.type("filter", "gatherer")
        self.browser.wait("document.querySelectorAll('#tree li').length < 5")
        self.assertIn("gatherer", script("return document.getElementById('tree').innerText"))
        self.assertLessEqual(*script("return [document.documentElement.scrollWidth, window.innerWidth]"))
        self.screenshot("inspector")
        self.browser.prefer("dark")
        self.screenshot("inspector-dark")
        self.check_console()

    def test_the_page_fits_a_narrow_screen(self):
        self.addCleanup(self.browser.call, "POST", "/window/rect", {"width": 1180, "height": 1100})
        self.browser.call("POST", "/window/rect", {"width": 500, "height": 900})
        self.assertLessEqual(*self.browser.script(
            "return [document.documentElement.scrollWidth, window.innerWidth]"))
        self.screenshot("narrow")

    def screenshot(self, name):
        picture = self.browser.screenshot()
        self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
        self.assertGreater(len(picture), 10_000)
        if support.settings.out:
            os.makedirs(support.settings.out, exist_ok=True)
            path = f"{support.settings.out}/page-{support.settings.reactor}-{name}.png"
            with open(path, "wb") as f:
                f.write(picture)


class LostServer(support.unittest.TestCase):
    def test_the_page_says_when_the_server_is_gone_and_finds_it_again(self):
        with support.tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            first = support.Server()
            self.addCleanup(first.kill)
            browser = Browser(profile)
            try:
                browser.open(first.url + "/")
                browser.wait("document.body.dataset.refreshes >= 1")
                first.signal()
                self.assertEqual(first.end()[0], 0)
                browser.wait("document.body.classList.contains('lost')")
                second = support.Server("--port", str(first.port))
                self.addCleanup(second.kill)
                browser.wait("!document.body.classList.contains('lost')")
                second.signal()
                self.assertEqual(second.end()[0], 0)
            finally:
                browser.close()


if __name__ == "__main__":
    support.main()
