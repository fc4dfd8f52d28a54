"""`rankdistill doctor`."""

from __future__ import annotations

import logging

import typer

from rankdistill.cli.options import Output


def doctor(output: Output) -> None:
    """Versions, devices, and a self-test.

    Exit 1 when something is wrong.
    """
    from rankdistill.doctor import examine

    if not output.debug:
        logging.getLogger("rankdistill").setLevel(logging.WARNING)
    checks = examine()
    rows = [("ok" if check.ok else "WRONG", check.name, check.found) for check in checks]
    value = {"ok": all(check.ok for check in checks), "checks": [check.as_json() for check in checks]}
    output.show(value, ("", "check", "found"), rows)
    if not value["ok"]:
        raise typer.Exit(1)
