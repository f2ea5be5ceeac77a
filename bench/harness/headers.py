# SPDX-License-Identifier: MIT
"""What a compiler pays for each public header, and for the first program of the README."""
import argparse
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

from harness.build import ROOT
from harness.progress import Progress

DESCRIPTION = """Compiles a program of one line for each public header, and the first program of the project's
README, and tells the user time of the compiler: the median of several rounds in turns. A
program of <string> alone stands beside them, since most of a small header's time is the standard
library's. Headers are only read (-fsyntax-only); the program is compiled whole, with -O2. Have
nothing else run meanwhile.
"""

VIEW = pathlib.Path("view") / "public"
STANDARD = "<string> alone"
PROGRAM = "the first program, -O2"


class CannotMeasure(Exception):
    pass


def public_headers():
    """Those that users include: listed, and not internal."""
    lines = (ROOT / "cmake" / "public_headers.txt").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return [w[0] for w in words if "internal" not in w[1:]]


def first_program():
    found = re.search(r"```cpp\n(.*?int main\(\).*?)```", (ROOT / "README.md").read_text(), re.S)
    if found is None:
        raise CannotMeasure("README.md has no first program: a block of cpp with main()")
    return found[1]


def user_seconds(command, source, folder):
    """User time of one compilation."""
    path = folder / "program.cpp"
    path.write_text(source)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, cwd=folder)
    if done.returncode != 0:
        raise CannotMeasure(f"it does not compile:\n{source}\n{done.stderr[-2000:]}")
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def prepared_view(folder, compiler):
    """The directory of public headers. CMake makes it; nothing is built."""
    done = subprocess.run(
        ["cmake", "-S", str(ROOT), "-B", str(folder), f"-DCMAKE_CXX_COMPILER={compiler}",
         "-DCMAKE_BUILD_TYPE=Release", "-DHEDDLE_BUILD_TESTS=OFF", "-DHEDDLE_BUILD_BENCH=OFF",
         "-DHEDDLE_BUILD_TOOLS=OFF"], capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotMeasure(f"cmake failed: {done.stderr[-2000:]}")
    return folder / VIEW


def measure(compiler, view, rounds, only, progress):
    """Milliseconds by title, in the order of the table."""
    flags = [compiler, "-std=c++20", "-DFMT_SHARED", "-I", str(view)]
    reading, whole = [*flags, "-fsyntax-only"], [*flags, "-O2", "-c", "-o", os.devnull]
    items = {STANDARD: (reading, "#include <string>\n"), PROGRAM: (whole, first_program())}
    for header in ["heddle.h", *public_headers()]:
        items[f"<heddle/{header}>"] = (reading, f"#include <heddle/{header}>\n")
    items = {title: item for title, item in items.items()
             if title == STANDARD or not only or any(word in title for word in only)}
    if len(items) == 1:
        raise CannotMeasure(f"no public header has {' or '.join(only)} in its path "
                            "(cmake/public_headers.txt lists them)")
    found = {title: [] for title in items}
    with tempfile.TemporaryDirectory(prefix="heddle-headers-") as name:
        for number in range(rounds):
            for title, (command, source) in items.items():
                progress.now(f"round {number + 1} of {rounds}: {title}")
                found[title].append(1000 * user_seconds(command, source, pathlib.Path(name)))
    progress.clear()
    return {title: statistics.median(times) for title, times in found.items()}


def table(found):
    lines = ["| what | ms | above `<string>` |", "| --- | ---: | ---: |"]
    for title, ms in sorted(found.items(), key=lambda item: -item[1]):
        above = "" if title == STANDARD else f"{ms - found[STANDARD]:.0f}"
        lines.append(f"| `{title}` | {ms:.0f} | {above} |")
    return "\n".join(lines)


def parse(words):
    p = argparse.ArgumentParser(prog="bench/headers", description=DESCRIPTION,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("only", nargs="*", metavar="PART",
                   help="only headers in whose path this is, such as sync/; default: all")
    p.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    p.add_argument("--build-dir", metavar="DIR", type=pathlib.Path,
                   default=ROOT / "build" / "headers")
    options = p.parse_args(words)
    if options.rounds < 1:
        p.error("--rounds must be at least 1")
    return options


def main(words=None):
    options = parse(words)
    compiler = os.environ.get("CXX") or shutil.which("clang++-19")
    if compiler is None:
        sys.stderr.write("bench/headers: clang++-19 is not installed: tools/setup installs it, or set CXX\n")
        return 1
    try:
        view = prepared_view(options.build_dir.resolve(), compiler)
        print(table(measure(compiler, view, options.rounds, options.only, Progress())))
    except CannotMeasure as e:
        sys.stderr.write(f"bench/headers: {e}\n")
        return 1
    return 0
