"""What every benchmark shares: the machine, versions, timing turn by turn, a table, the result file."""

from __future__ import annotations

import gc
import importlib
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8")
"""Flags of a processor that decide which low-precision products it has."""
OWN_VENV = "pip install -r benchmarks/requirements.txt, in a virtual environment of its own"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one callable, one value a turn, in the order of the turns."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third; the value itself where there is one alone."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    def over(self, other: Timing) -> Timing:
        """The ratios to `other`, turn by turn: what slows a turn down slows both."""
        return Timing(tuple(a / b for a, b in zip(self.seconds, other.seconds, strict=True)))


def machine() -> dict[str, Any]:
    """The processor, the cores this process may use, the flags that matter, the memory, the system."""
    name, flags = _processor()
    return {
        "processor": name,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> tuple[str, set[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine(), set()
    fields = dict(line.split(":", 1) for line in text.split("\n\n", 1)[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    return fields.get("model name", platform.machine()), set(fields.get("flags", "").split())


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def versions(*names: str) -> dict[str, str]:
    """Python's version and those of the named distributions; one that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name == "rankdistill":  # run from the source tree
                found[name] = str(importlib.import_module(name).__version__)
    return found


def optional(module: str, install: str = OWN_VENV) -> Any:
    """The module, or None where it cannot be imported; then says so, with the line that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = "" if isinstance(error, ModuleNotFoundError) and error.name == module.split(".")[0] else f" ({error})"
        print(f"skipped: {module} is not installed{reason}: {install}", file=sys.stderr)
        return None


def turns(
    callables: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Calls all of them once a turn, `repeats` turns long, after `warmup` turns that do not count.

    A callable that returns a float has timed itself, and that is what counts; of any other the call is timed. Every
    second turn goes backwards, so that none always follows the same one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in callables}
    for turn in range(-warmup, repeats):
        order = list(callables)
        for name in order if turn % 2 == 0 else reversed(order):
            gc.collect()
            begin = clock()
            own = callables[name]()
            took = clock() - begin
            if turn >= 0:
                seconds[name].append(own if isinstance(own, float) else took)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def report(timings: Mapping[str, Timing], ours: str, notes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each callable: median, quartiles, the ratio to `ours`, and what `notes` has to say of it."""
    rows = []
    for name, timing in timings.items():
        ratio = timing.over(timings[ours])
        rows.append(
            {
                "name": name,
                "seconds": _rounded(timing.median),
                "quartiles": [_rounded(each) for each in timing.quartiles],
                "ratio": _rounded(ratio.median),
                "ratio_quartiles": [_rounded(each) for each in ratio.quartiles],
                **notes.get(name, {}),
            }
        )
    return rows


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as text: a column for each key of any row, numbers to the right, spreads as `low - high`."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([text(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    left = [all(isinstance(row.get(column), str | None) for row in rows) for column in columns]
    lines = (
        "  ".join(
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(line, widths, left, strict=True)
        )
        for line in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def text(value: Any) -> str:
    """A cell: four digits of a real number, `low - high` for a spread, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return " - ".join(text(each) for each in value)
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def write_result(name: str, payload: Mapping[str, Any]) -> Path:
    """Writes `results/NAME.json`; returns its path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(payload, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def command() -> str:
    """The command line as it was given, without the folders of this machine."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def finish(name: str, settings: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], *packages: str) -> None:
    """Prints machine, versions, settings and the rows, and writes the result file.

    A row may have a `case`; then there is a table for each.
    """
    here, used = machine(), versions("rankdistill", "torch", "numpy", *packages)
    print(f"\n{here['processor']}, {here['cores']} cores ({', '.join(here['flags']) or 'no flags known'})")
    print(", ".join(f"{package} {number}" for package, number in used.items()))
    print(", ".join(f"{key} {text(value)}" for key, value in settings.items()))
    for case in dict.fromkeys(row.get("case") for row in rows):
        print(f"\n{case}" if case else "")
        print(table([{k: v for k, v in row.items() if k != "case"} for row in rows if row.get("case") == case]))
    payload = {"command": command(), "machine": here, "versions": used, "settings": dict(settings), "rows": list(rows)}
    path = write_result(name, payload)
    print(f"\nwritten: benchmarks/results/{path.name}")


def reset_peak_memory() -> bool:
    """Starts the count of `peak_memory` anew where the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def memory(field: str = "VmRSS") -> int:
    """Bytes this process holds now (`VmRSS`) or held at most since `reset_peak_memory` (`VmHWM`)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")
