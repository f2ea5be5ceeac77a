# SPDX-License-Identifier: MIT
"""Headless Chromium, driven through chromedriver's own protocol. The standard library is all it needs."""
import base64
import json
import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request

import support

# Nothing here may ask anybody but the server: no updates, no telemetry, no names resolved.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--no-proxy-server", "--window-size=1180,1100",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]

# For one answer of the driver. A browser that starts on a busy machine takes its time; ctest's time-out is shorter
# than the sum of all that may take so long.
PATIENCE = 120


class Browser:
    def __init__(self, profile):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                       preexec_fn=support.die_with_parent)
        self.session = ""
        for line in self.driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                self.base = f"http://127.0.0.1:{found[1]}"
                break
        else:
            raise AssertionError("chromedriver did not start")
        # It must not block on a full pipe.
        self.reader = threading.Thread(target=self.driver.stdout.read, daemon=True)
        self.reader.start()
        options = {"binary": "/usr/bin/chromium", "args": [*FLAGS, "--user-data-dir=" + profile]}
        try:
            self.session = "/session/" + self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})["sessionId"]
        except BaseException:
            self.close()  # no browser outlives a test that could not use it
            raise

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + self.session + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with no_proxy.open(request, timeout=PATIENCE + 10) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise AssertionError(f"{method} {path}: {e.read().decode()}") from None

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def script(self, text, *arguments):
        return self.call("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def element(self, element_id):
        found = self.call("POST", "/element", {"using": "css selector", "value": "#" + element_id})
        return f"/element/{next(iter(found.values()))}"

    def click(self, element_id):
        self.call("POST", self.element(element_id) + "/click", {})

    def type(self, element_id, text):
        """Types into a field; into one for files, the path of a file. "\ue007" is the key Enter."""
        self.call("POST", self.element(element_id) + "/value", {"text": text})

    def window(self):
        return self.call("GET", "/window")

    def close_other_windows(self, kept):
        for handle in self.call("GET", "/window/handles"):
            if handle != kept:
                self.use_window(handle)
                self.call("DELETE", "/window")
        self.use_window(kept)

    def open_window(self):
        """Another window of the same browser. What is called next goes to it."""
        self.use_window(self.call("POST", "/window/new", {"type": "window"})["handle"])

    def use_window(self, handle):
        self.call("POST", "/window", {"handle": handle})

    def prefer(self, scheme):
        """"light" or "dark": what the page is told of its reader's taste."""
        self.call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]}})

    def screenshot(self):
        """A PNG."""
        return base64.b64decode(self.call("GET", "/screenshot"))

    def wait(self, condition, seconds=PATIENCE):
        """Until a JavaScript expression is true."""
        self.call("POST", "/timeouts", {"script": seconds * 1000})
        self.call("POST", "/execute/async", {"args": [], "script": f"""
            const done = arguments[0];
            const look = () => ({condition}) ? done(true) : setTimeout(look, 10);
            look();"""})

    def close(self):
        try:
            if self.session:
                self.call("DELETE", "")
        finally:
            os.killpg(self.driver.pid, signal.SIGTERM)  # its own group, started above
            self.driver.wait()
            self.reader.join()
            self.driver.stdout.close()
