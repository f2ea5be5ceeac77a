# SPDX-License-Identifier: MIT
"""Configures and builds the programs, and finds out which peers are there."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from harness import suites

ROOT = pathlib.Path(__file__).resolve().parents[2]


class BuildError(Exception):
    pass


@dataclass(frozen=True)
class Peer:
    version: str
    package: str  # Debian's, when it is missing


class Build:
    def __init__(self, folder, jobs, progress, foreign=None):
        """`foreign`: words of the commands of peers from outside the tree, by name."""
        self._foreign = foreign or {}
        self.folder = pathlib.Path(folder).resolve()
        self._jobs = jobs
        self._progress = progress
        self.peers = {}
        self.compiler = "a compiler that is not known"
        # /usr/sbin is not on every user's PATH.
        self.nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")

    def configure(self, settings=()):
        compiler = os.environ.get("CXX") or shutil.which("clang++-19")
        if compiler is None:
            raise BuildError("clang++-19 is not installed: tools/setup installs it, or set CXX")
        self.compiler = subprocess.run([compiler, "--version"], capture_output=True, text=True,
                                       check=True).stdout.splitlines()[0]
        compiler = shutil.which(compiler) or compiler
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        defined = ["CMAKE_BUILD_TYPE=Release", f"CMAKE_CXX_COMPILER={compiler}", "HEDDLE_NATIVE=ON",
                   "HEDDLE_BUILD_TESTS=OFF", "HEDDLE_BUILD_TOOLS=OFF", "HEDDLE_BUILD_BENCH=ON"]
        for_c = os.environ.get("CC") or shutil.which(compiler.replace("++", ""))
        if for_c is not None and "clang" in compiler:
            defined.append(f"CMAKE_C_COMPILER={for_c}")
        if not self._was_configured_with(compiler, for_c):
            (self.folder / "CMakeCache.txt").unlink(missing_ok=True)
        self._run(["cmake", "-S", str(ROOT), "-B", str(self.folder), *generator,
                   *(f"-D{d}" for d in (*defined, *settings))], "configuring")
        self.take_as_built()

    def take_as_built(self):
        """Reads what an earlier configure() has found."""
        found = self.folder / "bench" / "peers.txt"
        if not found.exists():
            raise BuildError(f"{self.folder} is not configured for bench/: run once without --as-built")
        for line in found.read_text().splitlines():
            name, version, package = line.split("\t")
            self.peers[name] = Peer(version, package)
        self.peers["nginx"] = self._nginx_peer()

    def _was_configured_with(self, *compilers):
        """False: cmake would start anew by itself, and forget all settings while doing so."""
        cache = self.folder / "CMakeCache.txt"
        words = set(re.split(r"[=\n]", cache.read_text())) if cache.exists() else set()
        return all(c is None or c in words for c in compilers)

    def program(self, name):
        """Path of a program, or None if it was not built."""
        path = self.folder / "bench" / "programs" / name
        return path if path.exists() else None

    def needed_program(self, name):
        """Path of a program without which nothing can be measured."""
        path = self.program(name)
        if path is None:
            raise BuildError(f"{self.folder} has no program {name}: run once without --as-built")
        return path

    def is_foreign(self, peer):
        return peer in self._foreign

    def command(self, item, peer):
        """How a peer's program for the item's problem begins, or None when it is not there."""
        if self.is_foreign(peer):
            words = self._foreign_words(item, peer)
            return words if shutil.which(words[0]) else None
        name, options = suites.program_of(item.problem, peer)
        command = self.command_named(peer, name)
        return command and [*command, *options]

    def command_named(self, peer, name):
        """The same by the name of the program."""
        found = self.peers.get(peer.partition(":")[0])
        path = self.program(name)
        return None if path is None or (found and found.package) else [str(path)]

    def _foreign_words(self, item, peer):
        return [word.replace("{problem}", item.problem).replace("{row}", item.name)
                for word in self._foreign[peer]]

    def build(self, names):
        """Builds those of the programs that the build knows; a compile error ends the bench."""
        known = self._known_targets()
        targets = [f"bench_{n}" for n in sorted(set(names)) if f"bench_{n}" in known]
        if targets:
            self._run(["cmake", "--build", str(self.folder), "--parallel", str(self._jobs),
                       "--target", *targets], f"building {len(targets)} programs")

    def why_missing(self, item, peer):
        if self.is_foreign(peer):
            return f"there is no program {self._foreign_words(item, peer)[0]}"
        return self.why_not_named(peer, suites.program_of(item.problem, peer)[0])

    def why_not_named(self, peer, program):
        found = self.peers.get(peer.partition(":")[0])
        if found is not None and found.package:
            return f"not installed (Debian package {found.package})"
        return f"the build has no {program}"

    def version_of(self, peer):
        found = self.peers.get(peer.partition(":")[0])
        return found.version if found else ""

    def _known_targets(self):
        text = subprocess.run(["cmake", "--build", str(self.folder), "--target", "help"],
                              capture_output=True, text=True, check=True).stdout
        return {word.rstrip(":") for line in text.splitlines() for word in line.split()}

    def _nginx_peer(self):
        if self.nginx is None:
            return Peer("", "nginx-light")
        told = subprocess.run([self.nginx, "-v"], capture_output=True, text=True, check=False)
        return Peer(told.stderr.strip().rpartition("/")[2] or "unknown", "")

    def _run(self, command, what):
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "bench-build.log"
        with log.open("w") as out:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True) as process:
                for line in process.stdout:
                    out.write(line)
                    self._progress.now(f"{what}: {line.rstrip()}")
        self._progress.clear()
        if process.returncode != 0:
            sys.stderr.write("".join(log.read_text().splitlines(keepends=True)[-40:]))
            raise BuildError(f"{what} failed; all of its output is in {log}")
