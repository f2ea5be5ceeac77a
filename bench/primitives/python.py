#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What tasks, queues, locks and timers cost in asyncio, and with uvloop beneath it (--loop)."""
import asyncio
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common" / "python"))

from program import run_rows, timed  # noqa: E402

HOUR = 3600


async def give(value):
    return value


async def plain_await(n):
    for _ in range(n):
        await give(1)


async def create_and_await(n):
    for _ in range(n):
        await asyncio.create_task(give(1))


def create_many(many):
    async def times(n):
        for _ in range(n // many):
            tasks = [asyncio.create_task(give(i)) for i in range(many)]
            for task in tasks:
                await task
    return timed(times, many)


async def yield_times(n):
    for _ in range(n):
        await asyncio.sleep(0)


async def yield_among_four(n):
    await asyncio.gather(*(yield_times(n // 4 + 1) for _ in range(4)))


async def queue_of_1024(n):
    queue = asyncio.Queue(1024)

    async def produce():
        for i in range(n):
            await queue.put(i)

    async def consume():
        for _ in range(n):
            await queue.get()

    await asyncio.gather(produce(), consume())


async def queue_of_one_round_trip(n):
    pings, pongs = asyncio.Queue(1), asyncio.Queue(1)

    async def send():
        for i in range(n):
            await pings.put(i)
            await pongs.get()

    async def answer():
        for _ in range(n):
            await pongs.put(await pings.get())

    await asyncio.gather(send(), answer())


async def mutex_among_four(n):
    """With one thread nobody would ever wait, so the holder lets the others run once."""
    lock = asyncio.Lock()

    async def lock_times(times):
        for _ in range(times):
            async with lock:
                await asyncio.sleep(0)

    await asyncio.gather(*(lock_times(n // 4 + 1) for _ in range(4)))


async def mutex_alone(n):
    lock = asyncio.Lock()
    for _ in range(n):
        async with lock:
            pass


def arm_and_cancel_among(many):
    others = []

    async def times(n):
        loop = asyncio.get_running_loop()
        while len(others) < many:
            later = HOUR + len(others) * 7919 % many / 1e6
            others.append(loop.call_later(later, print))
        began = time.perf_counter_ns()
        for i in range(n):
            loop.call_later(HOUR + i % (many + 1) / 1e6, print).cancel()
        return time.perf_counter_ns() - began
    return 1, times


async def timeout_around_a_yield(n):
    for _ in range(n):
        async with asyncio.timeout(HOUR):
            await asyncio.sleep(0)


def one():
    return 1


async def to_thread_round_trip(n):
    for _ in range(n):
        await asyncio.to_thread(one)


async def to_thread_64_at_once(n):
    for _ in range(n // 64):
        await asyncio.gather(*(asyncio.to_thread(one) for _ in range(64)))


def rows(many):
    return {
        "plain_co_await": timed(plain_await),
        "create_task_and_await": timed(create_and_await),
        "create_many_then_await": create_many(many),
        "yield_among_four": timed(yield_among_four),
        "queue_of_1024": timed(queue_of_1024),
        "queue_of_one_round_trip": timed(queue_of_one_round_trip),
        "mutex_among_four": timed(mutex_among_four),
        "mutex_alone": timed(mutex_alone),
        "timer_arm_and_cancel_among_1e6": arm_and_cancel_among(many),
        "timeout_around_a_yield": timed(timeout_around_a_yield),
        "to_thread_round_trip": timed(to_thread_round_trip),
        "to_thread_64_at_once": timed(to_thread_64_at_once, 64),
    }


if __name__ == "__main__":
    run_rows(rows)
