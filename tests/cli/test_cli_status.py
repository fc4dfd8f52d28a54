"""Exit statuses and the line that comes with them."""

import subprocess
import sys

import pytest
from commands import Command

from rankdistill import __version__

VERBS = ["run", "prepare", "train", "label", "fuse", "distill", "evaluate", "report", "export", "recommend", "serve"]
VERBS += ["reproduce", "show", "doctor", "demo"]


def test_no_arguments_and_help_show_the_verbs(cli: Command) -> None:
    bare = cli.done()
    assert bare.out == cli.done("--help").out
    assert [verb for verb in (*VERBS, "bench") if f"\n  {verb} " not in bare.out] == []


@pytest.mark.parametrize("verb", [*VERBS, "bench latency", "bench load"])
def test_every_verb_explains_itself(cli: Command, verb: str) -> None:
    text = cli.done(*verb.split(), "--help").out
    assert text.startswith(f"Usage: rankdistill {verb} ")
    assert "--json" in text
    assert "--debug" in text
    assert " object at " not in text


def test_version_is_printed(cli: Command) -> None:
    assert cli.done("--version").out == f"rankdistill {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("rn",), "No such command 'rn'. Did you mean 'run'? (see `rankdistill --help`)"),
        (("run",), "Missing argument 'CONFIG' (see `rankdistill run --help`)"),
        (("run", "e.toml", "--resum"), "No such option: --resum"),
        (("label", "m", "--out", "l", "--k", "0"), "Invalid value for '--k': "),
        (("train", "e.toml", "--role", "pupil", "--out", "m"), "Invalid value for '--role': 'pupil' is not one of"),
        (("evaluate", "m", "--metrics", ","), "m: no model here (model.json is missing)"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused_in_one_line(
    cli: Command, arguments: tuple[str, ...], line: str
) -> None:
    outcome = cli(*arguments)
    assert outcome.status == 2
    assert outcome.err.startswith(f"rankdistill: {line}")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("shard", ["3/2", "0/2", "half", "1/"])
def test_a_shard_that_does_not_exist_is_refused(cli: Command, shard: str) -> None:
    line = cli.refusal("label", "m", "--out", "l.parquet", "--shard", shard)
    assert line == f"--shard {shard!r}: write it as I/N with I from 1 to N, for example 2/8"


def test_debug_shows_the_traceback_of_a_mistake_as_well(cli: Command) -> None:
    outcome = cli("run", "nowhere.toml", "--debug")
    assert outcome.status == 2
    assert "Traceback (most recent call last)" in outcome.err
    assert outcome.line == "rankdistill: nowhere.toml: there is no such file"


def _fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def examine() -> None:
        raise error

    monkeypatch.setattr("rankdistill.doctor.examine", examine)


def test_a_bug_keeps_its_traceback(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    _fails_with(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli("doctor")


def test_a_bug_exits_with_1() -> None:
    code = "from rankdistill import plugins; plugins.kinds = None; from rankdistill.cli import main; main(['show'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr


def test_an_interruption_exits_with_130_and_says_how_to_go_on(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    _fails_with(monkeypatch, KeyboardInterrupt())
    outcome = cli("doctor")
    assert outcome.status == 130
    assert outcome.err == (
        "rankdistill: interrupted; the same command goes on where it stopped with --resume (run, train, distill) "
        "or by itself (sweep, tune, compress, reproduce)\n"
    )


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]
)
def test_too_little_memory_is_said_in_one_line(
    cli: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    _fails_with(monkeypatch, error)
    assert cli.refusal("doctor").startswith(
        "out of memory; lower [train] batch_size, [evaluate] depth or the models' dim"
    )


def test_a_full_disk_outside_of_our_own_files_is_said_in_one_line(
    cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fails_with(monkeypatch, OSError(28, "No space left on device", "labels.tmp"))
    line = cli.refusal("doctor")
    assert line == "labels.tmp: No space left on device; make room or name another place, then go on with --resume"


def test_help_is_quick_because_it_loads_nothing_heavy() -> None:
    code = (
        "import sys; from rankdistill.cli import main; main(['run', '--help']); "
        "print([name for name in ('torch', 'polars', 'rich', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m rankdistill show caser | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.split() in (["141"], ["0"])
    assert done.stderr == ""
