#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The page of `tools/cluster top --page` in headless Chromium: a cluster at work, and one whose server is gone.

--server is tools/examples/cluster_render, whose processes are the cluster; --client is tools/cluster.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import support
from browser import Browser

PATIENCE = 120


class ClusterPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="heddle-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.browser = Browser(cls.dir + "/profile")
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.open("about:blank")

    def start(self, *command, **pipes):
        process = subprocess.Popen(command, text=True, preexec_fn=support.die_with_parent,
                                   env=support.environment(HOME=self.dir, HEDDLE_REACTOR=support.settings.reactor), **pipes)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                self.addCleanup(pipe.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def open_page(self, cluster):
        page = self.start("/usr/bin/python3", "-B", support.settings.client, "top", "--cluster", cluster, "--page",
                          "127.0.0.1:0", stdout=subprocess.PIPE)
        self.browser.open(re.search(r"http://\S+", page.stdout.readline())[0])
        return page

    def demonstration(self):
        """(process, URL of its cluster)"""
        process = self.start(support.settings.server, "--tiles", "16", "--edge", "64", "--work", "60000", "--kills", "0",
                             "--server-kills", "0", stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        process.stderr.readline()  # its page: the server is up
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                        parent = int(f.read().rpartition(")")[2].split()[1])
                    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as f:
                        words = f.read().split("\0")
                except OSError:
                    continue
                if parent == process.pid and "--serve" in words:
                    return process, words[words.index("--serve") + 1].partition("?")[0]
            time.sleep(0.02)
        raise AssertionError("no worker was started")

    def text(self, name):
        return self.browser.script(f"return document.getElementById('{name}').textContent")

    def test_workers_queues_and_jobs_are_shown_and_so_is_the_servers_end(self):
        demonstration, url = self.demonstration()
        page = self.open_page(url)
        self.browser.wait("document.getElementById('running').textContent === '6'")
        self.assertEqual(self.text("name"), "render")
        self.assertEqual(self.text("workers"), "3")
        self.assertEqual(self.text("slots"), "0")
        self.assertIn("render_tile.1", self.text("jobs"))
        self.assertIn("default", self.text("queues"))
        self.browser.wait("document.querySelector('#jobs progress').value === 0.5")
        shot = self.browser.screenshot()
        if support.settings.out:
            os.makedirs(support.settings.out, exist_ok=True)
            with open(f"{support.settings.out}/cluster-page-{support.settings.reactor}.png", "wb") as f:
                f.write(shot)
        demonstration.send_signal(signal.SIGTERM)
        demonstration.wait(timeout=PATIENCE)
        self.browser.wait("document.body.dataset.state === 'trouble'")
        self.browser.wait("document.getElementById('trouble').textContent.includes('no server answers')")
        page.send_signal(signal.SIGTERM)
        self.assertEqual(page.wait(timeout=PATIENCE), 0)

    def test_without_a_server_the_page_says_so(self):
        with socket.socket() as s:  # bound, and nobody listens: no other process can have the port
            s.bind(("127.0.0.1", 0))
            self.open_page(f"nats://127.0.0.1:{s.getsockname()[1]}/none")
            self.browser.wait("document.body.dataset.state === 'trouble'")
            self.assertIn("no server answers: 127.0.0.1", self.text("trouble"))

    def test_what_is_wrong_is_named(self):
        for words, text in ((("--cluster", "nats://127.0.0.1:1/x", "--page", "nowhere"), "--page takes HOST:PORT"),
                            (("--page", "127.0.0.1:0"), "no cluster: set HEDDLE_CLUSTER")):
            env = support.environment(HOME=self.dir)
            env.pop("HEDDLE_CLUSTER", None)
            env.pop("XDG_STATE_HOME", None)
            done = subprocess.run(["/usr/bin/python3", "-B", support.settings.client, "top", *words], capture_output=True,
                                  text=True, env=env, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    support.main()
