# SPDX-License-Identifier: MIT
"""What is measured: the one table of problems, sizes, peers and aims."""
from dataclasses import dataclass

# Sizes by effort. smoke proves that everything builds, runs and checks its result; its figures mean
# nothing.
EFFORTS = ("full", "quick", "smoke")


@dataclass(frozen=True)
class Effort:
    name: str
    rounds: int  # of alternating runs
    samples: int  # of a server
    seconds: float  # of one sample of a server
    micro_seconds: float  # of one repetition of a micro benchmark
    micro_repetitions: int


FULL = Effort("full", rounds=5, samples=7, seconds=0.6, micro_seconds=0.5, micro_repetitions=5)
QUICK = Effort("quick", rounds=3, samples=3, seconds=0.3, micro_seconds=0.05, micro_repetitions=3)
SMOKE = Effort("smoke", rounds=1, samples=1, seconds=0.05, micro_seconds=0.01, micro_repetitions=1)


@dataclass(frozen=True)
class Problem:
    """Programs that end, named programs/<problem>_<peer>. sizes: one for each effort."""

    problem: str
    title: str  # with {size}
    sizes: tuple
    threads: int
    peers: tuple
    aim: str = ""

    @property
    def name(self):
        return f"{self.problem}-{self.threads}"


@dataclass(frozen=True)
class Served:
    """Servers under a closed-loop load. Variants of one program are written peer:option."""

    problem: str
    title: str
    connections: int
    depth: int
    peers: tuple
    aim: str = ""

    @property
    def name(self):
        return f"{self.problem}-{self.connections}" + (f"x{self.depth}" if self.depth > 1 else "")


BOTH = ("heddle", "onetbb")
FORK_JOIN = (
    Problem("fib", "fib({size}), 2 threads", (35, 30, 20), 2, BOTH, "6x oneTBB"),
    Problem("skynet", "skynet({size}), 2 threads", (1_000_000, 100_000, 1000), 2, BOTH,
            "4x oneTBB"),
    Problem("nqueens", "nqueens({size}), 2 threads", (14, 12, 6), 2, BOTH, "1.6x oneTBB"),
    Problem("matmul", "matmul({size}), 2 threads", (2048, 1024, 64), 2, BOTH, "1.2x oneTBB"),
    Problem("fib", "fib({size}), 1 thread", (35, 30, 20), 1, BOTH, "6x oneTBB"),
)

MEMORY = (
    Problem("memory", "{size} sleeping tasks", (1_000_000, 100_000, 1000), 1, ("heddle", "asio"),
            "256 bytes"),
)

ECHO = ("heddle", "heddle:uring", "asio")
HTTP = ("heddle", "heddle:uring", "nginx", "beast", "asio_bare")
SERVERS = (
    Served("echo", "echo 64 B, 64 connections", 64, 1, ECHO, "1.00"),
    Served("echo", "echo 64 B, 1000 connections", 1000, 1, ECHO, "1.10"),
    Served("http", "HTTP plaintext, 64 connections", 64, 1, HTTP, "0.92"),
    Served("http", "HTTP plaintext, 64 connections, 16 pipelined", 64, 16, HTTP, "0.55"),
)


@dataclass(frozen=True)
class Storm:
    """A storm of programs/fairness_<peer>: a row for the timer and one for the socket."""

    storm: str  # as the program names it
    title: str
    threads: int
    peer: str = "heddle"

    @property
    def name(self):
        return f"fairness-{self.threads}"


FAIRNESS_MS = (1000, 300, 60)  # of each storm, by effort
FAIRNESS_AIMS = {"timer": "1 ms", "socket": "2 ms"}  # at p99
FAIRNESS = tuple(
    Storm(storm, title.format(n="1 loop" if n == 1 else f"{n} loops"), n, peer)
    for n in (1, 2)
    for storm, title, peer in (
        ("forks", "forks, {n}", "heddle"),
        ("working forks", "forks with 1 µs of work, {n}", "heddle"),
        ("yields", "yields, {n}", "heddle"),
        ("forks and yields", "forks and yields, {n}", "heddle"),
        ("threads", "the kernel alone, {n} replaced by threads", "threads")))

MICRO = ("tasks", "sync", "loops", "parts")  # programs/micro_<name>

# By benchmark, with its argument.
MICRO_AIMS = {
    "plain_co_await/loops:2": "12 ns",
    "create_task_and_await/loops:2": "100 ns",
    "create_many_then_await/loops:2": "100 ns",
    "yield_among_four/loops:1": "15 ns",
    "yield_among_four/loops:2": "30 ns",
    "queue_of_1024/loops:2": "45 ns",
    "queue_of_one_round_trip/loops:2": "200 ns",
    "mutex_alone/loops:2": "20 ns",
    "mutex_among_four/loops:2": "60 ns",
    "timer_arm_and_cancel_among_1e6/loops:2": "60 ns",
    "timeout_around_a_yield/loops:2": "120 ns",
    "to_thread_round_trip/loops:2": "8 µs",
    "to_thread_64_at_once/loops:2": "1.5 µs",
}

TITLES = {
    "heddle": "heddle",
    "heddle:uring": "heddle (io_uring)",
    "onetbb": "oneTBB",
    "asio": "Boost.Asio",
    "asio_bare": "Asio, no parsing",
    "beast": "Boost.Beast",
    "nginx": "nginx",
    "threads": "threads",
}


def title_of(peer):
    return TITLES.get(peer, peer)
