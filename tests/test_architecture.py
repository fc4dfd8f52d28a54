"""Who may import whom: a module imports from rows above its own, or from its own package, and nothing else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "rankdistill"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

ROWS = (
    {"errors", "types"},
    {"checksums", "extras", "files", "lookup", "owners", "plugins", "processor", "shares"},
    {"console", "ids", "config", "serving"},
    {"rankings"},
    {"data"},
    {"native"},
    {"search"},
    {"catalogue_softmax", "dropout", "listwise", "prefixes", "rows", "rounding"},
    {"tables"},
    {"ranker", "seen"},
    {"served"},
    {"ensemble", "loss"},
    {"models", "losses", "distillation"},
    {"model_folder", "training", "evaluation", "testing"},
    {"folders", "latency", "parallel", "teaching", "tracker"},
    {"runs", "pipeline", "tracking"},
    {"stages", "report", "api", "exporting", "estimate"},
    {"measuring"},
    {"members"},
    {"climbing"},
    {"checks"},
    {"workflow", "single", "reproduction", "doctor", "bench"},
    {"variants"},
    {"sweep", "tuning"},
    {"cli"},
    {"__main__"},
)
ROW_OF = {module: number for number, row in enumerate(ROWS) for module in row}
NEVER = {
    "evaluation": {"ranker", "torch"},
    "report": {"models", "data", "ranker", "torch"},
    "serving": {"training", "ranker", "torch", "models", "data", "ids"},
    "rankings": {"torch"},
    "data": {"torch"},
}
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Our top-level modules, and other packages, that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = str(node.module)
            names |= {f"{module}.{alias.name}" for alias in node.names} if module == "rankdistill" else {module}
    return {name.split(".")[1] if name.startswith("rankdistill.") else name.split(".")[0] for name in names}


def extras(path: Path) -> set[str]:
    """The packages that a file imports by `extra("name", "group")`, each of which its group has to bring."""
    groups = PROJECT["project"]["optional-dependencies"]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "extra" and len(node.args) == 2:
            name, group = node.args
            assert isinstance(group, ast.Constant)
            if isinstance(name, ast.Constant):
                package = name.value.partition(".")[0]
                assert package in packages([*groups[group.value], *PROJECT["project"]["dependencies"]]), path
                found.add(package)
    return found


MODULE_OF = {"faiss-cpu": "faiss", "mlflow-skinny": "mlflow"}
"""Packages that bring a module of another name."""


def packages(lines: list[str]) -> set[str]:
    """The modules that requirements bring."""
    names = {re.split(r"[^\w-]", line)[0] for line in lines}
    return {MODULE_OF.get(name, name) for name in names}


def declared_packages() -> tuple[set[str], set[str]]:
    """Packages that every user needs, and those of the groups that a user may add; not those of developers."""
    groups = PROJECT["project"]["optional-dependencies"]
    optional = {name for group, lines in groups.items() if group != "dev" for name in packages(lines)}
    return packages(PROJECT["project"]["dependencies"]), optional


def home_of(module: str) -> str:
    return module.split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_rows_above_its_own_alone(module: str) -> None:
    home, names = home_of(module), imported(SOURCE / module)
    if home == "__init__":  # the public names, loaded at first use
        assert "cli" not in names
        return
    ours = {name for name in names if name in ROW_OF and name != home}
    assert {name for name in ours if ROW_OF[name] >= ROW_OF[home]} == set()
    assert names & NEVER.get(home, set()) == set()


def test_every_module_has_a_row() -> None:
    assert {home_of(module) for module in MODULES} - {"__init__"} <= set(ROW_OF)


def test_every_package_that_is_imported_is_declared_and_the_other_way_round() -> None:
    needed, optional = declared_packages()
    names = {name for module in MODULES for name in imported(SOURCE / module) | extras(SOURCE / module)}
    foreign = names - set(ROW_OF) - sys.stdlib_module_names - {"__version__", "rankdistill"}
    foreign.discard("pydantic_core")  # part of pydantic, which asks for the one version that fits
    assert foreign >= needed
    assert foreign <= needed | optional
    pinned = packages([line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line])
    assert needed | optional <= pinned


def test_every_folder_of_modules_is_a_package_that_says_what_it_is() -> None:
    for folder in {path.parent for path in SOURCE.rglob("*.py")}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), folder.name


def test_every_pattern_of_package_data_finds_a_file() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["rankdistill"]
    assert [pattern for pattern in patterns if not list(SOURCE.glob(pattern))] == []


def test_every_class_of_errors_is_raised_somewhere() -> None:
    tree = ast.parse((SOURCE / "errors.py").read_text(encoding="utf-8"))
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name != "RankDistillError"]
    text = "".join((SOURCE / module).read_text(encoding="utf-8") for module in MODULES if module != "errors.py")
    assert classes
    assert [name for name in classes if f"{name}(" not in text] == []


@pytest.mark.parametrize("folder", ["models", "losses", "distillation", "data/readers", "tracking"])
def test_a_plug_in_does_not_know_the_others_of_its_kind(folder: str) -> None:
    package = "rankdistill." + folder.replace("/", ".")
    for path in (SOURCE / folder).glob("*.py"):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        assert not [line for line in lines if line.startswith((f"from {package}", f"import {package}"))], path.name


def test_the_container_has_the_pinned_versions_and_no_torch() -> None:
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    lines = [line for line in (ROOT / "docker" / "requirements.txt").read_text().splitlines() if "==" in line]
    assert set(lines) <= set(pins)
    assert not packages(lines) & {"torch", "scipy", "jinja2", "onnx", "onnxscript"}
    assert packages(PROJECT["project"]["optional-dependencies"]["serve"]) <= packages(lines)
