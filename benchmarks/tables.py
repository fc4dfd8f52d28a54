"""Puts the tables of `benchmarks/results/*.json` into `benchmarks/README.md`, between its two markers.

    python benchmarks/tables.py

Results of a `--quick` run are left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure import RESULTS, text

PAGE = Path(__file__).with_name("README.md")
MARKERS = "<!-- results -->\n", "<!-- end of results -->\n"


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table, a column for each key of any row."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([text(row.get(column)) for column in columns] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def section(name: str, result: Mapping[str, Any]) -> str:
    """One result: its command, machine, versions, settings and rows."""
    here = result["machine"]
    about = [f"{here['processor']}, {here['cores']} cores ({', '.join(here['flags'])})"]
    about += [f"{key} {text(value)}" for key, value in {**result["versions"], **result["settings"]}.items()]
    parts = [f"### {name}\n\n`{result['command']}`: {', '.join(about)}\n"]
    for case in dict.fromkeys(row.get("case") for row in result["rows"]):
        rows = [{k: v for k, v in row.items() if k != "case"} for row in result["rows"] if row.get("case") == case]
        parts.append((f"{case}\n\n" if case else "") + markdown(rows))
    return "\n".join(parts)


def filled(page: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page with the results between its markers."""
    before, rest = page.split(MARKERS[0])
    after = rest.split(MARKERS[1])[1]
    body = "\n".join(section(name, result) for name, result in results.items())
    return f"{before}{MARKERS[0]}\n{body}\n{MARKERS[1]}{after}"


def main() -> None:
    """Rewrites the page."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    files = [path for path in sorted(RESULTS.glob("*.json")) if not path.stem.endswith("-quick")]
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
