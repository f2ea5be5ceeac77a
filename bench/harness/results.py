# SPDX-License-Identifier: MIT
"""What a measurement leaves behind: all that is printed, plotted or written comes from these."""
import statistics
from dataclasses import dataclass, field


@dataclass
class Result:
    """All samples of one peer in one row. `advantage`: above 1, heddle is ahead of this peer."""

    peer: str
    version: str
    values: list
    advantage: float | None = None
    advantage_range: tuple | None = None
    extra: dict = field(default_factory=dict)

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def spread(self):
        """Largest less smallest sample, as a share of the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0

    def to_json(self):
        return dict(peer=self.peer, version=self.version, median=self.median,
                    spread=round(self.spread, 4), advantage=self.advantage,
                    advantage_range=self.advantage_range, values=self.values, **self.extra)


@dataclass
class Row:
    """One problem at one size: a group of bars in a plot, a block of lines in a table."""

    name: str
    title: str
    unit: str
    higher_is_better: bool = False
    aim: str = ""
    results: list = field(default_factory=list)
    skipped: dict = field(default_factory=dict)  # peer -> why
    failed: dict = field(default_factory=dict)  # peer -> why; makes bench/run fail
    facts: dict = field(default_factory=dict)  # what else it is known by: size, threads

    def result_of(self, peer):
        return next((r for r in self.results if r.peer == peer), None)

    def compare(self, subject):
        """Fills in how far `subject` is ahead of each peer, turn by turn."""
        ours = self.result_of(subject)
        if ours is None:
            return
        for r in self.results:
            pairs = list(zip(ours.values, r.values))
            ratios = [a / b if self.higher_is_better else b / a for a, b in pairs if a and b]
            if ratios:
                r.advantage = statistics.median(ratios)
                r.advantage_range = (min(ratios), max(ratios))

    def to_json(self):
        return dict(name=self.name, title=self.title, unit=self.unit,
                    higher_is_better=self.higher_is_better, aim=self.aim, **self.facts,
                    results=[r.to_json() for r in self.results], skipped=self.skipped,
                    failed=self.failed)


@dataclass
class SuiteResult:
    name: str
    title: str
    explanation: str
    rows: list = field(default_factory=list)

    def to_json(self):
        return dict(name=self.name, title=self.title, explanation=self.explanation,
                    rows=[r.to_json() for r in self.rows])
