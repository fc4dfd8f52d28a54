"""Experiment files and overrides with mistakes: the file, the key, the value and the nearest name."""

from pathlib import Path

import pytest
from commands import EXPERIMENT, Command

MISTAKES = {
    "student.dimm=3": "--set: [student] dimm: unknown key; did you mean 'dim'?",
    "studnt.dim=3": "--set: [studnt]: unknown section; did you mean [student]?",
    "student.dim='a'": "--set: [student] dim: 'a' is not an integer",
    "student.dim=0": "--set: [student] dim: 0 is out of range (at least 1)",
    "student.kind=casr": (
        "--set: [student] kind: 'casr' is no model; did you mean 'caser'? "
        "(there are: caser, ease, fossil, gru4rec, item_knn, lightgcn, matrix_factorization, popularity, sasrec)"
    ),
    "student.history_length=9": (
        "e.toml: [student] history_length: 9 is more than [windows] history_length = 5; lower it, or leave it out for "
        "the whole history"
    ),
    "student.rank=3": (
        "--set: [student] rank: 3 is for item_table = 'low_rank', which is 'full'; drop rank, or change the table"
    ),
    "student.precision=int4": (
        "--set: [student] precision: 'int4' is not 'float32', 'float16' or 'int8'; did you mean 'int8'?"
    ),
    "train.learning_rate=-1": "--set: [train] learning_rate: -1 is out of range (above 0)",
    "split.fractions=[0.5, 0.1, 0.1]": "--set: [split] fractions: [0.5, 0.1, 0.1] has the sum 0.7; it must be 1",
    "windows.history_length=0": "--set: [windows] history_length: 0 is out of range (at least 1)",
    "distillation.weighting=hybird": (
        "--set: [distillation] weighting: 'hybird' is not 'uniform', 'reciprocal', 'position', 'discrepancy' or "
        "'hybrid'; did you mean 'hybrid'?"
    ),
    "nonsense": "--set 'nonsense': write it as section.key=value, for example student.dim=20",
}


@pytest.mark.parametrize(("override", "line"), MISTAKES.items())
def test_a_mistaken_override_is_refused_before_anything_is_written(
    desk: Path, cli: Command, override: str, line: str
) -> None:
    assert cli.refusal("run", "e.toml", "--out", "run", "--set", override) == line
    assert not (desk / "run").exists()


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("dimm = 2", "wrong.toml: [student] dimm: unknown key; did you mean 'dim'?"),
        ('dim = "2"', "wrong.toml: [student] dim: '2' is not an integer"),
        ("dim = -2", "wrong.toml: [student] dim: -2 is out of range (at least 1)"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_the_file(desk: Path, cli: Command, wrong: str, line: str) -> None:
    (desk / "wrong.toml").write_text(EXPERIMENT.replace("dim = 2", wrong))
    assert cli.refusal("run", "wrong.toml") == line


def test_broken_toml_is_refused_with_its_line(desk: Path, cli: Command) -> None:
    (desk / "wrong.toml").write_text("[data]\nkind = \n")
    assert cli.refusal("run", "wrong.toml") == "wrong.toml: is not valid TOML: Invalid value (at line 2, column 8)"


def test_a_missing_experiment_file_is_refused_with_the_nearest_one(desk: Path, cli: Command) -> None:
    assert cli.refusal("run", "e2.toml") == "e2.toml: there is no such file; did you mean 'e.toml'?"


def test_an_unknown_metric_is_refused_before_anything_is_trained(desk: Path, cli: Command) -> None:
    line = cli.refusal("run", "e.toml", "--out", "run", "--set", "evaluate.metrics=['ndgc@10']")
    assert line.startswith(
        "[evaluate] metrics: metric 'ndgc@10' does not exist; did you mean 'ndcg@10'? There are precision@k, recall@k"
    )
    assert not (desk / "run" / "teacher").exists()


VERBS = {
    "run": ("--out", "made"),
    "train": ("--role", "teacher", "--out", "made"),
    "distill": ("--teacher", "lists.parquet", "--out", "made"),
    "sweep": ("--student.dim", "2,3", "--out", "made"),
    "tune": ("--role", "student", "--out", "made"),
    "compress": ("--under-mb", "1", "--out", "made"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("ndgc@10", "metric 'ndgc@10' does not exist; did you mean 'ndcg@10'?"),
        ("coverage@10", "coverage@10 is no value of a user; take one such as 'ndcg@10'"),
    ],
)
def test_a_roles_own_validation_metric_is_refused_before_anything_is_trained(
    desk: Path, cli: Command, verb: str, metric: str, reason: str
) -> None:
    (desk / "lists.parquet").touch()  # of `distill`, which looks first whether they are there
    changed = ("--set", f"student.train.validation_metric={metric}")
    line = cli.refusal(verb, "e.toml", *VERBS[verb], *changed)
    assert "[student.train] validation_metric: " + reason in line
    assert not (desk / "made").exists()


def test_a_model_is_measured_whatever_its_training_was_validated_by(done: Path, cli: Command) -> None:
    cli.done("evaluate", done / "student", "--set", "student.train.validation_metric=coverage@10")


def test_a_device_that_is_not_there_is_refused_before_anything_is_read(desk: Path, cli: Command) -> None:
    line = cli.refusal("run", "e.toml", "--device", "cuda:99", "--out", "run")
    assert line.startswith("device 'cuda:99' is not there (")
    assert line.endswith("; use 'cpu' or 'auto'")
    assert not (desk / "run").exists()


def test_a_seed_that_no_generator_takes_is_refused(desk: Path, cli: Command) -> None:
    line = cli.refusal("prepare", "e.toml", "--seed", 10**22, "--out", "prepared")
    assert line.endswith(f"seed: {10**22} is out of range (below {2**63})")


def test_a_misspelt_device_is_refused(desk: Path, cli: Command) -> None:
    assert cli.refusal("train", "e.toml", "--role", "student", "--out", "m", "--device", "gpu") == (
        "--set: [train] device: 'gpu' is not 'auto', 'cpu', 'cuda' or 'cuda:N'; did you mean 'cpu'?"
    )


def test_k_larger_than_the_catalogue_is_refused_before_anything_is_trained(desk: Path, cli: Command) -> None:
    line = cli.refusal("run", "e.toml", "--out", "run", "--set", "distillation.k=1000")
    assert line.startswith("k = 1000 is more than the catalogue's 30 items give: ")
    assert not (desk / "run" / "teacher" / "model.json").exists()


def test_k_larger_than_the_catalogue_is_refused_when_labelling(desk: Path, cli: Command, done: Path) -> None:
    line = cli.refusal("label", done / "teacher", "--k", 31, "--out", "lists.parquet")
    assert line == (
        "k = 31 is more than the catalogue's 30 items give: 30 occur in training, and a list leaves out up to 1 of "
        "them (exclude = 'targets'); lower k to 29"
    )
    assert not (desk / "lists.parquet").exists()


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_learning_rate(desk: Path, cli: Command) -> None:
    line = cli.refusal("run", "e.toml", "--out", "run", "--set", "train.learning_rate=1e30")
    assert line == (
        "teacher: ranking_loss is nan by step 1 of epoch 2; nothing was saved of this epoch; "
        "try a lower [train] learning_rate (now 1e+30)"
    )
    assert not (desk / "run" / "teacher" / "model.json").exists()


def test_a_run_goes_through_after_its_mistake_is_mended(desk: Path, cli: Command) -> None:
    cli.refusal("run", "e.toml", "--out", "run", "--set", "train.learning_rate=1e30")
    assert cli.done("run", "e.toml", "--out", "run").out.endswith("report: run/report.html\n")


def test_a_kind_that_lacks_the_keys_of_the_file_is_refused_with_what_to_write_instead(desk: Path, cli: Command) -> None:
    run = ("run", "e.toml", "--out", "run", "--set")
    assert cli.refusal(*run, "teacher.kind=popularity") == (
        "e.toml: [teacher] dim: 'popularity' has no key 'dim'; "
        "--set 'teacher={kind = \"popularity\"}' drops the keys that e.toml gives"
    )
    cli.done(*run, 'teacher={kind = "popularity"}')


@pytest.mark.parametrize("kind", ["popularity", "item_knn", "ease"])
def test_a_student_that_learns_nothing_by_gradient_is_refused_by_what_distils(
    desk: Path, cli: Command, done: Path, kind: str
) -> None:
    line = (
        f"[student] kind = '{kind}' learns nothing by gradient, so nothing can be distilled into it; "
        "take one of caser, fossil, gru4rec, lightgcn, matrix_factorization, sasrec"
    )
    student = ("--set", f'student={{kind = "{kind}"}}')
    assert cli.refusal("run", "e.toml", "--out", "run", *student) == line
    assert cli.refusal("distill", "e.toml", "--teacher", done / "labels.parquet", "--out", "model", *student) == line
    assert not (desk / "run" / "data").exists()
    assert not (desk / "model").exists()


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_model_that_learns_nothing_by_gradient_is_trained_for_a_role(desk: Path, cli: Command, role: str) -> None:
    cli.done("train", "e.toml", "--role", role, "--out", "model", "--set", f'{role}={{kind = "item_knn"}}')
    assert (desk / "model" / "evaluation.parquet").exists()
