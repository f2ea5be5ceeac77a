# SPDX-License-Identifier: MIT
"""Runs a program of the bench to its end."""
import subprocess


def output_of(command, time_limit, if_silent="no message"):
    """What it printed. Raises RuntimeError with what went wrong: its last words, or `if_silent`."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=time_limit,
                              check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done after {time_limit} s") from None
    if done.returncode != 0:
        told = (done.stderr.strip().splitlines() or [if_silent])[-1]
        raise RuntimeError(f"ended with status {done.returncode}: {told}")
    return done.stdout
