"""`tune` and `compress` from the command line: what they leave, go on with, and refuse."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Command, snapshot

from rankdistill.cli.compress import NOT_MET
from rankdistill.config import load
from rankdistill.tuning.goal import Goal

FACTORS = ("--set", "student={kind='matrix_factorization',dim=8}", "--set", "train.learning_rate=0.01")
TUNE = ("tune", "e.toml", "--role", "student", "--out", "tuned", *FACTORS)
SMALLER = ("--set", "distillation={k=3,warmup_epochs=0}", "--key", "student.dim=2..8", *FACTORS)
COMPRESS = ("compress", "e.toml", "--set", "teacher={kind='matrix_factorization',dim=16}", *SMALLER)


def trials(folder: Path) -> list[dict[str, object]]:
    kept = json.loads((folder / "trials.json").read_text())["trials"]
    return [{key: value for key, value in each.items() if key != "seconds"} for each in kept]


def without_optuna(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; sys.modules['optuna'] = None\nfrom rankdistill.cli import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", [TUNE, (*COMPRESS, "--under-mb", "0.002", "--out", "small")])
def test_without_optuna_the_install_line_is_said_before_anything_is_done(desk: Path, command: tuple[str, ...]) -> None:
    ended = without_optuna(*command)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == "rankdistill: optuna is not installed; pip install 'rankdistill[tune]'"
    assert {path.name for path in desk.iterdir()} == {"e.toml", "events.csv"}


class TestWithOptuna:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("optuna")

    def test_tune_ends_with_settings_that_run_takes(self, desk: Path, cli: Command) -> None:
        outcome = cli.done(*TUNE, "--trials", "3")
        assert "best: trial " in outcome.out
        assert "settings: tuned/best.toml" in outcome.out
        best = load(desk / "tuned" / "best.toml")
        assert best.split.train_on_validation
        page = (desk / "tuned" / "trials.md").read_text()
        assert page.startswith("# Settings of the student\n")
        assert "| `student.train.weight_decay` | 1e-08 to 0.001, log |" in page
        cli.done("run", "tuned/best.toml", "--out", "run")

    def test_what_is_set_is_not_searched(self, desk: Path, cli: Command) -> None:
        found = json.loads(cli.done(*TUNE, "--trials", "2", "--json").out)
        assert "student.train.learning_rate" not in found["space"]
        assert all(load(desk / "tuned" / "best.toml").train.learning_rate == 0.01 for _ in found["ranking"])

    def test_a_search_that_is_killed_goes_on_as_if_it_had_not_been(self, desk: Path, cli: Command) -> None:
        command = [sys.executable, "-m", "rankdistill", *TUNE, "--trials", "6"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        seen = next((line for line in process.stderr if line.startswith("trial 3: ")), None)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        assert seen is not None
        assert not (desk / "tuned" / "best.toml").exists()
        cli.done(*TUNE, "--trials", "6")
        whole = [*TUNE[:5], "whole", *TUNE[6:]]
        cli.done(*whole, "--trials", "6")
        assert trials(desk / "tuned") == trials(desk / "whole")
        assert (desk / "tuned" / "best.toml").read_text() == (desk / "whole" / "best.toml").read_text()

    def test_two_trials_at_once_are_all_kept(self, desk: Path, cli: Command) -> None:
        cli.done(*TUNE, "--trials", "4", "--jobs", "2")
        assert [each["number"] for each in trials(desk / "tuned")] == [1, 2, 3, 4]

    @pytest.mark.parametrize("named", ["lists", "model"])
    def test_a_distilled_student_is_tuned_for_a_given_teacher(self, desk: Path, cli: Command, named: str) -> None:
        apart = ("--set", "split.train_on_validation=false")
        cli.done("train", "e.toml", "--role", "teacher", "--out", "teacher", *apart)
        cli.done("label", "teacher", "--k", "6", "--out", "lists.parquet", "--config", "e.toml", *apart)
        teacher = {"lists": "lists.parquet", "model": "teacher"}[named]
        given = ("--teacher", teacher, *(apart if named == "lists" else ()))
        command = ("tune", "e.toml", "--role", "distilled", "--out", "tuned", *given, *FACTORS)
        found = json.loads(cli.done(*command, "--set", "distillation.k=3", "--trials", "2", "--json").out)
        assert found["trials"] == 2
        best = load(desk / "tuned" / "best.toml")
        assert hasattr(best.teacher, "rankings") == (named == "lists")

    def test_a_given_teacher_that_knows_the_validation_part_is_refused(self, desk: Path, cli: Command) -> None:
        cli.done("train", "e.toml", "--role", "teacher", "--out", "teacher")
        cli.done("label", "teacher", "--k", "6", "--out", "lists.parquet", "--config", "e.toml")
        tune = ("tune", "e.toml", "--role", "distilled", "--out", "tuned", "--trials", "1", *FACTORS)
        lists = cli.refusal(*tune, "--teacher", "lists.parquet")
        assert lists == (
            "lists.parquet: 20 of 100 lists are for queries behind the training part (first: user 'u0', position 9), "
            "which a search keeps apart to judge by; make them with --set split.train_on_validation=false"
        )
        model = cli.refusal(*tune, "--teacher", "teacher")
        assert model.startswith(f"{desk / 'teacher'}: trained on other data (fingerprint ")
        assert model.endswith(
            "a search keeps the validation part apart: train it with --set split.train_on_validation=false"
        )
        compress = ("compress", "e.toml", "--teacher", "teacher", "--under-mb", "0.002", "--out", "tuned", *SMALLER)
        assert cli.refusal(*compress) == model
        assert not (desk / "tuned").exists()  # as it was

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            (
                ("--key", "student.dimm=1..2"),
                "--key 'student.dimm=1..2': [student] has no key 'dimm'; did you mean 'dim'?",
            ),
            (("--teacher", "x.parquet"), "--teacher is of no use to --role student; it is for --role distilled"),
            (("--metric", "coverage@10"), "--metric coverage@10: is no value of a user; take one such as 'ndcg@10'"),
            (
                ("--set", "split.fractions=[0.8,0.0,0.2]"),
                "events.csv: there is no validation part, and settings are chosen by nothing else; split with [split] "
                "fractions such as [0.7, 0.1, 0.2], or bring one",
            ),
        ],
    )
    def test_what_cannot_be_tuned_is_one_line(
        self, desk: Path, cli: Command, options: tuple[str, ...], line: str
    ) -> None:
        assert cli.refusal(*TUNE, "--trials", "2", *options) == line

    @pytest.mark.parametrize(
        "verb",
        [
            ("tune", "e.toml", "--role", "distilled", "--trials", "1"),
            ("compress", "e.toml", "--under-mb", "0.002", "--trials", "1"),
        ],
    )
    @pytest.mark.parametrize(
        ("change", "line"),
        [
            (
                "distillation={kind='hetcomp',k=3}",
                "[teacher]: one list for each query, and [distillation] kind = 'hetcomp' climbs from easy lists to "
                "hard ones; set [teacher.train] checkpoints = 3, give [[teacher]] several times, or take another ",
            ),
            (
                "student={kind='item_knn'}",
                "[student] kind = 'item_knn' learns nothing by gradient, so nothing can be distilled into it; take ",
            ),
        ],
    )
    def test_what_cannot_be_distilled_is_refused_before_the_teacher_is_trained(
        self, desk: Path, cli: Command, verb: tuple[str, ...], change: str, line: str
    ) -> None:
        assert cli.refusal(*verb, "--set", change, "--out", "found").startswith(line)
        assert not (desk / "found").exists()

    def test_a_given_model_without_epochs_to_climb_is_refused_before_it_is_copied(
        self, desk: Path, cli: Command
    ) -> None:
        rising = (desk / "e.toml").read_text().replace("dim = 4", "dim = 16") + "learning_rate = 0.01\n"
        (desk / "e.toml").write_text(rising)  # the last epoch is the best
        train = ("train", "e.toml", "--role", "teacher", "--set", "split.train_on_validation=false")
        climb = ("compress", "e.toml", "--set", "distillation={kind='hetcomp',k=3}", "--within", "5%", "--out", "found")
        cli.done(*train, "--out", "teacher")
        line = cli.refusal(*climb, "--teacher", "teacher")
        assert line.startswith("[teacher]: one list for each query, and [distillation] kind = 'hetcomp' climbs from ")
        assert "train it with [teacher.train] checkpoints = 3, name files in [teacher] easier, " in line
        cli.done(*train, "--out", "kept", "--set", "teacher.train.checkpoints=2")
        line = cli.refusal(*climb, "--teacher", "kept")  # the teacher that is trained for the final run keeps none
        assert "climbs from easy lists to hard ones; set [teacher.train] checkpoints = 3" in line
        assert not (desk / "found").exists()

    def test_tune_leaves_the_folder_of_a_run_alone(self, done: Path, cli: Command) -> None:
        before = snapshot(done)
        line = cli.refusal("tune", "e.toml", "--role", "student", "--trials", "1", "--out", done)
        assert line == "done: holds run.json, which no tune wrote; name another --out"
        assert snapshot(done) == before

    def test_compress_ends_with_a_smaller_student_and_its_run(self, desk: Path, cli: Command) -> None:
        outcome = cli.done(*COMPRESS, "--within", "60%", "--trials", "6", "--out", "small")
        found = json.loads((desk / "small" / "compress.json").read_text())
        assert found["met"]
        assert found["chosen"]["settings"]["student.dim"] < 8
        assert found["chosen"]["validation"] >= found["needed"] == pytest.approx(0.4 * found["teacher"]["validation"])
        met = [row for row in found["trials"] if row["met"]]
        assert found["chosen"]["bytes"] == min(row["bytes"] for row in met)
        final = {row["role"]: row for row in found["test"]}
        assert set(final) == {"teacher", "student", "distilled"}
        assert final["distilled"]["bytes"] == final["student"]["bytes"] == found["chosen"]["bytes"]
        assert final["distilled"]["bytes"] < final["teacher"]["bytes"]
        quality = {role: row["metrics"]["ndcg@10"] for role, row in final.items()}
        assert found["sure"]["lost"] == pytest.approx(1 - quality["distilled"] / quality["teacher"])
        assert (found["sure"]["high"] <= 0.6) == (found["sure"]["probability"] >= 0.975)
        assert (desk / "small" / "final" / "report.html").exists()
        assert "the smallest student that meets --within 60%: " in outcome.out
        choice = f"that it is the choice among {len(found['trials'])} trials, is left out)"
        assert (
            f"(10,000 paired resamples of these users alone: what another seed would give, and {choice}" in outcome.out
        )
        plain = [line for line in found["sentences"] if line.startswith("the plain student of that size, which has no")]
        assert len(plain) == 1
        assert plain[0].endswith("within 60%, too" if found["plain"]["lost"] <= 0.6 else "is not within 60%")
        page = (desk / "small" / "compress.md").read_text()
        assert "| met | ended |" in page
        (row,) = (line for line in page.splitlines() if line.startswith(f"| {found['chosen']['number']} |"))
        assert "| yes | complete |" in row
        settings = {part.partition(" = ")[0].strip() for part in row.split("|")[-2].split(",")}
        given, chosen = found["given"], found["chosen"]["settings"]
        assert settings == {key for key in given if given[key] != chosen[key]}
        again = cli.done(*COMPRESS, "--within", "60%", "--trials", "6", "--out", "small")
        assert json.loads((desk / "small" / "compress.json").read_text())["chosen"] == found["chosen"]
        assert "distilled: up to date" in again.err

    def test_compress_gives_the_best_student_that_fits(self, desk: Path, cli: Command) -> None:
        cli.done(*COMPRESS, "--under-mb", "0.002", "--trials", "4", "--out", "small")
        found = json.loads((desk / "small" / "compress.json").read_text())
        assert all(row["bytes"] <= 2000 for row in found["trials"])
        assert found["chosen"]["validation"] == max(row["validation"] for row in found["trials"])
        assert found["sure"]["probability"] is None

    def test_compress_goes_below_a_student_that_is_as_large_as_its_teacher(self, desk: Path, cli: Command) -> None:
        cli.done(*COMPRESS, "--within", "60%", "--trials", "2", "--set", "student.dim=16", "--out", "small")
        found = json.loads((desk / "small" / "compress.json").read_text())
        assert found["trials"]
        assert all(row["bytes"] < found["teacher"]["bytes"] for row in found["trials"])

    def test_a_goal_that_no_student_meets_ends_with_what_came_closest(
        self, desk: Path, cli: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Goal, "bar", lambda goal, teacher: 2.0)  # no metric is above 1
        outcome = cli(*COMPRESS, "--within", "1%", "--under-mb", "0.0012", "--trials", "2", "--out", "small")
        assert outcome.status == NOT_MET
        assert "no student met --within 1% --under-mb 0.0012 in 2 trials; the closest is trial " in outcome.out
        closest = json.loads((desk / "small" / "compress.json").read_text())["chosen"]
        share = 1 - closest["validation"] / 2
        assert closest["missed"] == {"--within": pytest.approx(share)}
        assert f"it misses --within by {100 * share:.1f} % of the nDCG@10 that is needed" in outcome.out
        assert load(desk / "small" / "closest.toml").student.model.dim < 8
        assert not (desk / "small" / "final").exists()

    def test_compress_leaves_the_folder_of_a_run_alone(self, done: Path, cli: Command) -> None:
        before = snapshot(done)
        line = cli.refusal(*COMPRESS, "--within", "60%", "--trials", "1", "--out", done)
        assert line == "done: holds run.json, which no compress wrote; name another --out"
        assert snapshot(done) == before

    def test_compress_refuses_lists_that_its_final_run_would_replace(self, desk: Path, cli: Command) -> None:
        lists = desk / "small" / "final" / "labels.parquet"
        lists.parent.mkdir(parents=True)
        lists.touch()
        compress = ("compress", "e.toml", "--teacher", "small/final/labels.parquet", *SMALLER)
        line = cli.refusal(*compress, "--under-mb", "0.002", "--out", "small")
        assert line == (
            f"--out small: work there replaces {lists}, which is read; copy that first, or name another --out"
        )
        assert [path.name for path in desk.glob("small/*") if path.name != ".lock"] == ["final"]

    def test_compress_takes_the_lists_of_another_teacher(self, desk: Path, cli: Command) -> None:
        apart = ("--set", "split.train_on_validation=false")
        cli.done("train", "e.toml", "--role", "teacher", "--out", "teacher", *apart)
        cli.done("label", "teacher", "--k", "6", "--out", "lists.parquet", "--config", "e.toml", *apart)
        compress = ("compress", "e.toml", "--teacher", "lists.parquet", *SMALLER, *apart)
        cli.done(*compress, "--under-mb", "0.002", "--trials", "1", "--out", "small")
        found = json.loads((desk / "small" / "compress.json").read_text())
        assert found["teacher"]["bytes"] is None
        assert load(desk / "small" / "final" / "config.toml").teacher.rankings == desk / "lists.parquet"

    def test_compress_searches_with_a_given_model_and_runs_with_the_teacher_of_the_experiment(
        self, desk: Path, cli: Command
    ) -> None:
        cli.done("train", "e.toml", "--role", "teacher", "--out", "teacher", "--set", "split.train_on_validation=false")
        compress = ("compress", "e.toml", "--teacher", "teacher", *SMALLER)
        cli.done(*compress, "--within", "60%", "--trials", "2", "--out", "small")
        found = json.loads((desk / "small" / "compress.json").read_text())
        card = json.loads((desk / "teacher" / "model.json").read_text())
        assert found["teacher"]["bytes"] == card["bytes"]
        searched = json.loads((desk / "small" / "search" / "teacher" / "model.json").read_text())
        assert searched["from"] == str(desk / "teacher")
        assert load(desk / "small" / "final" / "config.toml").teacher.kind == "caser"

    def test_a_given_model_is_that_of_the_run_where_the_validation_part_is_kept_apart(
        self, desk: Path, cli: Command
    ) -> None:
        apart = ("--set", "split.train_on_validation=false")
        cli.done("train", "e.toml", "--role", "teacher", "--out", "teacher", *apart)
        (desk / "other.toml").write_text((desk / "e.toml").read_text().replace('"caser"\ndim = 4', '"popularity"'))
        given = ("--teacher", "teacher", "--within", "60%", "--trials", "1", "--out", "small")
        assert cli.refusal("compress", "other.toml", *SMALLER, *given).startswith(
            "teacher: the final run trains [teacher] with the validation part, too, and this model is another one "
            "(model.activation, "
        )
        cli.done("compress", "other.toml", *SMALLER, *apart, *given)
        kept = [desk / "small" / name / "teacher" / "model.safetensors" for name in ("search", "final")]
        assert len({path.read_bytes() for path in (desk / "teacher" / "model.safetensors", *kept)}) == 1
        tune = ("tune", "other.toml", "--role", "distilled", "--trials", "1", "--out", "tuned")
        cli.done(*tune, *given[:2], *SMALLER, *apart)
        outcome = cli.done("run", "tuned/best.toml", "--out", "run")
        assert "teacher: the Caser of " in outcome.err
        assert (desk / "run" / "teacher" / "model.safetensors").read_bytes() == kept[0].read_bytes()

    def test_a_given_model_without_a_teacher_to_train_in_the_end_is_refused_with_what_to_do(
        self, desk: Path, cli: Command
    ) -> None:
        apart = ("--set", "split.train_on_validation=false")
        cli.done("train", "e.toml", "--role", "teacher", "--out", "teacher", *apart)
        (desk / "bare.toml").write_text(
            (desk / "e.toml").read_text().replace('[teacher]\nkind = "caser"\ndim = 4\n', "")
        )
        compress = ("compress", "bare.toml", "--teacher", "teacher", *SMALLER, "--under-mb", "0.002", "--trials", "1")
        tune = ("tune", "bare.toml", "--role", "distilled", "--teacher", "teacher", "--trials", "1")
        for command in (compress, tune):
            line = cli.refusal(*command, "--out", "small")
            assert line.startswith(
                "teacher: the final run trains [teacher] with the validation part, too, and there is none to train "
                "(bare.toml: [teacher]: is missing; "
            )
            assert line.endswith(
                "); make [teacher] what the model is, or set split.train_on_validation=false, and the run has the "
                "model itself"
            )
        cli.done(*compress, *apart, "--out", "small")

    def test_a_larger_budget_finds_the_work_of_a_smaller_one(
        self, desk: Path, cli: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command = (*COMPRESS, "--within", "60%", "--out", "small", "--set", "split.train_on_validation=false")
        small, copy = desk / "small", shutil.copy2
        with monkeypatch.context() as patch:
            patch.setattr(Goal, "bar", lambda goal, teacher: 2.0)  # no metric is above 1
            assert cli(*command, "--trials", "1").status == NOT_MET
        assert (small / "closest.toml").exists()
        with monkeypatch.context() as patch:  # the disk is full when the run is to begin

            def full(source: Path, target: Path, **options: bool) -> None:
                if Path(target).name == "stages.json" or Path(source).name == "stages.json":
                    raise OSError(28, "No space left on device")
                copy(source, target, **options)

            patch.setattr(shutil, "copy2", full)
            assert "No space left on device" in cli.refusal(*command, "--trials", "2")
        assert not (small / "final").exists()
        begun = small / "final" / "distilled" / "checkpoint.safetensors"
        cli.done(*command, "--trials", "2")
        (small / "final" / "distilled" / "model.json").unlink()
        begun.write_bytes(b"of another student")
        outcome = cli.done(*command, "--trials", "2")
        assert "; started over" in outcome.err
        assert not begun.exists()
        assert not (small / "closest.toml").exists()
        assert json.loads((small / "compress.json").read_text())["looks"] == 1

    @pytest.mark.parametrize(
        ("goal", "line"),
        [
            ((), "no goal: name one or more of --within 1%, --under-mb 1.1 and --under-ms 0.2"),
            (
                ("--within", "0%"),
                "--within 0%: asks a student to be as good as its teacher or better, which none can promise; name a "
                "loss above 0%",
            ),
            (
                ("--within", "-2%"),
                "--within -2%: asks a student to be as good as its teacher or better, which none can promise; name a "
                "loss above 0%",
            ),
            (
                ("--within", "1%", "--minutes", "0"),
                "--minutes 0: is no time to search in; name a number above 0",
            ),
            (("--under-ms", "0"), "--under-ms 0: no student takes 0 ms; name a number above 0"),
            (
                ("--under-mb", "0.0001"),
                "--under-mb 0.0001: the smallest student that is searched, matrix_factorization with dim = 2, "
                'item_table = "low_rank", has '
                "0.00072 MB; ask for more, or widen the sizes with --key student.dim=1..64:log",
            ),
            (
                ("--under-mb", "9"),
                "--under-mb 9: the teacher itself, matrix_factorization with dim = 16, has 0.00361 MB; ask for less",
            ),
            (
                ("--within", "1%", "--set", "teacher={kind='popularity'}"),
                'the smallest student that is searched, matrix_factorization with dim = 2, item_table = "low_rank", '
                "has 0.00072 MB and the teacher popularity 0.000196 MB: there is nothing to compress; name a smaller "
                "student, or widen the sizes with --key student.dim=1..64:log",
            ),
            (
                ("--within", "1%", "--set", "teacher={rankings='events.csv'}"),
                "--within 1%: how good the teacher is cannot be known of events.csv alone; name its lists for the "
                "validation users in [teacher] validation_rankings, or ask with --under-mb or --under-ms alone",
            ),
        ],
    )
    def test_a_goal_that_contradicts_itself_is_refused_before_anything_is_trained(
        self, desk: Path, cli: Command, goal: tuple[str, ...], line: str
    ) -> None:
        assert cli.refusal(*COMPRESS, *goal, "--out", "small") == line
        assert not (desk / "small" / "search" / "teacher").exists()
