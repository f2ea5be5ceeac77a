#!/usr/bin/python3
# SPDX-License-Identifier: MIT
import asyncio
import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common" / "python"))

from program import current_rss_kb, read_settings, run, show  # noqa: E402

asleep = 0


async def waiter(wait, *args):
    global asleep
    asleep += 1
    await wait(*args)


async def result_of(future):
    await future


async def main(with_):
    empty, held = asyncio.Queue(1), asyncio.Lock()
    await held.acquire()
    loop = asyncio.get_running_loop()
    shapes = {
        "sleep": lambda: asyncio.create_task(waiter(asyncio.sleep, 3600)),
        "queue": lambda: asyncio.create_task(waiter(empty.get)),
        "mutex": lambda: asyncio.create_task(waiter(held.acquire)),
        "future": lambda: asyncio.create_task(waiter(result_of, loop.create_future())),
    }
    if with_.shape not in shapes:
        sys.exit(f"no shape {with_.shape}")
    start = shapes[with_.shape]
    before = current_rss_kb()
    began = time.perf_counter_ns()
    tasks = [start() for _ in range(with_.size)]
    while asleep < with_.size:
        await asyncio.sleep(0)
    took = time.perf_counter_ns() - began
    each = (current_rss_kb() - before) * 1024 / len(tasks)
    show("memory", with_, took, asleep, with_.size, bytes_per_task=round(each, 1))
    os._exit(0)  # without ending them one by one


if __name__ == "__main__":
    settings = read_settings(1_000_000, "suspended tasks")
    run(settings, main(settings))
