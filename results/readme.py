"""Fills the block between `<!-- results -->` and `<!-- /results -->` of README.md from `results/*/results.json`.

python results/readme.py            # writes README.md
python results/readme.py --check    # writes nothing; exits 1 where README.md differs
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rankdistill.errors import DataError, RankDistillError
from rankdistill.files import write_text
from rankdistill.report.markdown import plain, table
from rankdistill.report.numerals import metric, whole
from rankdistill.report.paper.results import PUBLISHED, Results, Row, listed

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- results -->\n", "<!-- /results -->"
PAPER, MAIN = "kdd18", "kdd18-gowalla"
METRICS = {"map": "MAP", "ndcg_kdd18@10": "nDCG@10 (KDD18)"}
ROLES = ("teacher", "student", "distilled")


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Writes or checks the block; the exit status."""
    parser = argparse.ArgumentParser(description="Fill the results of README.md from results/*/results.json.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 where README.md differs")
    check = parser.parse_args(arguments).check
    readme = root / "README.md"
    try:
        now = readme.read_text(encoding="utf-8")
        wanted = filled(now, block(root / "results"))
        if not check:
            write_text(readme, wanted)
        elif now != wanted:
            raise DataError("README.md: its results are not those of results/*/results.json; run results/readme.py")
    except RankDistillError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def filled(text: str, results: str) -> str:
    """The text with `results` between its two markers.

    Raises:
        DataError: there is not one pair of markers.
    """
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise DataError(f"README.md: needs one line {START.strip()} and after it one line {END}")
    before, rest = text.split(START)
    return f"{before}{START}{results}{END}{rest.split(END)[1]}"


def block(folder: Path) -> str:
    """What README.md says: the table of Gowalla, then a line a data set.

    Raises:
        DataError: the results of Gowalla are missing, or some are not to be shown.
    """
    found = {path.parent.name: _read(path) for path in sorted(folder.glob(f"{PAPER}-*/results.json"))}
    if MAIN not in found:
        raise DataError(
            f"results/{MAIN}/results.json: not there; make it with `rankdistill reproduce kdd18 --dataset gowalla`"
        )
    others = [_line(name, results) for name, results in found.items() if name != MAIN]
    link = f"Mean ± standard deviation over the seeds; [all tables and figures](results/{MAIN}/results.md)."
    return "\n\n".join([_table(found[MAIN]), "  \n".join([link, *others])]) + "\n"


def _read(path: Path) -> Results:
    name = "/".join(path.parts[-3:])
    try:
        results = Results(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(f"{name}: not a JSON file ({error}); make it again") from error
    if results.quick:
        raise DataError(f"{name}: made with --quick, which is not for README.md; make it again without")
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
    told = [_family(results.rows("main"), row) for row in results.rows("main") if row.role == "distilled"]
    remarks = " ".join(plain(one) for one in listed(results.data, "remarks"))
    said = f"MAP {'; '.join(told)}" if told else "not made yet"
    title = plain(results.title)
    return f"{title}: {said}; [all](results/{folder}/results.md).{' ' if remarks else ''}{remarks}"


def _family(rows: Sequence[Row], distilled: Row) -> str:
    others = [row for role in ROLES[:2] for row in rows if (row.role, row.family) == (role, distilled.family)]
    beside = ", ".join(f"{plain(row.name)} {_ours(row, 'map')}" for row in others)
    return f"{plain(_name(distilled))} {_ours(distilled, 'map')}{f' ({beside})' if beside else ''}"


if __name__ == "__main__":
    sys.exit(main())
