#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The page of `heddle trace --html` in headless Chromium, which has no network. --server is tests/inside's program, --client
the tool `heddle`."""
import json
import os
import signal
import subprocess
import time

import support
from browser import Browser

PATIENCE = 60


class TracePage(support.unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = support.tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        program = subprocess.Popen([support.settings.server, "traced", "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=support.environment(HEDDLE_TRACE="1"), preexec_fn=support.die_with_parent)
        cls.addClassCleanup(program.wait)
        cls.addClassCleanup(program.kill)
        program.stdout.readline()
        cls.page, cls.json = folder.name + "/trace.html", folder.name + "/trace.json"
        end = time.monotonic() + PATIENCE
        while True:  # until it has something to show
            cls.trace(program, cls.json)
            with open(cls.json, encoding="utf-8") as f:
                cls.events = json.load(f)["traceEvents"]
            if any(e["ph"] == "X" and e["cat"] == "span" and e["dur"] > 1000 for e in cls.events):
                break
            assert time.monotonic() < end, "it has recorded nothing"
        program.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WNOWAIT)
        cls.trace(program, cls.json)
        cls.trace(program, cls.page)
        with open(cls.json, encoding="utf-8") as f:
            cls.events = json.load(f)["traceEvents"]
        cls.browser = Browser(folder.name + "/profile")
        cls.addClassCleanup(cls.browser.close)

    @staticmethod
    def trace(program, path):
        subprocess.run([support.settings.client, "trace", str(program.pid), "--last", "1h", "-o", path],
                       check=True, stdout=subprocess.DEVNULL)

    def setUp(self):
        self.browser.open("file://" + self.page)
        self.browser.wait("document.body.dataset.frames > 0")

    def state(self, name):
        return self.browser.script("return document.body.dataset[arguments[0]]", name)

    def frame_after(self, script, *arguments):
        """Does it, and waits for the picture."""
        frames = int(self.state("frames"))
        self.browser.script(script, *arguments)
        self.browser.wait(f"document.body.dataset.frames > {frames}")

    def test_it_shows_what_the_other_forms_hold(self):
        self.assertEqual(int(self.state("items")), sum(e["ph"] in "Xi" for e in self.events))
        self.assertEqual(int(self.state("flows")), sum(e["ph"] == "s" for e in self.events))
        kinds = json.loads(self.state("kinds"))
        for kind in "step", "parked", "job", "span", "moment":
            self.assertEqual(kinds[kind], sum(e["ph"] in "Xi" and e["cat"] == kind for e in self.events), kind)
        self.assertGreater(int(self.state("drawn")), 0)
        entries = self.browser.call("POST", "/se/log", {"type": "browser"})
        self.assertEqual([e for e in entries if e["level"] in ("SEVERE", "WARNING")], [])
        self.screenshot("all")

    def test_search_finds_a_task_and_goes_to_it(self):
        wanted = sum(e["ph"] in "Xi" and "worker-1" in e.get("args", {}).get("task", "") for e in self.events)
        self.browser.type("search", "worker-1")
        self.browser.wait(f"document.body.dataset.hits == '{wanted}'")
        self.browser.type("search", "\ue007")
        self.browser.wait("document.body.dataset.selected >= 0")
        self.assertIn("worker-1", self.browser.script("return document.getElementById('foot').textContent"))
        shown = float(self.state("to")) - float(self.state("from"))
        self.assertLess(shown, self.browser.script("return data.length"))
        self.screenshot("found")

    def test_it_zooms_moves_and_goes_back(self):
        whole = self.browser.script("return data.length")
        press = "dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}))"
        self.frame_after(press, "w")
        nearer = float(self.state("to")) - float(self.state("from"))
        self.assertLess(nearer, whole)
        before = float(self.state("from"))
        self.frame_after(press, "d")
        self.assertGreater(float(self.state("from")), before)
        self.assertAlmostEqual(float(self.state("to")) - float(self.state("from")), nearer, delta=1)
        self.frame_after("""
            const box = canvas.getBoundingClientRect();
            canvas.dispatchEvent(new WheelEvent('wheel', {deltaY: -300, clientX: box.left + 600, clientY: box.top + 100, cancelable: true}));""")
        self.assertLess(float(self.state("to")) - float(self.state("from")), nearer)
        self.frame_after(press, "f")
        self.assertAlmostEqual(float(self.state("to")) - float(self.state("from")), whole, delta=1)

    def test_a_slice_under_the_mouse_is_told_with_its_task(self):
        told = self.browser.script("""
            const i = [...Array(count).keys()].find(i => kind(i) === STEP && task(i) && task(i)[1].startsWith('worker-') && length(i) > 1000);
            reveal(i);
            arrange();
            const t = tracks[track(i)];
            hover(x(begin(i) + length(i) / 2), TOP - view.scroll + t.y + laneOf[i] * LANE + LANE / 2 + 4);
            select(i);
            return [document.getElementById('tip').textContent, document.getElementById('foot').textContent, name(i)];""")
        for text in told[:2]:
            self.assertIn("worker-", text)
            self.assertIn("traced.cpp:", text)
            self.assertIn(told[2], text)

    def test_light_and_dark(self):
        pictures = set()
        for scheme in "light", "dark":
            self.browser.prefer(scheme)
            self.browser.open("file://" + self.page)
            self.browser.wait("document.body.dataset.frames > 0")
            pictures.add(self.browser.script("return getComputedStyle(document.body).backgroundColor"))
            self.screenshot(scheme)
        self.assertEqual(len(pictures), 2)
        before = self.browser.script("return getComputedStyle(document.body).backgroundColor")
        self.browser.click("theme")
        self.assertNotEqual(self.browser.script("return getComputedStyle(document.body).backgroundColor"), before)

    def screenshot(self, name):
        picture = self.browser.screenshot()
        self.assertGreater(len(picture), 10_000)
        if support.settings.out:
            os.makedirs(support.settings.out, exist_ok=True)
            with open(f"{support.settings.out}/trace-{name}.png", "wb") as f:
                f.write(picture)


if __name__ == "__main__":
    support.main()
