#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Celery on Redis, the same work as cluster/heddle.cpp: an empty task, and its stored result.

A worker runs its tasks one after the other in its own thread (the pool "solo"), which is Celery's
quickest for tasks that do nothing; so --slots is ignored. Tasks are acknowledged late, as heddle's
jobs are: one whose worker dies is run again.
"""
import argparse
import collections
import json
import sys
import time

from celery import Celery
from celery.exceptions import TimeoutError as LateError

PATIENCE = 30  # seconds for one result


def app_of(port):
    redis = f"redis://127.0.0.1:{port}/0"
    app = Celery("bench", broker=redis, backend=redis)
    app.conf.update(task_acks_late=True, worker_prefetch_multiplier=64, task_ignore_result=False,
                    broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)

    @app.task(name="nothing")
    def nothing(n):
        return n

    return app, nothing


def serve(port):
    app, _ = app_of(port)
    app.worker_main(["worker", "--pool=solo", "--loglevel=ERROR", "--without-gossip",
                     "--without-mingle"])


def call(port, in_flight, warm_up, seconds):
    _, nothing = app_of(port)
    if nothing.delay(1).get(timeout=PATIENCE) != 1:  # workers are there
        sys.exit("cluster/python: another's result has come")
    begin = time.monotonic() + warm_up
    end = begin + seconds
    took = []
    under_way = collections.deque()
    while True:
        while len(under_way) < in_flight:
            under_way.append((time.monotonic(), nothing.delay(1)))
        began, result = under_way.popleft()
        got = result.get(timeout=PATIENCE, interval=0.001)
        now = time.monotonic()
        if got != 1:
            sys.exit("cluster/python: another's result has come")
        if now >= end:
            break
        if now >= begin:  # what began before counts too: it may take as long as the sample
            took.append(now - began)
    took.sort()

    def us(quantile):
        return round(took[min(int(quantile * len(took)), len(took) - 1)] * 1e6, 1) if took else 0

    print(json.dumps(dict(rate=round(len(took) / seconds, 1), p50_us=us(0.5), p99_us=us(0.99),
                          calls=len(took))))


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--serve", action="store_true", help="be a worker")
    p.add_argument("--port", type=int, required=True, help="of Redis, on 127.0.0.1")
    p.add_argument("--slots", type=int, default=1, help="ignored")
    p.add_argument("--in-flight", type=int, default=1)
    p.add_argument("--warm-up", type=float, default=0.3, help="seconds before those that count")
    p.add_argument("--seconds", type=float, default=1)
    a = p.parse_args()
    if a.serve:
        return serve(a.port)
    try:
        return call(a.port, a.in_flight, a.warm_up, a.seconds)
    except LateError:
        sys.exit(f"cluster/python: no result within {PATIENCE} s")


if __name__ == "__main__":
    sys.exit(main())
