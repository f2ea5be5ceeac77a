# SPDX-License-Identifier: MIT
"""What is measured: the one table of suites, problems, sizes, peers and aims."""
from harness.items import (EFFORTS, FULL, QUICK, SMOKE, Asked, Called, Counted, Idle, Micro, Primitive,
                           Problem, Served, Storm, Suite)

__all__ = ["FULL", "QUICK", "SMOKE"]  # for those who import this module alone


def fib_calls(n):
    before, last = 0, 1  # fib(n) and fib(n + 1)
    for _ in range(n):
        before, last = last, before + last
    return 2 * last - 1


# Boards with queens that can stand, the empty one among them.
QUEENS_BOARDS = {6: 153, 7: 552, 8: 2057, 9: 8394, 10: 35539, 11: 166926, 12: 856189, 13: 4674890,
                 14: 27358553, 15: 171129072}

# How many tasks a problem is, by its size.
TASKS = {
    "fib": fib_calls,
    "skynet": lambda leaves: (10 * leaves - 1) // 9,
    "nqueens": QUEENS_BOARDS.get,
    "matmul": lambda rows: (8 * (rows // 32) ** 3 - 1) // 7,
    "fib_fixed": fib_calls,
    "nqueens_array": QUEENS_BOARDS.get,
    "matmul_inlined": lambda rows: (8 * (rows // 32) ** 3 - 1) // 7,
    "udp": lambda trips: trips,
    "files": lambda reads: reads,
}

BOTH = ("heddle", "onetbb")
COMPILED = ("heddle", "onetbb", "go", "tokio")
SLOW_FIB = {"go": (29, 24, 10), "tokio": (29, 24, 10)}
SLOW_QUEENS = {"go": (12, 11, 6), "tokio": (12, 11, 6)}

FORK_JOIN = (
    Problem("fib", "fib({size}), 2 threads", (35, 30, 20), 2, COMPILED, "6x oneTBB",
            peer_sizes=SLOW_FIB),
    Problem("fib", "fib({size}), 1 thread", (35, 30, 20), 1, COMPILED, "6x oneTBB",
            peer_sizes=SLOW_FIB, most_rounds=3),
    Problem("skynet", "skynet({size}), 2 threads", (1_000_000, 100_000, 1000), 2, COMPILED,
            "4x oneTBB"),
    Problem("skynet", "skynet({size}), 1 thread", (1_000_000, 100_000, 1000), 1, COMPILED,
            most_rounds=3),
    Problem("skynet", "skynet({size}), 2 threads", (100_000_000,) * 3, 2, COMPILED, "4x oneTBB",
            label="2-1e8", efforts=("full",), most_rounds=2, repeat=1,
            peer_sizes={"go": (10_000_000,) * 3, "tokio": (10_000_000,) * 3}),
    Problem("nqueens", "nqueens({size}), 2 threads", (14, 12, 6), 2, COMPILED, "1.6x oneTBB",
            peer_sizes=SLOW_QUEENS, repeat=1),
    Problem("nqueens", "nqueens({size}), 1 thread", (14, 12, 6), 1, COMPILED,
            peer_sizes=SLOW_QUEENS, most_rounds=3, repeat=1),
    Problem("matmul", "matmul({size}), 2 threads", (2048, 1024, 64), 2, BOTH, "1.2x oneTBB"),
    Problem("matmul", "matmul({size}), 1 thread", (2048, 1024, 64), 1, BOTH, most_rounds=3),
    Problem("matmul", "matmul({size}), 2 threads", (1024,) * 3, 2, BOTH, "1.2x oneTBB",
            label="2-1024", efforts=("full",)),
)

# The same problems as other runtimes' public benchmarks have them: n is known to the compiler, a
# board has no place for more queens than n, and the leaf of matmul is inlined.
SHAPES = tuple(
    Problem(problem, title + (", 2 threads" if threads == 2 else ", 1 thread"), sizes, threads,
            BOTH, repeat=repeat, most_rounds=5 if threads == 2 else 3)
    for problem, title, sizes, repeat in (
        ("fib_fixed", "fib<{size}>", (35, 30, 20), 2),
        ("nqueens_array", "nqueens<{size}>", (14, 12, 8), 1),
        ("matmul_inlined", "matmul({size}), leaf inlined", (2048, 1024, 64), 2))
    for threads in (2, 1))

# More threads than processors, too: what a task costs must not grow with them.
SCALING = tuple(
    Problem(problem, title, sizes, threads, peers, label=f"over-{threads}", most_rounds=3,
            peer_sizes=peer_sizes,
            efforts=EFFORTS if threads in (1, 2, 4, 8) else ("full",))
    for problem, title, sizes, peers, peer_sizes in (
        ("fib", "fib({size})", (32, 27, 15), ("heddle", "onetbb", "go"), {"go": (27, 22, 10)}),
        ("skynet", "skynet({size})", (1_000_000, 100_000, 1000), ("heddle", "onetbb", "go"), {}),
        ("nqueens", "nqueens({size})", (12, 10, 6), ("heddle", "onetbb", "go"),
         {"go": (11, 10, 6)}),
        ("matmul", "matmul({size})", (1024, 512, 32), BOTH, {}),
    )
    for threads in (1, 2, 3, 4, 6, 8))

ALL_LOOPS = ("heddle", "go", "tokio", "asyncio", "uvloop")
# Python takes seconds for a million.
FEW = {"asyncio": (200_000, 20_000, 1000), "uvloop": (200_000, 20_000, 1000)}
PRIMITIVES = (
    Primitive("create_task_and_await", "create a task and await it", "tasks",
              ("heddle", "onetbb", "go", "tokio", "asyncio", "uvloop"), aim_ns=100),
    Primitive("create_many_then_await", "create 10^6, then await all; a task", "tasks",
              ("heddle", "onetbb", "go", "tokio", "asyncio", "uvloop"), aim_ns=100,
              peer_sizes=FEW),
    Primitive("plain_co_await", "co_await child()", "tasks",
              ("heddle", "tokio", "tokio:boxed", "asyncio", "uvloop"), aim_ns=12),
    Primitive("yield_among_four", "yield, 4 tasks", "tasks", ALL_LOOPS, aim_ns=30),
    Primitive("yield_among_four", "yield, 4 tasks, 1 loop", "tasks", ALL_LOOPS, aim_ns=15,
              threads=1),
    Primitive("queue_of_1024", "queue of 1024, an item", "sync", ALL_LOOPS, aim_ns=45),
    Primitive("queue_of_one_round_trip", "queues of 1, there and back", "sync", ALL_LOOPS,
              aim_ns=200),
    Primitive("mutex_among_four", "mutex, 4 tasks want it", "sync", ALL_LOOPS, aim_ns=60),
    Primitive("mutex_alone", "mutex, uncontended", "sync", ALL_LOOPS, aim_ns=20),
    Primitive("timer_arm_and_cancel_among_1e6", "timer created and cancelled, 10^6 live", "loops",
              ALL_LOOPS, aim_ns=60, peer_sizes=FEW),
    Primitive("timeout_around_a_yield", "time-out around a yield", "loops", ALL_LOOPS, aim_ns=120),
    Primitive("to_thread_round_trip", "to_thread, there and back", "loops",
              ("heddle", "tokio", "asyncio", "uvloop"), aim_ns=8000),
    Primitive("to_thread_64_at_once", "to_thread, 64 in flight; one", "loops",
              ("heddle", "tokio", "asyncio", "uvloop"), aim_ns=1500),
)

FEW_TASKS = {"asyncio": (100_000, 20_000, 1000)}
MEMORY = tuple(
    Problem("memory", title, (1_000_000, 100_000, 1000), 1,
            ("heddle", "asio", "go", "tokio", "asyncio") if shape == "sleep" else
            ("heddle", "go", "tokio", "asyncio"), aim, label=shape, peer_sizes=FEW_TASKS,
            most_rounds=2, repeat=1, options=("--shape", shape))
    for shape, title, aim in (
        ("sleep", "sleeping", "256 bytes"),
        ("queue", "waiting for an item of an empty queue", ""),
        ("mutex", "waiting for a mutex", ""),
        ("future", "waiting for a future of its own", "")))

ECHO = ("heddle", "heddle:uring", "asio")
HTTP = ("heddle", "heddle:uring", "nginx", "beast", "asio_bare")
SERVERS = (
    Served("echo", "echo 64 B, 64 connections", 64, 1, ECHO, "1.00"),
    Served("echo", "echo 64 B, 1000 connections", 1000, 1, ECHO, "1.10"),
    Served("http", "HTTP plaintext, 64 connections", 64, 1, HTTP, "0.92"),
    Served("http", "HTTP plaintext, 64 connections, 16 pipelined", 64, 16, HTTP, "0.55"),
)

HTTP_STEPS = ("heddle", "heddle:uring", "nginx")
# Each is /plaintext and one step more.
SERVERS += tuple(
    Served("http", f"HTTP {title}, 64 connections", 64, 1, HTTP_STEPS, path=path, label=label,
           **more)
    for label, title, path, more in (
        ("json", "JSON", "/json", dict(answer=27)),
        ("upload", "uploads of 1 KiB", "/upload", dict(upload=1024, answer=4)),
        ("routed", "one of 100 routes, with parameters", "/api/v1/r57/users/42/posts/7",
         dict(answer=4)),
        ("file", "files of 64 KiB", "/files/65536", dict(answer=65536))))

WEBSOCKETS = ("heddle", "heddle:uring", "websockets")
WEBSOCKET = tuple(
    Served("websocket", f"WebSocket echo {title}, 64 connections", 64, 1, WEBSOCKETS, "0.85",
           bytes=size, path="/")
    for size, title in ((16, "16 B"), (1024, "1 KiB"), (16384, "16 KiB")))
CONNECTIONS = (
    Idle("websocket", "{size} WebSockets that wait", 0, 1, WEBSOCKETS, "2048 bytes",
         kind="websocket_idle", bytes=16, path="/", sizes=(10_000, 1000, 50),
         peer_sizes={"websockets": (2000, 500, 50)}),
)

CLIENTS = ("heddle", "heddle:uring", "curl", "aiohttp")
CLIENT = tuple(
    Asked(f"GET {title}, {n} in flight", size, n, CLIENTS, "0.8",
          EFFORTS if n == 64 else ("full",))
    for n in (1, 64, 256) for size, title in ((64, "64 B"), (1024, "1 KiB"), (65536, "64 KiB")))

IO_PEERS = ("heddle", "plain", "libuv")
IO = (
    Problem("udp", "{size} datagrams of 64 B there and back, 64 pairs", (200_000, 40_000, 640), 1,
            IO_PEERS),
    Problem("files", "{size} reads of 4 KiB from the cache, 64 at once", (200_000, 40_000, 640), 1,
            IO_PEERS),
)

HTTPS = ("heddle", "heddle:uring", "nginx")
TLS_ECHO = ("heddle", "heddle:uring")
TLS = (
    Served("tls_echo", "TLS echo 64 B, 64 connections", 64, 1, TLS_ECHO, "0.95", tls=True),
    Served("tls_echo", "TLS echo 16 KiB, 64 connections", 64, 1, TLS_ECHO, "0.95", bytes=16384,
           tls=True),
    Served("https", "HTTPS plaintext, 64 connections", 64, 1, HTTPS, "0.95", tls=True),
    Served("https", "full handshakes and one GET, 64 at a time", 64, 1, HTTPS, "0.95",
           kind="handshake", tls=True),
    Served("https", "resumed handshakes and one GET, 64 at a time", 64, 1, HTTPS, "0.95",
           kind="resume", tls=True),
)

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

MICRO = tuple(Micro(name) for name in ("tasks", "sync", "loops", "parts"))

COUNTS = tuple(Counted("counts", name) for name in (
    "fib", "skynet", "nqueens", "create_await", "create_many", "yield", "queue_1024", "queue_1",
    "mutex", "future", "storm", "pinned"))
MODEL = tuple(Counted("model", name) for name in (
    "fib", "skynet", "nqueens", "coarse", "storm", "pinned"))

CLUSTER = (
    Called("a call and its stored outcome, p50", 1, ("heddle", "plain", "celery"),
           "50 µs above plain"),
    Called("256 calls in flight, one", 256, ("heddle", "plain", "celery"), "1.1 of plain"),
)

SUITES = (
    Suite("fork-join", "Fork and join",
          "Time of one run, with peers in turns. Less is better. A peer that needs a smaller size "
          "is shown with it, and its time is that of one of its tasks times the tasks of the row.",
          "compute", FORK_JOIN),
    Suite("shapes", "Shapes of public benchmarks",
          "The problems of fork and join in the shapes of other runtimes' benchmarks: n known to the "
          "compiler, boards as arrays of just that size, the leaf of matmul inlined. For peers from "
          "outside (--also). Less is better.", "compute", SHAPES),
    Suite("scaling", "Cost of a task over loops",
          "Time of one run divided by its tasks, from one loop (or thread) to eight, with peers in "
          "turns. Less is better; more loops than processors cannot make it less.",
          "compute", SCALING),
    Suite("primitives", "Tasks and primitives",
          "Time of one operation, on 2 loops (or threads) unless said, with peers in turns. Python "
          "has one thread, and fewer than 10^6 where the row says so. Less is better.",
          "primitives", PRIMITIVES),
    Suite("servers", "Servers",
          "Rate on one processor, with the load on another, as a ratio to a bare epoll loop that "
          "parses nothing. More is better. CPU an answer is a ratio too.", "servers", SERVERS),
    Suite("websocket", "WebSockets",
          "Echo of binary messages without compression: rate on one processor, with the load on "
          "another, as a ratio to a bare epoll loop that upgrades, unmasks and echoes. More is "
          "better. CPU an answer is a ratio too.", "servers", WEBSOCKET),
    Suite("connections", "Memory of an idle connection",
          "Growth of the server's resident set by many connections that have been used once and "
          "then wait. What the kernel keeps of a socket is not in it. Less is better.",
          "connections", CONNECTIONS),
    Suite("client", "HTTP clients",
          "GETs from one processor, against nginx on another: rate as a ratio to wrk's. More is "
          "better. CPU an answer is the client's, as a ratio to wrk's.", "clients", CLIENT),
    Suite("cluster", "Jobs in a cluster",
          "An empty job: stored, run by one of two workers, its one outcome stored and pushed "
          "back, on nats-server. `plain` is the same messages by one blocking socket. Celery has "
          "Redis in its place, which appends each to a file. Less is better.", "calls", CLUSTER),
    Suite("io", "Datagrams and files",
          "Time of one run on one loop, with peers in turns; `plain` is the system calls alone. "
          "Less is better.", "compute", IO),
    Suite("tls", "Servers over TLS",
          "Rate on one processor, with the load on another, as a ratio to a bare epoll loop that "
          "gives the sockets to OpenSSL and parses nothing. TLS 1.3, a P-256 certificate. More is "
          "better. A full handshake costs the load more than the server, so there the server's CPU "
          "an answer is the figure to look at. It is a ratio too.", "servers", TLS),
    Suite("memory", "Memory of a suspended task",
          "Growth of the resident set by many tasks that wait. Less is better.",
          "compute", MEMORY),
    Suite("fairness", "Fairness under storms",
          "How late a 1 ms timer fires, and how long a ready socket waits to be served, while "
          "tasks that fork or yield without end keep every loop busy. The aim is for p99. Less is "
          "better.", "fairness", FAIRNESS),
    Suite("micro", "Micro benchmarks",
          "Time of one operation of heddle's that has no peer here. Less is better.",
          "micro", MICRO),
    Suite("counts", "Counts",
          "What one operation costs that does not depend on the machine's speed, counted on real "
          "threads; more loops than processors take turns. Locked operations are read-modify-writes, "
          "compare-exchanges, also those that failed, and seq_cst stores.", "counts", COUNTS),
    Suite("model", "Predicted speed-up",
          "A prediction, no measurement: the real scheduler on virtual loops of one thread, whose "
          "clocks are charged 102 ns for each cache line that another loop wrote last (those who "
          "want the same line wait for each other), 9 ns for a locked operation, 2 µs for a call "
          "that wakes and 7 µs until the woken one runs. The work of a task is calibrated on one "
          "loop of this machine. Not in it: memory's bandwidth, a second socket, hyper-threads.",
          "model", MODEL),
)

# What a peer's program is called, and how it is told which peer it is to be.
PROGRAMS = {
    "asyncio": ("python", ("--loop", "asyncio")),
    "uvloop": ("python", ("--loop", "uvloop")),
    "aiohttp": ("python", ()),
    "websockets": ("python", ()),
    "celery": ("python", ()),
}

TITLES = {
    "heddle": "heddle",
    "heddle:uring": "heddle (io_uring)",
    "onetbb": "oneTBB",
    "go": "Go",
    "tokio": "Tokio",
    "tokio:boxed": "Tokio, boxed",
    "asio": "Boost.Asio",
    "asio_bare": "Asio, no parsing",
    "beast": "Boost.Beast",
    "nginx": "nginx",
    "threads": "threads",
    "plain": "plain calls",
    "libuv": "libuv",
    "bare": "bare epoll loop",
    "reference": "the reference",
    "curl": "libcurl",
    "aiohttp": "aiohttp",
    "websockets": "Python's websockets",
    "celery": "Celery on Redis",
}


def title_of(peer):
    return TITLES.get(peer, peer)


def program_of(problem, peer):
    """Name of the program, and the options that make it this peer's."""
    name, options = PROGRAMS.get(peer, (peer.partition(":")[0], ()))
    return f"{problem}_{name}", options
