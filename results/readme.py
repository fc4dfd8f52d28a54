"""Fills the blocks between `<!-- NAME -->` and `<!-- /NAME -->` of README.md from `results/*/results.json`.

`models` is the small table on top, `results` the paper's table; `students` is made from `results/*/report.json`, the
runs of `rankdistill run examples/NAME.toml`, and `steps` from `results/*/sweep.json`, sweeps around one of them.

python results/readme.py            # writes README.md
python results/readme.py --check    # writes nothing; exits 1 where README.md differs
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rankdistill import plugins
from rankdistill.errors import DataError, RankDistillError
from rankdistill.files import write_text
from rankdistill.report.markdown import plain, table
from rankdistill.report.numerals import MISSING, metric, whole
from rankdistill.report.paper.results import PUBLISHED, Results, Row, listed, number, objects, word
from rankdistill.report.sweep.facts import name_of

ROOT = Path(__file__).resolve().parents[1]
PAPER, MAIN = "kdd18", "kdd18-gowalla"
METRICS = {"map": "MAP", "ndcg_kdd18@10": "nDCG@10 (KDD18)"}
ROLES = ("teacher", "student", "distilled")
NAMES = {"teacher": "teacher", "student": "plain student", "distilled": "distilled student"}


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Writes or checks the block; the exit status."""
    parser = argparse.ArgumentParser(description="Fill the results of README.md from results/*/results.json.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 where README.md differs")
    check = parser.parse_args(arguments).check
    readme = root / "README.md"
    try:
        now = readme.read_text(encoding="utf-8")
        found = read(root / "results")
        wanted = filled(filled(now, "models", models(found[MAIN])), "results", block(found))
        wanted = filled(wanted, "students", students(root / "results"))
        wanted = filled(wanted, "steps", steps(root / "results"))
        if not check:
            write_text(readme, wanted)
        elif now != wanted:
            raise DataError("README.md: its results are not those of results/*/results.json; run results/readme.py")
    except RankDistillError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def filled(text: str, name: str, content: str) -> str:
    """The text with `content` between the two markers called `name`.

    Raises:
        DataError: there is not one pair of markers.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise DataError(f"README.md: needs one line {start.strip()} and after it one line {end}")
    before, rest = text.split(start)
    return f"{before}{start}{content}{end}{rest.split(end)[1]}"


def read(folder: Path) -> dict[str, Results]:
    """The results of each data set, by folder.

    Raises:
        DataError: those of Gowalla are missing or the quick ones, or some are damaged.
    """
    found = {path.parent.name: _read(path) for path in sorted(folder.glob(f"{PAPER}-*/results.json"))}
    if MAIN not in found:
        raise DataError(
            f"results/{MAIN}/results.json: not there; make it with `rankdistill reproduce kdd18 --dataset gowalla`"
        )
    if found[MAIN].quick:
        raise DataError(f"results/{MAIN}/results.json: made with --quick, which is not for README.md; make it without")
    return found


def models(results: Results) -> str:
    """The models of the family with the largest teacher, Caser: quality, size and speed.

    Raises:
        DataError: there are none.
    """
    rows = [row for row in results.rows("main") if row.role in ROLES]
    if not rows:
        raise DataError(f"results/{MAIN}/results.json: has no models yet; let the reproduction go on")
    largest = max(rows, key=lambda row: row.parameters or 0)
    rows = ordered([row for row in rows if row.family == largest.family])
    speed = {word(one, "name"): number(one, "p50_ms") for one in objects(results.data, "inference")}
    heads = ("", "nDCG@10", "MAP", "parameters", "ms a query")
    cells = []
    for row in rows:
        tuned = row.role == "distilled" and row.settings != PUBLISHED
        name = f"the same, {row.settings}" if tuned else NAMES[row.role]
        of_same_size = next((speed.get(other.name) for other in rows if other.role == row.role), None)
        asked = of_same_size if speed.get(row.name) is None else speed[row.name]
        milliseconds = MISSING if asked is None else f"{asked:.2f}"
        values = (metric(row.mean.get("ndcg@10")), metric(row.mean.get("map")))
        cells.append((name, *values, whole(row.parameters), milliseconds))
    return "\n" + table(heads, cells, numbers=True) + "\n\n"


def students(folder: Path) -> str:
    """The models of each run that is kept: quality on popular and unpopular items, size and speed."""
    heads = ("", "MAP", "nDCG@10", "popular", "unpopular", "parameters", "MB", "ms a query")
    cells = []
    for path in sorted(folder.glob("*/report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        for row in report["rows"]:
            halves = [metric(row["halves"][half]["ndcg@10"]) for half in ("head", "tail")]
            values = [metric(row["metrics"][name]) for name in ("map", "ndcg@10")]
            size = (whole(row["parameters"]), f"{row['bytes'] / 1e6:.2f}", f"{row['latency_ms']['p50']:.2f}")
            cells.append((_of_run(path.parent.name, row), *values, *halves, *size))
    return "\n" + table(heads, cells, numbers=True) + "\n\n"


def steps(folder: Path) -> str:
    """The students of each sweep that is kept, and their teacher; means over the seeds, with lowest and highest."""
    heads = ("", "MAP", "nDCG@10", "popular", "unpopular", "parameters", "seeds")
    cells = []
    for path in sorted(folder.glob("*/sweep.json")):
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
            spread = row.get("spread") or {}
            values = [
                metric(row["metrics"][name]) + (f" ({'–'.join(map(metric, spread[name]))})" if name in spread else "")
                for name in ("map", "ndcg@10")
            ]
            halves = [metric(row["halves"][half].get("ndcg@10")) for half in ("head", "tail")]
            teacher = row["role"] == "teacher"
            name = f"{path.parent.name}: teacher" if teacher else name_of(row).replace("_", " ")
            seeds = MISSING if teacher else str(len(row["seeds"]))
            cells.append((name, *values, *halves, whole(row["parameters"]), seeds))
    return "\n" + table(heads, cells, numbers=True) + "\n\n"


def _of_run(run: str, row: Mapping[str, Any]) -> str:
    """`plain student, SASRec d = 16`, and of a teacher the name of the run."""
    plugin, dim = plugins.find("models", row["kind"]) if row["role"] != "teacher" else None, row["config"].get("dim")
    model = f", {plugin.__name__} d = {dim}" if plugin else ""
    name = f"{NAMES[row['role']]}{model}"
    return f"{run}: {name}" if row["role"] == "teacher" else name


def block(found: Mapping[str, Results]) -> str:
    """The table of Gowalla, then a line a data set."""
    others = [_line(name, results) for name, results in found.items() if name != MAIN]
    link = f"Mean ± standard deviation over the seeds; [all tables and figures](results/{MAIN}/results.md)."
    return "\n" + "\n\n".join([_table(found[MAIN]), "  \n".join([link, *others])]) + "\n\n"


def _read(path: Path) -> Results:
    name = "/".join(path.parts[-3:])
    try:
        results = Results(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(f"{name}: not a JSON file ({error}); make it again") from error
    return results


def _table(results: Results) -> str:
    heads = ["", *(head for name in METRICS.values() for head in (name, "published")), "parameters"]
    rows = [(_name(row), *_values(row), whole(row.parameters)) for row in ordered(results.rows("main"))]
    return table(heads, rows, numbers=True)


def ordered(rows: Sequence[Row]) -> list[Row]:
    """The rows by family: teacher, plain student, distilled ones; then the baselines, the best first."""
    families = list(dict.fromkeys(row.family for row in rows if row.role in ROLES))
    known = [row for row in rows if row.role in ROLES]
    rest = [row for row in rows if row.role not in ROLES]
    chosen = sorted(known, key=lambda row: (families.index(row.family), ROLES.index(row.role)))
    return chosen + sorted(rest, key=lambda row: -row.mean.get("map", 0.0))


def _name(row: Row) -> str:
    other = row.settings and row.settings != PUBLISHED and row.settings not in row.name
    return f"{row.name} ({row.settings})" if other else row.name


def _values(row: Row) -> list[str]:
    return [cell for name in METRICS for cell in (_ours(row, name), metric(row.published.get(name)))]


def _ours(row: Row, name: str) -> str:
    spread = f" ± {metric(row.deviation[name])}" if name in row.deviation else ""
    return metric(row.mean.get(name)) + spread


def _line(folder: str, results: Results) -> str:
    """A data set in a line: its distilled students beside the plain one and the teacher of their family."""
    told = [_family(results.rows("main"), row) for row in results.rows("main") if row.role == "distilled" and row.mean]
    remarks = " ".join(plain(one) for one in listed(results.data, "remarks"))
    said = f"MAP {'; '.join(told)}" if told else "not made yet"
    title = plain(results.title)
    title += "" if len(listed(results.data, "seeds")) > 1 or results.quick else " (one seed)"
    title += f" (quick version, {number(results.data, 'epochs'):.0f} epochs)" if results.quick else ""
    return f"{title}: {said}; [all](results/{folder}/results.md).{' ' if remarks else ''}{remarks}"


def _family(rows: Sequence[Row], distilled: Row) -> str:
    others = [row for role in ROLES[:2] for row in rows if (row.role, row.family) == (role, distilled.family)]
    beside = ", ".join(f"{plain(row.name)} {_ours(row, 'map')}" for row in others)
    return f"{plain(_name(distilled))} {_ours(distilled, 'map')}{f' ({beside})' if beside else ''}"


if __name__ == "__main__":
    sys.exit(main())
