# SPDX-License-Identifier: MIT
"""What an item of a suite can be: the shapes of the rows of suites.py."""
from dataclasses import dataclass, field

# Sizes by effort. smoke proves that everything builds, runs and checks its result; its figures mean
# nothing.
EFFORTS = ("full", "quick", "smoke")


@dataclass(frozen=True)
class Effort:
    name: str
    rounds: int  # of alternating runs
    samples: int  # of a server
    tries: int  # at a sample, whose two references may stand too far apart
    seconds: float  # of one sample of a server
    reference_seconds: float  # of one sample of the reference beside it
    micro_seconds: float  # of one repetition of a micro benchmark
    micro_repetitions: int
    primitive_seconds: float  # of one sample of a row that is measured beside its peers
    primitive_rounds: int

    def of(self, sizes):
        return sizes[EFFORTS.index(self.name)]


FULL = Effort("full", rounds=5, samples=7, tries=5, seconds=0.6, reference_seconds=0.4,
              micro_seconds=0.2, micro_repetitions=5, primitive_seconds=0.1, primitive_rounds=5)
QUICK = Effort("quick", rounds=2, samples=2, tries=3, seconds=0.2, reference_seconds=0.2,
               micro_seconds=0.03, micro_repetitions=2, primitive_seconds=0.02, primitive_rounds=2)
SMOKE = Effort("smoke", rounds=1, samples=1, tries=5, seconds=0.05, reference_seconds=0.05,
               micro_seconds=0.01, micro_repetitions=1, primitive_seconds=0.001, primitive_rounds=1)


@dataclass(frozen=True)
class Problem:
    """Programs that end, named programs/<problem>_<peer>. Sizes stand for each effort."""

    problem: str
    title: str  # with {size}
    sizes: tuple
    threads: int
    peers: tuple
    aim: str = ""
    label: str = ""  # tells rows of one problem apart, where threads do not
    peer_sizes: dict = field(default_factory=dict)  # smaller ones for slow peers
    efforts: tuple = EFFORTS
    most_rounds: int = 100
    repeat: int = 2  # runs in one process, of which the last counts
    options: tuple = ()

    @property
    def name(self):
        return f"{self.problem}-{self.label or self.threads}"


@dataclass(frozen=True)
class Served:
    """Servers under a closed-loop load. Variants of one program are written peer:option."""

    problem: str
    title: str
    connections: int
    depth: int
    peers: tuple
    aim: str = ""
    efforts: tuple = EFFORTS
    kind: str = ""  # of load, where the problem's servers serve several
    bytes: int = 64  # of an echo message
    tls: bool = False
    path: str = "/plaintext"
    upload: int = 0  # bytes of a body that each request carries
    answer: int = 13  # bytes of the body that the reference answers with
    label: str = ""  # tells rows apart that differ in their path

    @property
    def name(self):
        size = f"x{self.depth}" if self.depth > 1 else ""
        size += f"-{self.bytes}" if self.bytes != 64 else ""
        size += f"-{self.label}" if self.label else ""
        return f"{self.kind or self.problem}-{self.connections}{size}"

    @property
    def load(self):
        return "tls_load" if self.tls else "load"

    @property
    def reference(self):
        if self.problem == "websocket":
            return "websocket_reference"
        return "tls_reference" if self.tls else "reference_server"


@dataclass(frozen=True)
class Idle(Served):
    """The same servers, whose connections are used once and then wait. Sizes are connections."""

    sizes: tuple = ()
    peer_sizes: dict = field(default_factory=dict)

    @property
    def name(self):
        return f"{self.problem}-idle"


@dataclass(frozen=True)
class Asked:
    """Clients that keep so many GETs in flight against nginx: programs/client_<peer>."""

    title: str
    bytes: int  # of a body
    in_flight: int
    peers: tuple
    aim: str = ""
    efforts: tuple = EFFORTS
    problem: str = "client"

    @property
    def name(self):
        return f"client-{self.in_flight}-{self.bytes}"

    @property
    def path(self):
        return f"/files/{self.bytes}"


@dataclass(frozen=True)
class Called:
    """Jobs without work in a cluster: programs/cluster_<peer>, submitter and workers."""

    title: str
    in_flight: int
    peers: tuple
    aim: str = ""
    problem: str = "cluster"
    efforts: tuple = EFFORTS

    @property
    def name(self):
        return f"{self.problem}-{self.in_flight}"


@dataclass(frozen=True)
class Storm:
    """A storm of programs/fairness_<peer>: a row for the timer and one for the socket."""

    storm: str  # as the program names it
    title: str
    threads: int
    peer: str = "heddle"
    problem: str = "fairness"
    efforts: tuple = EFFORTS

    @property
    def name(self):
        return f"fairness-{self.threads}"


MANY = (1_000_000, 100_000, 1000)


@dataclass(frozen=True)
class Primitive:
    """One operation: a benchmark of programs/micro_<micro>, and the row of that name in
    programs/primitives_<peer>. Sizes are those of rows with many tasks or timers."""

    row: str
    title: str
    micro: str
    peers: tuple
    aim_ns: int
    threads: int = 2
    sizes: tuple = MANY
    peer_sizes: dict = field(default_factory=dict)
    problem: str = "primitives"
    efforts: tuple = EFFORTS

    @property
    def name(self):
        return f"{self.row}-{self.threads}"

    @property
    def benchmark(self):
        return f"{self.row}/loops:{self.threads}"

    @property
    def aim(self):
        return f"{self.aim_ns} ns" if self.aim_ns < 1000 else f"{self.aim_ns / 1000:g} µs"


@dataclass(frozen=True)
class Micro:
    """A Google Benchmark program, programs/micro_<program>: heddle's rows that have no peer."""

    program: str
    efforts: tuple = EFFORTS

    @property
    def name(self):
        return f"micro/{self.program}"

    problem = name


@dataclass(frozen=True)
class Counted:
    """A problem of bench/model, as its programs name it; `problem`: counts or model."""

    problem: str
    program: str
    efforts: tuple = EFFORTS

    @property
    def name(self):
        return f"{self.problem}/{self.program}"


@dataclass(frozen=True)
class Suite:
    """`kind`: the module of the harness that measures the items."""

    name: str
    title: str
    explanation: str
    kind: str
    items: tuple
