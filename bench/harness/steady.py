# SPDX-License-Identifier: MIT
"""Rates as ratios to a reference, taken in turns.

Before and after each sample stands one of the reference. A sample between two references that
differ by more than 12 % is thrown away, since then the machine has changed.

A sampler is called with its number of seconds and gives a line: a dict with the `rate`, the
latencies, the load's `client_cpu`, and `cpu_ns`, the processor time of an answer on the side that
is judged. It raises RuntimeError with what went wrong.
"""
from harness import suites
from harness.process import NotOffered
from harness.results import Result

TOLERANCE = 0.12


def _samples_of(reference, peers, effort, row, progress):
    """samples[peer]: (its line, mean of the two references around it), in turns."""
    samples = {peer: [] for peer in peers}
    first = reference(effort.reference_seconds)
    for turn in range(effort.samples):
        for peer, sample in peers.items():
            if peer in row.failed or peer in row.skipped:
                continue
            for attempt in range(effort.tries):
                again = f", try {attempt + 1}" if attempt else ""
                progress.now(f"{row.title}: {suites.title_of(peer)}, "
                             f"sample {turn + 1} of {effort.samples}{again}")
                try:
                    line = sample(effort.seconds)
                except NotOffered as e:
                    row.skipped[peer] = str(e)
                    break
                except RuntimeError as e:
                    row.failed[peer] = str(e)
                    break
                last = reference(effort.reference_seconds)
                apart = abs(first["rate"] - last["rate"])
                around = {k: (first[k] + last[k]) / 2 for k in ("rate", "cpu_ns")}
                steady = (around["rate"] > 0 and
                          apart <= TOLERANCE * max(first["rate"], last["rate"]))
                first = last
                if steady:
                    samples[peer].append((line, around))
                    break
    return samples


def _summary(peer, kept, build):
    def middle(of):
        ordered = sorted(of(line, around) for line, around in kept)
        return ordered[len(ordered) // 2]

    def cpu_ratio(line, around):
        return line["cpu_ns"] / around["cpu_ns"] if around["cpu_ns"] else 0.0

    extra = {name: middle(lambda line, _, name=name: line[name])
             for name in ("rate", "p50_us", "p99_us", "client_cpu")}
    extra["cpu_per_answer"] = middle(cpu_ratio)
    ratios = [line["rate"] / around["rate"] for line, around in kept]
    return Result(peer, build.version_of(peer), ratios, extra=extra)


def measure(row, reference, peers, effort, build, progress):
    """Fills in the row by the samplers of the reference and the peers."""
    try:
        samples = _samples_of(reference, peers, effort, row, progress)
    except RuntimeError as e:
        row.failed["reference"] = str(e)
        return row
    for peer, kept in samples.items():
        if kept:
            row.results.append(_summary(peer, kept, build))
        elif peer not in row.failed and peer not in row.skipped:
            row.skipped[peer] = "no steady sample: the machine is too noisy now"
    row.compare("heddle")
    return row
