# SPDX-License-Identifier: MIT
"""`tools/cluster demo`: builds tools/examples/cluster_render as tools/serve builds its server, and becomes it."""
import os
import re
import subprocess
import sys
from pathlib import Path

from cluster_nats import Failed

ROOT = Path(__file__).resolve().parent.parent
TARGET = "example_cluster_render"


def run(command, what, log=None):
    with open(log, "w") if log else open(os.devnull) as out:
        if subprocess.run(command, stdout=out if log else sys.stderr).returncode:
            raise Failed(f"{what} failed, see above" + (f" and {log}" if log else ""))


def program():
    """Its path, once it is built."""
    compiler = os.environ.get("CXX") or "clang++-19"
    for_c = os.environ.get("CC") or re.sub(r"g\+\+(-[0-9]+)?$", r"gcc\1",
                                           re.sub(r"clang\+\+(-[0-9]+)?$", r"clang\1", compiler))
    folder = ROOT / "build" / f"serve-{os.path.basename(compiler)}"
    run([ROOT / "tools" / "setup", "build"], "installing packages")
    if not (folder / "build.ninja").exists():
        print(f"cluster: configuring {folder}; the first build takes some minutes", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        run(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
             f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_C_COMPILER={for_c}", "-DHEDDLE_BUILD_TESTS=OFF",
             "-DHEDDLE_BUILD_BENCH=OFF"], "configuring", folder / "configure.log")
    run(["cmake", "--build", folder, "--target", TARGET], "building", folder / "demo.log")
    return folder / "tools" / "examples" / "cluster_render" / "cluster_render"


def demo(words):
    path = str(program())
    os.execv(path, [path, *words])
