# SPDX-License-Identifier: MIT
"""The command line of bench/run."""
import argparse
import json
import os
import pathlib
import sys

from harness import build as build_module
from harness import compute, fairness, machine, micro, plots, report, servers, suites
from harness.progress import Progress
from harness.results import Suite

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
    p.add_argument("--only", metavar="NAMES", default="",
                   help="suites, problems or rows, separated by commas; --list shows them")
    p.add_argument("--list", action="store_true", help="show the names that --only takes")
    p.add_argument("--rounds", type=int,
                   help="alternating runs of each program, and samples of each server")
    p.add_argument("--json", metavar="FILE", type=pathlib.Path, help="write all samples")
    p.add_argument("--markdown", metavar="FILE", type=pathlib.Path,
                   help="write the tables as Markdown")
    p.add_argument("--plots", metavar="DIR", type=pathlib.Path, help="write one SVG a suite")
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
        a.effort = suites.Effort(**{**vars(a.effort), "rounds": a.rounds, "samples": a.rounds})
    a.plan = Plan(a.only, p)
    return a


class Plan:
    """What of the suites was asked for."""

    def __init__(self, only, parser):
        wanted = {w for w in only.split(",") if w}
        everything = self._names()
        unknown = wanted - everything
        if unknown:
            parser.error(f"--only knows no {', '.join(sorted(unknown))}; --list shows the names")

        def chosen(suite, items, names_of):
            return [i for i in items if not wanted or suite in wanted or wanted & names_of(i)]

        self.fork_join = chosen("fork-join", suites.FORK_JOIN, lambda p: {p.problem, p.name})
        self.memory = chosen("memory", suites.MEMORY, lambda p: {p.problem, p.name})
        self.servers = chosen("servers", suites.SERVERS, lambda s: {s.problem, s.name})
        self.fairness = chosen("fairness", suites.FAIRNESS, lambda s: {s.name})
        self.micro = chosen("micro", suites.MICRO, lambda name: {f"micro/{name}"})

    @staticmethod
    def _names():
        names = {"fork-join", "memory", "servers", "micro", *(f"micro/{m}" for m in suites.MICRO)}
        names |= {"fairness", *(s.name for s in suites.FAIRNESS)}
        for item in (*suites.FORK_JOIN, *suites.MEMORY, *suites.SERVERS):
            names |= {item.problem, item.name}
        return names

    @staticmethod
    def show():
        print("fork-join: " + " ".join(p.name for p in suites.FORK_JOIN))
        print("memory:    " + " ".join(p.name for p in suites.MEMORY))
        print("servers:   " + " ".join(s.name for s in suites.SERVERS))
        print("fairness:  " + " ".join(dict.fromkeys(s.name for s in suites.FAIRNESS)))
        print("micro:     " + " ".join(f"micro/{m}" for m in suites.MICRO))
        print("A problem's name without its number means all of its rows.")

    def programs(self):
        names = [f"{p.problem}_{peer}" for p in (*self.fork_join, *self.memory) for peer in p.peers]
        names += [f"{s.problem}_{peer.partition(':')[0]}" for s in self.servers for peer in s.peers]
        names += [f"fairness_{s.peer}" for s in self.fairness]
        names += ["load", "reference_server"] if self.servers else []
        return names + [f"micro_{m}" for m in self.micro]


def measure(plan, effort, build, progress):
    """The suites, one after the other, so that what is done can be shown as it comes."""
    if plan.fork_join:
        yield Suite("fork-join", "Fork and join",
                    "Time of one run, with peers in turns. Less is better.",
                    [compute.measure(p, effort, build, progress) for p in plan.fork_join])
    if plan.servers:
        yield Suite("servers", "Servers",
                    "Rate on one processor, with the load on another, as a ratio to a bare epoll "
                    "loop that parses nothing. More is better. CPU an answer is a ratio too.",
                    [servers.measure(s, effort, build, progress) for s in plan.servers])
    if plan.memory:
        yield Suite("memory", "Memory of a suspended task",
                    "Growth of the resident set. Less is better.",
                    [compute.measure(p, effort, build, progress) for p in plan.memory])
    if plan.fairness:
        yield Suite("fairness", "Fairness under storms",
                    "How late a 1 ms timer fires, and how long a ready socket waits to be served, "
                    "while tasks that fork or yield without end keep every loop busy. The aim is "
                    "for p99. Less is better.",
                    fairness.measure(plan.fairness, effort, build, progress))
    if plan.micro:
        yield Suite("micro", "Micro benchmarks",
                    "Time of one operation of heddle's. Less is better.",
                    [row for m in plan.micro for row in micro.measure(m, effort, build, progress)])


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
    build = build_module.Build(a.build_dir, a.jobs, progress)
    try:
        build.configure(a.settings)
        build.build(a.plan.programs())
        facts = machine.describe(build, build_module.ROOT, a.effort)
        print(machine.in_words(facts) + "\n", flush=True)
        done = []
        for suite in measure(a.plan, a.effort, build, progress):
            progress.clear()
            print(report.as_text(suite), flush=True)
            done.append(suite)
    except (build_module.BuildError, servers.ServerError) as e:
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
