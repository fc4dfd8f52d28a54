"""What README and docs say, tried: their Python runs, their TOML parses, their commands and links exist."""

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer

from rankdistill import plugins, workflow
from rankdistill.cli import app
from rankdistill.cli.demo import EXPERIMENT, demo_data
from rankdistill.cli.dotted import DottedOptions, split_dotted
from rankdistill.config import (
    EnsembleConfig,
    EvaluateConfig,
    SplitConfig,
    TeacherLists,
    TrainConfig,
    WindowsConfig,
    describe,
    load,
    parse,
)
from rankdistill.data import datasets
from rankdistill.data.storage import read_split, write_split
from rankdistill.errors import DataError
from rankdistill.pipeline import prepare
from rankdistill.rankings import Rankings
from rankdistill.sweep.axes import parse_all
from rankdistill.sweep.plan import plan

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLES = [*sorted((ROOT / "examples").glob("*.toml")), EXPERIMENT]
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "guide.md"
SECTIONS = (SplitConfig, WindowsConfig, TrainConfig, EvaluateConfig, TeacherLists, EnsembleConfig)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page: Path) -> list[list[str]]:
    """The words of each `rankdistill VERB ...` in the page's shell blocks and between backticks."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]*)`", re.sub(r"```.*?```", "", text, flags=re.S))
    found = (re.match(r"(?:\S+=\S+ |\S+/)?rankdistill ([a-z]+.*)", line) for line in lines)
    return [shlex.split(match[1], comments=True) for match in found if match]


def log(folder: Path) -> pl.DataFrame:
    """A log of 40 users who each walk through neighbouring items, written as csv and as JSON lines."""
    generator = np.random.default_rng(0)
    items = (generator.integers(30, size=(40, 1)) + np.cumsum(generator.integers(1, 3, size=(40, 12)), 1)) % 30
    frame = pl.DataFrame(
        {
            "user": [f"u{user}" for user in np.repeat(np.arange(40), 12)],
            "item": [f"i{item}" for item in items.ravel()],
            "time": np.tile(np.arange(12), 40),
        }
    )
    frame.write_csv(folder / "events.csv")
    frame.write_ndjson(folder / "events.jsonl")
    return frame


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a log and the guide's plug-ins, importable from there."""
    log(tmp_path)
    names = []
    for block in blocks(GUIDE, "python"):
        if match := re.match(r"# (\w+)\.py\n", block):
            (tmp_path / f"{match[1]}.py").write_text(block, encoding="utf-8")
            names.append(match[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in names:
        sys.modules.pop(name, None)


def scripts(page: Path) -> list[str]:
    return [block for block in blocks(page, "python") if not block.startswith("# ")]


def test_the_ten_lines_of_the_readme_run_and_print_the_metrics(workplace, capsys):
    (script,) = scripts(README)
    exec(compile(script, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.fullmatch(r"\{'ndcg@10': 0\.\d+, 'map': 0\.\d+\}\n", printed)


def test_the_guide_s_longer_python_runs_and_prints_a_comparison(workplace, capsys):
    script = next(script for script in scripts(GUIDE) if "rd.compare" in script)
    exec(compile(script, "guide.md", "exec"), {})
    assert capsys.readouterr().out.startswith("Comparison(metric='map', difference=")


def test_the_guide_s_teacher_file_passes_the_checks_of_distillation(workplace):
    write_split(prepare(parse({**_models(), "data": _csv()}, "test")), workplace / "prepared")
    script = next(script for script in scripts(GUIDE) if "teacher.parquet" in script)
    exec(compile(script, "guide.md", "exec"), {})
    split = read_split(workplace / "prepared")
    lists = Rankings.read("teacher.parquet", split.item_ids, split.user_ids)
    assert lists.per_user
    assert len(lists) == split.num_users
    assert not split.train.members()(np.arange(split.num_users)[:, None], lists.items).any()


def test_the_guide_s_four_plugins_make_a_run_with_a_report(workplace):
    text = next(block for block in blocks(GUIDE, "toml") if "my_readers" in block)
    page = workflow.run(parse(tomllib.loads(text), "guide.md"), workplace / "run")
    assert page.read_text(encoding="utf-8").count("my_models:Mean") > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_toml_block_is_a_valid_experiment(page, workplace):
    """A block may be a part of an experiment: what has to be there beside it is filled in."""
    for block in blocks(page, "toml"):
        given = tomllib.loads(block)
        rest = {"data": {"kind": "synthetic"}, "teacher": {"kind": "caser"}, "student": {"kind": "fossil"}}
        experiment = parse({**rest, **given}, page.name)
        assert experiment.student.kind == given.get("student", rest["student"])["kind"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_valid_experiment(path):
    experiment = load(path)
    teacher = experiment.teacher
    largest = max(getattr(each.model, "dim", 0) for each in getattr(teacher, "each", (teacher,)))
    assert experiment.student.model.dim < largest


def test_the_demo_takes_a_made_up_log_and_says_so_where_movielens_is_not_to_be_had(monkeypatch, caplog):
    monkeypatch.setattr(datasets, "locate", _nowhere)
    experiment = load(EXPERIMENT, demo_data())
    assert experiment.data.kind == "synthetic"
    assert "MADE-UP" in caplog.text
    assert "nowhere to be had" in caplog.text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_named_exists_with_its_options(page):
    verbs = typer.main.get_command(app).commands
    for verb, *words in commands(page):
        assert verb in verbs, f"{page.name}: no verb {verb}"
        command = verbs[verb]
        if hasattr(command, "commands"):
            assert words[0] in command.commands, f"{page.name}: no verb {verb} {words[0]}"
            command = command.commands[words[0]]
        if isinstance(command, DottedOptions):
            words = split_dotted(words)[1]
        options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        for word in words:
            assert not word.startswith("--") or word in options, f"{page.name}: {verb} has no {word}"


def test_the_readme_and_the_guide_name_commands():
    assert {words[0] for words in commands(README)} >= {"run", "doctor", "show"}
    assert {words[0] for words in commands(GUIDE)} >= {
        "prepare",
        "train",
        "label",
        "distill",
        "evaluate",
        "report",
        "sweep",
    }


@pytest.mark.parametrize("page", [README, GUIDE], ids=lambda page: page.name)
def test_every_override_named_is_valid(page, workplace):
    (workplace / "experiment.toml").write_text(blocks(README, "toml")[0], encoding="utf-8")
    given = [value for words in commands(page) for option, value in pairwise(words) if option == "--set"]
    assert given
    for value in given:
        assert load(workplace / "experiment.toml", [value]) != load(workplace / "experiment.toml")


@pytest.mark.parametrize("page", [README, GUIDE], ids=lambda page: page.name)
def test_every_sweep_named_can_be_made(page, workplace):
    (workplace / "experiment.toml").write_text(blocks(README, "toml")[0], encoding="utf-8")
    named = [split_dotted(words)[0] for words in commands(page) if words[0] == "sweep"]
    tried = [axes for each in named if (axes := parse_all(each))]
    assert tried
    for axes in tried:
        made = plan(lambda changes: load(workplace / "experiment.toml", changes), axes)
        assert len(made.points) > 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in _anchors(file), f"{page.name}: {target}"


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path != EXPERIMENT], ids=lambda path: path.name)
def test_the_readme_names_every_example(path):
    assert f"rankdistill run examples/{path.name}" in README.read_text(encoding="utf-8")


def test_the_guide_explains_every_key_of_an_experiment():
    plugged = [
        plugins.find(group, kind).Config
        for group in ("readers", "models", "losses", "distillation", "trackers")
        for kind in plugins.kinds(group)
    ]
    keys = {option.key for section in (*SECTIONS, *plugged) for option in describe(section)} | {"seed", "kind"}
    text = GUIDE.read_text(encoding="utf-8")
    assert sorted(key for key in keys if f"`{key}`" not in text) == []


def test_the_guide_s_tables_have_the_defaults_of_the_code():
    text = GUIDE.read_text(encoding="utf-8")
    for section in (*SECTIONS, plugins.find("models", "caser").Config):
        for option in describe(section):
            default = f"`{option.default}`" if option.default not in ("", "required") else option.default or "–"
            assert re.search(rf"^\| `{option.key}` \| [^|]* \| {re.escape(default)} \|", text, re.M), option.key


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _nowhere(name: str) -> Path:
    raise DataError(f"{name}: nowhere to be had")


def _csv() -> dict[str, object]:
    return {"kind": "delimited", "path": "events.csv"}


def _models() -> dict[str, dict[str, object]]:
    return {role: {"kind": "caser", "dim": dim} for role, dim in (("teacher", 8), ("student", 4))}
