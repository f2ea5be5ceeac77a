#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""aiohttp's client."""
import asyncio
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common" / "python"))

from program import read_load_plan, run, show_load  # noqa: E402

import aiohttp  # noqa: E402


class Figures:
    def __init__(self):
        self.latencies = []
        self.answers = 0
        self.over = False


async def get_again_and_again(session, url, plan, figures):
    while not figures.over:
        began = time.perf_counter()
        async with session.get(url) as answer:
            body = await answer.read()
        if answer.status != 200 or len(body) != plan.bytes:
            sys.exit(f"client/aiohttp: status {answer.status}, {len(body)} bytes")
        figures.latencies.append(time.perf_counter() - began)
        figures.answers += 1


async def main(plan):
    figures = Figures()
    url = f"http://127.0.0.1:{plan.port}{plan.path}"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as s:
        tasks = [asyncio.create_task(get_again_and_again(s, url, plan, figures))
                 for _ in range(plan.connections)]
        await asyncio.sleep(plan.warm_up)
        figures.latencies.clear()
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(plan.seconds)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        show_load(figures.latencies, took, cpu, figures.answers)
        figures.over = True
        await asyncio.gather(*tasks)


if __name__ == "__main__":
    settings = read_load_plan()
    run(settings, main(settings))
