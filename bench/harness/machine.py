# SPDX-License-Identifier: MIT
"""What was measured on and with: figures mean nothing without it."""
import datetime
import os
import pathlib
import platform
import re
import subprocess


def _cpu_model():
    found = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def _commit(root):
    def git(*words):
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True,
                              check=False).stdout
    name = git("rev-parse", "--short", "HEAD").strip()
    changed = git("status", "--porcelain", "--untracked-files=no").strip()
    return (name or "unknown") + (" with local changes" if changed else "")


def describe(build, root, effort):
    return dict(
        date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        cpu=_cpu_model(),
        processors=len(os.sched_getaffinity(0)),
        virtual="hypervisor" in pathlib.Path("/proc/cpuinfo").read_text(),
        kernel=platform.release(),
        compiler=build.compiler,
        flags="-O3 -march=native, the same for all programs",
        commit=_commit(root),
        effort=effort.name,
        load_at_start=round(os.getloadavg()[0], 2),
        peers={name: p.version for name, p in sorted(build.peers.items()) if p.version},
    )


def in_words(machine):
    kind = ", virtual machine" if machine["virtual"] else ""
    return (f"{machine['date']}, commit {machine['commit']}, {machine['processors']} processors "
            f"({machine['cpu']}{kind}), Linux {machine['kernel']}, {machine['compiler']}, "
            f"{machine['flags']}; effort {machine['effort']}, "
            f"load at the start {machine['load_at_start']}.")
