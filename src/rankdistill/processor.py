"""The processor: its name, how many threads this process should use, and how they wait."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_SPINS = "20000"  # a tenth of a millisecond or so
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """The cores that this process may use: those that it may run on, and no more than a container's quota allows."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, _quota() or allowed)


def threads_of_environment() -> int | None:
    """What `OMP_NUM_THREADS` says; None where it is not set, or is no number."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # further ones are of nested loops
    return int(first) or None if first.isdecimal() else None


def _quota() -> int | None:
    """The whole cores of the control group's quota, at least one; None where there is none."""
    try:
        quota, period = _QUOTA.read_text(encoding="utf-8").split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):  # none, or "max"
        return None


def let_threads_sleep() -> None:
    """Has a thread that waits for others sleep soon, unless the environment says otherwise; before torch is loaded.

    By default threads spin for milliseconds. Beside another busy process, the core that a thread spins on is the one
    that the thread it waits for needs, and everything takes ten times as long. Alone, a short spin is as quick.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def processor_name() -> str:
    """The processor's name, where the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
