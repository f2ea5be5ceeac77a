#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The page of tools/examples/cluster_render in headless Chromium, while workers are killed."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import support
from browser import Browser

PATIENCE = 240


class ClusterDemoPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="heddle-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.browser = Browser(cls.dir + "/profile")
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.open("about:blank")
        self.browser.call("POST", "/se/log", {"type": "browser"})  # what other tests have left: their servers are gone

    def begin(self, *options):
        self.process = subprocess.Popen([support.settings.server, "--stay", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=support.die_with_parent,
                                        env=support.environment(HEDDLE_REACTOR=support.settings.reactor))
        for end in (self.process.stderr.close, self.process.stdout.close, self.process.wait, self.process.kill):
            self.addCleanup(end)
        self.url = re.search(r"http://[\d.:]+", self.process.stderr.readline())[0]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        out, errors = self.process.communicate(timeout=PATIENCE)
        self.assertEqual(self.process.returncode, 0, out + errors)

    def keep_screenshot(self, name):
        shot = self.browser.screenshot()
        self.assertGreater(len(shot), 10_000)
        if support.settings.out:
            os.makedirs(support.settings.out, exist_ok=True)
            with open(f"{support.settings.out}/cluster-{support.settings.reactor}-{name}.png", "wb") as f:
                f.write(shot)

    def text(self, name):
        return self.browser.script(f"return document.getElementById('{name}').textContent")

    def painted(self):
        """How many of 64 points of the picture have a colour."""
        return self.browser.script("""
            const c = document.getElementById('picture'), d = c.getContext('2d');
            let n = 0;
            for (let i = 0; i < 64; ++i) {
              const x = (i % 8 + .5) * c.width / 8, y = (Math.floor(i / 8) + .5) * c.height / 8;
              n += d.getImageData(x, y, 1, 1).data[3] === 255;
            }
            return n;""")

    def check_console(self):
        entries = self.browser.call("POST", "/se/log", {"type": "browser"})
        self.assertEqual([e for e in entries if e["level"] in ("SEVERE", "WARNING")], [])

    def test_tiles_fill_in_while_workers_are_killed_and_the_verdict_comes(self):
        self.begin("--tiles", "16", "--edge", "512", "--work", "100", "--kill-every", "400", "--server-kills", "1",
                   "--kill-server-every", "1500")
        self.browser.open(self.url)
        self.browser.wait("Number(document.body.dataset.ended) > 20")
        self.keep_screenshot("half")
        self.browser.wait("document.body.dataset.verdict")
        self.assertIn("Nothing lost, one outcome each", self.text("verdict"))
        self.assertEqual(self.text("ended"), "256/256")
        self.assertGreaterEqual(int(self.text("killed")), 1)
        self.assertEqual(self.painted(), 64)
        self.assertTrue(self.browser.script("return document.getElementById('kill-worker').disabled"))
        self.keep_screenshot("end")
        self.browser.prefer("dark")
        self.keep_screenshot("dark")
        self.browser.prefer("light")
        self.check_console()
        self.end()
        self.browser.wait("!document.getElementById('link').hidden")

    def test_buttons_kill_and_another_sites_page_may_not(self):
        self.begin("--tiles", "8", "--edge", "64", "--work", "60000", "--kills", "0", "--server-kills", "0",
                   "--ack-wait", "1000")
        self.browser.open(self.url)
        self.browser.wait("!document.getElementById('kill-worker').disabled")
        self.browser.click("kill-worker")
        self.browser.wait("document.getElementById('killed').textContent === '1'")
        self.browser.click("kill-server")
        self.browser.wait("document.getElementById('server-killed').textContent === '1'")
        foreign = support.curl(self.url + "/kill/worker", "-X", "POST", "-H", "Origin: http://elsewhere.example")
        self.assertIn("403", foreign.line)
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE)
        self.assertEqual(self.process.returncode, 130)

    def test_files_are_squares(self):
        data = self.dir + "/data"
        os.makedirs(data, exist_ok=True)
        for n in range(30):
            with open(f"{data}/{n}", "w") as f:
                f.write("x" * n)
        self.begin("--files", data, "--work", "20", "--workers", "0")
        self.browser.open(self.url)
        self.browser.wait("document.body.dataset.verdict")
        self.assertEqual(self.text("ended"), "30/30")
        self.assertIn("this process", self.text("workers"))
        self.keep_screenshot("files")
        self.check_console()
        self.end()


if __name__ == "__main__":
    support.main()
