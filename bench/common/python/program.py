# SPDX-License-Identifier: MIT
"""What the bench's programs in Python share: the options of the command line, the loop, the clock,
and JSON lines, the same as those of common/program.h."""
import argparse
import asyncio
import json
import sys
import time


def read_settings(default_size, size_means):
    p = argparse.ArgumentParser()
    p.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    p.add_argument("--threads", type=int, default=1, help="ignored: Python has one")
    p.add_argument("--size", type=int, default=default_size, help=size_means)
    p.add_argument("--repeat", type=int, default=1, help="runs or samples in this process")
    p.add_argument("--shape", default="sleep", help="memory only: what the tasks wait for")
    p.add_argument("--row", default="", help="primitives only: the row to measure")
    p.add_argument("--seconds", type=float, default=0.2, help="primitives only: of one sample")
    return p.parse_args()


def read_server_settings():
    p = argparse.ArgumentParser()
    p.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--threads", type=int, default=1, help="ignored: Python has one")
    return p.parse_args()


def read_load_plan():
    """The options of a client: those of load/plan.h that it needs."""
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=("http",))
    p.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--connections", type=int, default=64, help="requests in flight")
    p.add_argument("--bytes", type=int, default=64, help="of the body that is expected")
    p.add_argument("--path", default="/")
    p.add_argument("--seconds", type=float, default=0.6, help="that count")
    p.add_argument("--warm-up", type=float, default=0.15, help="seconds before them")
    return p.parse_args()


def show_load(latencies, took, cpu, answers):
    """Prints the line of a load: seconds of each answer that counts, of all of them, and of CPU."""
    ordered = sorted(latencies) or [0.0]

    def us(quantile):
        return round(ordered[min(int(quantile * len(ordered)), len(ordered) - 1)] * 1e6, 1)

    print(json.dumps(dict(rate=round(len(latencies) / took), p50_us=us(0.5), p99_us=us(0.99),
                          p999_us=us(0.999), client_cpu=round(cpu / took, 3), answers=answers)),
          flush=True)


def run(with_, main):
    """asyncio.run on the loop that was asked for."""
    if with_.loop == "uvloop":
        import uvloop
        uvloop.install()
    return asyncio.run(main)


def status_field_kb(field):
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))


def current_rss_kb():
    return status_field_kb("VmRSS:")


def show(problem, with_, took_ns, result, expected, **notes):
    """Prints the line of one run. A wrong result ends the process with 1."""
    print(json.dumps(dict(problem=problem, peer=with_.loop, threads=1, size=with_.size, ns=took_ns,
                          check=result, rss_kb=status_field_kb("VmHWM:"), **notes)), flush=True)
    if result != expected:
        sys.exit(f"{problem}/{with_.loop}: wrong result {result}, expected {expected}")


async def _measure(batch, times, least_ns):
    """Does it ever more often, until that takes `least_ns`; the last sample counts."""
    n = batch
    while True:
        took = await times(n)
        if took >= least_ns or n >= 1 << 30:
            return took / n, n
        n = (int(n * min(10, 1.4 * least_ns / (took + 1))) // batch + 1) * batch


async def _measure_rows(with_, rows):
    for name, (batch, times) in rows.items():
        for _ in range(with_.repeat):
            ns, n = await _measure(batch, times, with_.seconds * 1e9)
            print(json.dumps(dict(row=name, peer=with_.loop, threads=1, ns=round(ns, 2), times=n)),
                  flush=True)


def timed(do, batch=1):
    """A row that is `await do(n)` with nothing to set up; n is a multiple of `batch`."""
    async def times(n):
        began = time.perf_counter_ns()
        await do(n)
        return time.perf_counter_ns() - began
    return batch, times


def run_rows(rows_of):
    """Measures the row that the command line asks for, or all. `rows_of(many)`: {name: (batch, times)},
    where `await times(n)` does it n times, a multiple of batch, and returns the ns."""
    with_ = read_settings(1_000_000, "tasks or timers at once, in rows that have many")
    rows = rows_of(with_.size)
    if with_.row:
        rows = {name: row for name, row in rows.items() if name == with_.row}
    if not rows:
        sys.exit(f"no row {with_.row}")
    run(with_, _measure_rows(with_, rows))
