# SPDX-License-Identifier: MIT
"""One line on stderr that tells what goes on: rewritten on a terminal, seldom elsewhere."""
import sys
import time


class Progress:
    def __init__(self):
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._last = -1e9

    def now(self, text):
        since = time.monotonic() - self._started
        line = f"[{since:5.0f} s] {text}"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{line[:150]}")
        elif since - self._last >= 5:
            sys.stderr.write(line + "\n")
            self._last = since
        sys.stderr.flush()

    def say(self, text):
        """A line that stays."""
        self.clear()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def clear(self):
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
