# SPDX-License-Identifier: MIT
"""The command line of bench/run."""
import argparse
import dataclasses
import json
import os
import pathlib
import re
import shlex
import sys

from harness import build as build_module
from harness import (calls, clients, compute, connections, counts, fairness, machine, micro, model, plots,
                     primitives, report, servers, suites)
from harness.process import ServerError
from harness.progress import Progress
from harness.results import SuiteResult

# Each has programs(item), the names of what is to be built, and
# measure(items, effort, build, progress), the rows.
KINDS = {"calls": calls, "clients": clients, "compute": compute, "connections": connections, "counts": counts,
         "fairness": fairness, "micro": micro, "model": model, "primitives": primitives,
         "servers": servers}

DESCRIPTION = """Measures heddle against its peers on this machine, prints tables, and writes JSON,
Markdown and plots.

Builds what it needs (release, clang++-19 or $CXX) in build/bench. Peers take turns; figures are
medians, and what is claimed is a ratio to a peer in the same run. A peer that is not installed is
skipped with a message. Servers listen on 127.0.0.1 only. Have nothing else run meanwhile: the
output tells the load of the machine at the start.
"""


def parse(words):
    p = argparse.ArgumentParser(prog="bench/run", description=DESCRIPTION,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    effort = p.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_true",
                        help="smaller sizes and fewer rounds: within two minutes")
    effort.add_argument("--smoke", action="store_true",
                        help="tiny sizes, one round: proves only that programs run and are right")
    p.add_argument("names", nargs="*", metavar="NAME", help="the same as --only NAME,...")
    p.add_argument("--only", metavar="NAMES", default="",
                   help="suites, problems or rows, separated by commas; --list shows them")
    p.add_argument("--list", action="store_true", help="show the names that --only takes")
    p.add_argument("--rounds", type=int,
                   help="alternating runs of each program, and samples of each server")
    p.add_argument("--json", metavar="FILE", type=pathlib.Path, help="write all samples")
    p.add_argument("--markdown", metavar="FILE", type=pathlib.Path,
                   help="write the tables as Markdown")
    p.add_argument("--plots", metavar="DIR", type=pathlib.Path, help="write one SVG a suite")
    p.add_argument("--also", metavar="NAME=COMMAND", action="append", default=[], type=foreign,
                   help="measure a program from outside the tree beside the peers; it keeps to the "
                        "protocol of bench/README.md. {problem} and {row} in it are replaced")
    p.add_argument("--as-built", action="store_true",
                   help="configure and build nothing; take the programs as they are")
    p.add_argument("--build-dir", metavar="DIR", type=pathlib.Path,
                   default=build_module.ROOT / "build" / "bench")
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at once")
    p.add_argument("-D", dest="settings", metavar="NAME=VALUE", action="append", default=[],
                   help="a setting for cmake, such as HEDDLE_BOOST_INCLUDE=/opt/boost/include")
    a = p.parse_args(words)
    if a.rounds is not None and a.rounds < 1:
        p.error("--rounds must be 1 or more")
    a.effort = suites.SMOKE if a.smoke else suites.QUICK if a.quick else suites.FULL
    if a.rounds:
        a.effort = dataclasses.replace(a.effort, rounds=a.rounds, samples=a.rounds,
                                       primitive_rounds=a.rounds)
    a.also = dict(a.also)
    a.plan = Plan([*a.only.split(","), *a.names], a.effort, p, tuple(a.also))
    return a


def foreign(text):
    """(name, words of the command) of a peer from outside."""
    name, equals, command = text.partition("=")
    words = shlex.split(command)
    if not equals or not words or not re.fullmatch(r"[\w.+-]+", name):
        raise argparse.ArgumentTypeError(f"no NAME=COMMAND: {text}")
    if name in suites.TITLES:
        raise argparse.ArgumentTypeError(f"{name} is a peer of the bench already")
    return name, words


class Plan:
    """What of the suites was asked for: pairs of a suite and its items."""

    def __init__(self, only, effort, parser, also=()):
        """`also`: peers from outside, which take part in every row that has peers."""
        wanted = {w for words in only for w in words.split(",") if w}
        unknown = wanted - {n for suite in suites.SUITES for n in self._names(suite)}
        if unknown:
            parser.error(f"--only knows no {', '.join(sorted(unknown))}; --list shows the names")
        self.chosen = []
        for suite in suites.SUITES:
            items = [i for i in suite.items if effort.name in i.efforts and
                     (not wanted or wanted & {suite.name, i.problem, i.name})]
            if items:
                self.chosen.append((suite, [self._with(i, also) for i in items]))

    @staticmethod
    def _with(item, also):
        if not also or not hasattr(item, "peers"):
            return item
        return dataclasses.replace(item, peers=(*item.peers, *also))

    @staticmethod
    def _names(suite):
        return {suite.name}.union(*({i.problem, i.name} for i in suite.items))

    @staticmethod
    def show():
        for suite in suites.SUITES:
            print(f"{suite.name + ':':11} " + " ".join(dict.fromkeys(i.name for i in suite.items)))
        print("A problem's name without what follows the - means all of its rows.")

    def programs(self):
        return [name for suite, items in self.chosen for item in items
                for name in KINDS[suite.kind].programs(item)]


def measure(plan, effort, build, progress):
    """The suites, one after the other, so that what is done can be shown as it comes."""
    for suite, items in plan.chosen:
        rows = KINDS[suite.kind].measure(items, effort, build, progress)
        yield SuiteResult(suite.name, suite.title, suite.explanation, rows)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_plots(folder, done, facts):
    """Paths by suite."""
    written = {}
    note = (f"{facts['cpu']}, {facts['processors']} processors, {facts['date']}, "
            f"commit {facts['commit']}")
    for suite in done:
        picture = plots.picture_of(suite, note)
        if picture is not None:
            written[suite.name] = folder / f"{suite.name}.svg"
            write(written[suite.name], picture)
    return written


def main(words=None):
    a = parse(words)
    if a.list:
        Plan.show()
        return 0
    progress = Progress()
    build = build_module.Build(a.build_dir, a.jobs, progress, a.also)
    try:
        if a.as_built:
            build.take_as_built()
        else:
            build.configure(a.settings)
            build.build(a.plan.programs())
        facts = machine.describe(build, build_module.ROOT, a.effort)
        print(machine.in_words(facts) + "\n", flush=True)
        done = []
        for suite in measure(a.plan, a.effort, build, progress):
            progress.clear()
            print(report.as_text(suite), flush=True)
            done.append(suite)
    except (build_module.BuildError, ServerError) as e:
        progress.clear()
        sys.stderr.write(f"bench/run: {e}\n")
        return 1
    except KeyboardInterrupt:
        progress.clear()
        sys.stderr.write("bench/run: interrupted\n")
        return 130
    pictures = write_plots(a.plots, done, facts) if a.plots else {}
    if a.json:
        write(a.json, json.dumps(report.as_json(done, facts), indent=1, ensure_ascii=False) + "\n")
    if a.markdown:
        beside = {name: os.path.relpath(p, a.markdown.parent) for name, p in pictures.items()}
        write(a.markdown, report.as_markdown(done, facts, beside))
    failed = [f"{row.title}: {peer}: {why}"
              for s in done for row in s.rows for peer, why in row.failed.items()]
    for line in failed:
        sys.stderr.write(f"bench/run: failed: {line}\n")
    return 1 if failed else 0
