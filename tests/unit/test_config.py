from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from pydantic import Field, ValidationError, model_validator

from rankdistill import plugins
from rankdistill.config import (
    DataConfig,
    EvaluateConfig,
    Experiment,
    RoleConfig,
    Section,
    SplitConfig,
    TeacherLists,
    TrainConfig,
    describe,
    load,
    parse,
    to_toml,
)
from rankdistill.errors import ConfigError


class Reader:
    class Config(DataConfig):
        path: Path = Field(description="the file")
        columns: tuple[str, ...] = ("user", "item")
        separator: str | None = None


class ReaderOfSplitData:
    class Config(DataConfig):
        min_user_interactions: int = 1

        @property
        def presplit(self) -> bool:
            return True


class Model:
    class Config(Section):
        dim: int = Field(default=10, ge=1, description="length of the vectors")
        dropout: float = Field(default=0.5, ge=0, lt=1, description="share dropped")
        activation: Literal["relu", "tanh"] = "relu"


class RankingLoss:
    class Config(Section):
        kind: str = f"{__name__}:RankingLoss"
        negatives: int = 3


class Method:
    class Config(Section):
        alpha: float = Field(default=1.0, ge=0)
        mixing: Literal["sum", "convex"] = "sum"

        @model_validator(mode="after")
        def _fits(self):
            if self.mixing == "convex" and self.alpha > 1:
                raise ValueError(f"alpha: {self.alpha:g} is above 1")
            return self


BASE = f"""
[data]
kind = "{__name__}:Reader"
path = "events.csv"
[teacher]
kind = "{__name__}:Model"
dim = 100
[student]
kind = "{__name__}:Model"
[ranking_loss]
kind = "{__name__}:RankingLoss"
[distillation]
kind = "{__name__}:Method"
"""
LISTS = BASE.replace(f'[teacher]\nkind = "{__name__}:Model"\ndim = 100', '[teacher]\nrankings = "lists.parquet"')
PRESPLIT = BASE.replace(f'"{__name__}:Reader"\npath = "events.csv"', f'"{__name__}:ReaderOfSplitData"')


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("experiment.toml")
    path.write_text(BASE)
    return path


def mistake(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_left_out_has_the_published_settings(file):
    experiment = load(file)
    assert experiment.seed == 1234
    assert experiment.split == SplitConfig(kind="user_fractions", fractions=(0.7, 0.1, 0.2), train_on_validation=True)
    assert (experiment.windows.history_length, experiment.windows.target_length) == (5, 1)
    assert experiment.train == TrainConfig(epochs=50, batch_size=512, learning_rate=1e-3, weight_decay=1e-6)
    assert experiment.evaluate.metrics[:7] == (
        *("precision@3", "precision@5", "precision@10"),
        *("ndcg_kdd18@3", "ndcg_kdd18@5", "ndcg_kdd18@10", "map"),
    )


def test_loss_and_method_default_to_the_published_ones():
    sections = {
        "data": {"kind": "synthetic"},
        "teacher": {"kind": "popularity"},
        "student": {"kind": "popularity"},
    }
    experiment = parse(sections, "here")
    assert type(experiment.ranking_loss).__qualname__ == "Pointwise.Config"
    assert type(experiment.distillation).__qualname__ == "RankingDistillation.Config"


def test_a_section_holds_the_options_of_its_kind(file):
    experiment = load(file)
    assert isinstance(experiment.teacher, RoleConfig)
    assert experiment.teacher.model == Model.Config(dim=100)
    assert experiment.student.kind == f"{__name__}:Model"
    assert isinstance(experiment.data, Reader.Config)
    assert experiment.model_dump()["data"]["columns"] == ("user", "item")


def test_what_is_written_reads_as_the_same_experiment(file, tmp_path):
    changes = [
        "student.train.epochs=3",
        "train.patience=2",
        'data.separator="\\t\\"\\u007f"',
        "train.weight_decay=0",
    ]
    experiment = load(file, changes)
    again = tmp_path / "elsewhere" / "config.toml"
    again.parent.mkdir()
    again.write_text(to_toml(experiment))
    assert load(again) == experiment
    assert to_toml(load(again)) == to_toml(experiment)


@pytest.mark.parametrize("text", [LISTS, PRESPLIT])
def test_lists_for_a_teacher_and_split_data_are_written_and_read_again(file, tmp_path, text):
    file.write_text(text)
    experiment = load(file)
    (tmp_path / "again.toml").write_text(to_toml(experiment))
    assert load(tmp_path / "again.toml") == experiment


def test_none_in_place_of_a_default_is_refused_when_writing(file):
    class Optional(Section):
        size: int | None = 3

    experiment = load(file).model_copy(update={"distillation": Optional(size=None)})
    with pytest.raises(ConfigError, match=r"\[distillation\] size: None cannot be written"):
        to_toml(experiment)


def test_a_teacher_may_have_a_ranking_loss_of_its_own(file):
    alike = load(file, ["ranking_loss.negatives=7", "teacher.ranking_loss={}"])
    assert alike.loss_of(alike.teacher) == alike.ranking_loss
    own = load(file, ["ranking_loss.negatives=7", "teacher.ranking_loss.negatives=9"])
    assert (own.loss_of(own.teacher).negatives, own.loss_of(own.student).negatives) == (9, 7)
    other = load(file, ["ranking_loss.negatives=7", "teacher.ranking_loss.kind='softmax'"])
    assert other.loss_of(other.teacher) == plugins.find("losses", "softmax").Config()
    without = load(file)
    assert without.loss_of(without.teacher) is without.ranking_loss
    assert "ranking_loss" not in without.model_dump()["teacher"]


def test_one_of_several_teachers_may_have_a_ranking_loss_of_its_own(tmp_path):
    path = tmp_path / "several.toml"
    table = f"[[teacher]]\nkind = '{__name__}:Model'\n"
    own = f"{table}[teacher.ranking_loss]\nkind = 'gbce'\n{table}"
    path.write_text(BASE.replace(f'[teacher]\nkind = "{__name__}:Model"\ndim = 100\n', own))
    experiment = load(path)
    first, second = experiment.teacher.each
    assert (experiment.loss_of(first).kind, experiment.loss_of(second)) == ("gbce", experiment.ranking_loss)
    path.write_text(to_toml(experiment))
    assert load(path) == experiment
    with pytest.raises(ConfigError) as caught:
        load(path, ["teacher.1.ranking_loss.calibratoin=0.5"])
    assert str(caught.value) == (
        "--set: [teacher.1.ranking_loss] calibratoin: unknown key; did you mean 'calibration'?"
    )


def test_a_role_trains_with_its_own_keys_over_the_common_ones(file):
    experiment = load(file, ["train.epochs=7", "train.batch_size=8", "teacher.train.epochs=3"])
    assert (experiment.teacher.train.epochs, experiment.teacher.train.batch_size) == (3, 8)
    assert experiment.student.train == experiment.train


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("student.dim=20", 20),
        ("student.dropout=0", 0.0),
        ("student.activation=tanh", "tanh"),
        ("student.activation = 'tanh'", "tanh"),
    ],
)
def test_an_override_is_toml_or_a_bare_word(file, override, value):
    model = load(file, [override]).student.model
    assert getattr(model, override.partition("=")[0].strip().removeprefix("student.")) == value


def test_a_list_in_toml_is_a_tuple(file):
    assert load(file, ["evaluate.metrics=['map', 'ndcg@5']"]).evaluate.metrics == ("map", "ndcg@5")


def test_a_path_is_looked_up_beside_the_file_and_then_in_the_working_directory(tmp_path, monkeypatch):
    folder, here = tmp_path / "examples", tmp_path / "here"
    for each in (folder, here):
        each.mkdir()
    monkeypatch.chdir(here)
    (folder / "experiment.toml").write_text(BASE)
    assert load(folder / "experiment.toml").data.path == folder / "events.csv"
    (here / "events.csv").touch()
    assert load(folder / "experiment.toml").data.path == here / "events.csv"
    (folder / "events.csv").touch()
    assert load(folder / "experiment.toml").data.path == folder / "events.csv"
    assert load(folder / "experiment.toml", ["data.path=events.csv"]).data.path == here / "events.csv"


def test_a_path_with_wildcards_is_found_where_something_fits(tmp_path, monkeypatch):
    folder, here = tmp_path / "examples", tmp_path / "here"
    (here / "parts").mkdir(parents=True)
    folder.mkdir()
    (here / "parts" / "one.parquet").touch()
    (folder / "experiment.toml").write_text(BASE.replace("events.csv", "parts/*.parquet"))
    monkeypatch.chdir(here)
    assert load(folder / "experiment.toml").data.path == here / "parts" / "*.parquet"


def test_lists_stand_in_for_a_teacher(file, tmp_path):
    file.write_text(LISTS)
    assert load(file).teacher == TeacherLists(rankings=tmp_path / "lists.parquet", on_unknown="error")


def test_data_that_brings_its_split_chooses_it(file):
    file.write_text(PRESPLIT)
    assert load(file).split.kind == "presplit"
    assert load(file, ["split.train_on_validation=false"]).split.kind == "presplit"


MISTAKES = [
    ("student.dimm=3", "[student] dimm: unknown key; did you mean 'dim'?"),
    ("student.size=3", "[student] size: unknown key; known are dim, dropout, activation"),
    ("student.dim=0", "[student] dim: 0 is out of range (at least 1)"),
    ("student.dropout=1", "[student] dropout: 1 is out of range (below 1)"),
    ("distillation.alpha=-1", "[distillation] alpha: -1 is out of range (at least 0)"),
    ("train.epochs='50'", "[train] epochs: '50' is not an integer"),
    ("train.epochs=5.0", "[train] epochs: 5.0 is not an integer"),
    ("train.epochs=true", "[train] epochs: true is not an integer"),
    ("train.learning_rate=nan", "[train] learning_rate: nan is not a finite number"),
    ("train.learning_rate=0", "[train] learning_rate: 0 is out of range (above 0)"),
    (
        "train.device=gpu",
        "[train] device: 'gpu' is not 'auto', 'cpu', 'cuda' or 'cuda:N'; did you mean 'cpu'?",
    ),
    ("evaluate.exclude_seen=1", "[evaluate] exclude_seen: 1 is not true or false"),
    ("evaluate.metrics=map", "[evaluate] metrics: 'map' is not a list (write it in brackets)"),
    ("evaluate.metrics=[]", "[evaluate] metrics: has 0 values, needs at least 1"),
    ("evaluate.metrics=[1]", "[evaluate] metrics[0]: 1 is not text (write it in quotes)"),
    ("split.fractions=[0.7,0.3]", "[split] fractions: [0.7, 0.3] has too few values"),
    ("split.fractions=[0.7,0.1,0.1]", "[split] fractions: [0.7, 0.1, 0.1] has the sum 0.9; it must be 1"),
    (
        "split.fractions=[1,0,0]",
        "[split] fractions: [1.0, 0.0, 0.0]: train and test must be above 0, validation at least 0",
    ),
    (
        "split.kind=tim",
        "[split] kind: 'tim' is not 'user_fractions', 'leave_last_out', 'time' or 'presplit'; did you mean 'time'?",
    ),
    ("student.activation=tahn", "[student] activation: 'tahn' is not 'relu' or 'tanh'; did you mean 'tanh'?"),
    ("data.path=3", "[data] path: 3 is not a path (write it in quotes)"),
    ("data.kind=3", "[data] kind: 3 is not text (write it in quotes)"),
    ("seed=-1", "seed: -1 is out of range (at least 0)"),
    (f"seed={10**22}", f"seed: {10**22} is out of range (below {2**63})"),
    (f"seed={2**63}", f"seed: {2**63} is out of range (below {2**63})"),
    (
        "student.history_length=5",
        "[student] history_length: unknown key; history_length belongs to [windows]",
    ),
    (
        "student.epochs=5",
        "[student] epochs: unknown key; epochs belongs to [train], or [student.train] for this model alone",
    ),
    ("train.dim=5", "[train] dim: unknown key; dim belongs to [teacher] or [student]"),
    (
        "train.seed=5",
        "[train] seed: unknown key; it belongs to the top of the file, before the first section",
    ),
    (
        "student.ranking_loss.negatives=5",
        "[student] ranking_loss: unknown key; [ranking_loss] is a section of its own",
    ),
    ("student.train.epoch=5", "[student.train] epoch: unknown key; did you mean 'epochs'?"),
    ("student.train=5", "[student] train: 5 is a value; write a section [student.train]"),
    ("teacher.ranking_loss=5", "[teacher] ranking_loss: 5 is a value; write a section [teacher.ranking_loss]"),
    ("teacher.ranking_loss.negative=5", "[teacher.ranking_loss] negative: unknown key; did you mean 'negatives'?"),
    ("teacher.ranking_loss.kind=5", "[teacher.ranking_loss] kind: 5 is not text (write it in quotes)"),
    ("epochs=5", "epochs: unknown key; epochs belongs to [train]"),
    ("sead=5", "sead: unknown key; did you mean 'seed'?"),
    ("other=5", "other: unknown key; outside of the sections there is seed alone"),
    ("traim.epochs=5", "[traim]: unknown section; did you mean [train]?"),
    ("train=5", "[train]: 5 is a value; write a section with keys"),
    ("data=5", "[data]: 5 is a value; write a section with keys"),
    ("teacher.rankings=a.parquet", "[teacher] rankings: stands beside 'kind'; drop one of the two"),
]


@pytest.mark.parametrize(("override", "message"), MISTAKES)
def test_a_mistake_is_one_line_with_its_place_and_what_to_write(file, override, message):
    assert mistake(file, override) == f"--set: {message}"


def test_the_largest_seed_starts_every_generator(file):
    seed = load(file, [f"seed={2**63 - 1}"]).seed
    assert torch.Generator().manual_seed(seed).initial_seed() == 2**63 - 1
    assert np.random.default_rng(seed).integers(10) >= 0


@pytest.mark.parametrize("override", ["student.dim", "=3", "student.dim=", "student..dim=3", ".dim=3", "student. =3"])
def test_an_override_of_another_form_is_refused(file, override):
    assert mistake(file, override) == (f"--set {override!r}: write it as section.key=value, for example student.dim=20")


def test_an_override_inside_of_a_value_is_refused(file):
    assert mistake(file, "teacher.dim.x=3") == "--set 'teacher.dim.x=3': teacher.dim is a value, not a section"


def test_a_mistake_in_the_file_names_the_file(file):
    file.write_text(BASE.replace("dim = 100", "dimm = 100"))
    assert mistake(file) == "experiment.toml: [teacher] dimm: unknown key; did you mean 'dim'?"


def test_a_mistake_of_several_keys_together_names_the_section(file):
    text = BASE + 'alpha = 2\nmixing = "convex"\n'
    file.write_text(text)
    assert mistake(file) == "experiment.toml: [distillation] alpha: 2 is above 1"


def test_the_first_of_several_mistakes_is_reported_with_the_number_of_the_others(file):
    assert mistake(file, "train.epochs=-1", "student.dim=0") == (
        "--set: [train] epochs: -1 is out of range (at least 0) (and 1 more mistake)"
    )
    assert mistake(file, "train.epochs=-1", "student.dim=0", "evaluate.depth=0").endswith("(and 2 more mistakes)")


def test_a_misspelt_name_is_reported_before_what_is_missing_because_of_it(file):
    file.write_text(BASE.replace("[student]", "[studnet]"))
    assert mistake(file) == (
        "experiment.toml: [studnet]: unknown section; did you mean [student]? (and 1 more mistake)"
    )
    file.write_text(BASE.replace("path =", "paht ="))
    assert mistake(file) == "experiment.toml: [data] paht: unknown key; did you mean 'path'? (and 1 more mistake)"


@pytest.mark.parametrize(
    ("section", "hint"),
    [
        ("data", "is missing; name its kind (delimited, "),
        ("teacher", "is missing; name a model to train (kind: caser, "),
        ("student", "is missing; name its kind (caser, "),
    ],
)
def test_a_section_that_must_be_there_is_missed(section, hint):
    sections = {
        "data": {"kind": "synthetic"},
        "teacher": {"kind": "popularity"},
        "student": {"kind": "popularity"},
    }
    del sections[section]
    with pytest.raises(ConfigError) as caught:
        parse(sections, "the call")
    assert str(caught.value).startswith(f"the call: [{section}]: {hint}")


def test_a_teacher_without_model_and_lists_is_refused(file):
    file.write_text(BASE.replace(f'[teacher]\nkind = "{__name__}:Model"', "[teacher]"))
    message = mistake(file)
    assert message.startswith(
        "experiment.toml: [teacher]: has neither 'kind' nor 'rankings'; name a model to train (kind: caser, "
    )
    assert message.endswith("or a file of lists (rankings)")


def test_a_path_that_is_needed_is_missed(file):
    file.write_text(BASE.replace('path = "events.csv"', ""))
    assert mistake(file) == "experiment.toml: [data] path: is missing"


def test_a_kind_that_does_not_exist_is_refused_with_the_nearest(file):
    assert mistake(file, "student.kind=popularty").startswith(
        "--set: [student] kind: 'popularty' is no model; did you mean 'popularity'? (there are: "
    )
    assert "did you mean 'gowalla-kdd18'?" in mistake(file, "data.kind=gowala-kdd18")
    assert "did you mean 'delimited'?" in mistake(file, "data.kind=delimitd")


def test_split_data_takes_no_other_split(file):
    file.write_text(PRESPLIT)
    assert mistake(file, "split.kind=time") == (
        f"--set: [split] kind: 'time', but '{__name__}:ReaderOfSplitData' brings its own split; leave the key out"
    )


def test_data_without_a_split_of_its_own_needs_another_one(file):
    assert mistake(file, "split.kind=presplit") == (
        f"--set: [split] kind: 'presplit', but '{__name__}:Reader' data brings no split; choose another one"
    )


def test_a_file_that_is_no_toml_is_refused_with_the_line(file):
    file.write_text(BASE + "\nk 10\n")
    message = mistake(file)
    assert message.startswith("experiment.toml: is not valid TOML: ")
    assert f"line {len(BASE.splitlines()) + 2}" in message


def test_a_file_that_is_not_there_is_refused_with_the_nearest(file):
    assert mistake(Path("experment.toml")) == ("experment.toml: there is no such file; did you mean 'experiment.toml'?")
    assert mistake(Path("nowhere/x.toml")) == "nowhere/x.toml: there is no such file"


def test_a_folder_and_a_binary_file_are_refused(tmp_path):
    assert mistake(tmp_path) == f"{tmp_path}: cannot be read (Is a directory)"
    binary = tmp_path / "binary"
    binary.write_bytes(b"PAR1\xff\xfe")
    assert mistake(binary) == f"{binary}: is not UTF-8 text (at byte 4); is it an experiment file?"


def test_a_byte_order_mark_is_no_mistake(file):
    file.write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load(file).seed == 1234


def test_dicts_are_checked_like_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sections = {
        "data": {"kind": "synthetic"},
        "teacher": {"kind": "popularity"},
        "student": {"kind": "popularity"},
    }
    assert isinstance(parse(sections, "the call"), Experiment)
    assert sections["data"] == {"kind": "synthetic"}
    with pytest.raises(ConfigError, match=r"^the call: \[windows\] history_length: 0 is out of range"):
        parse({**sections, "windows": {"history_length": 0}}, "the call")


def test_a_section_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().epochs = 3


def test_the_options_of_a_section_are_described():
    options = {option.key: option for option in describe(Model.Config)}
    assert options["dim"] == ("dim", "integer (at least 1)", "10", "", "length of the vectors")
    assert options["dropout"].type == "number (at least 0, below 1)"
    assert options["activation"].type == '"relu" | "tanh"'
    reader = {option.key: option for option in describe(Reader.Config)}
    assert "kind" not in reader
    assert (reader["path"].type, reader["path"].default) == ("path", "required")
    assert (reader["separator"].type, reader["separator"].default) == ("text", "")
    assert reader["columns"].type == "list of text"


def test_the_step_size_stays_or_falls_from_epoch_to_epoch() -> None:
    expected = {
        "constant": [0.1, 0.1, 0.1, 0.1],
        "linear": [0.1, 0.075, 0.05, 0.025],
        "cosine": [0.1, 0.085355, 0.05, 0.014645],
    }
    for schedule, rates in expected.items():
        train = TrainConfig.model_validate({"epochs": 4, "learning_rate": 0.1, "schedule": schedule})
        assert [train.learning_rate_in(epoch) for epoch in range(1, 5)] == pytest.approx(rates, abs=1e-6)
        shorter = train.model_copy(update={"epochs": 2, "schedule_epochs": 4})
        assert [shorter.learning_rate_in(epoch) for epoch in (1, 2)] == pytest.approx(rates[:2], abs=1e-6)


def test_a_schedule_is_no_shorter_than_the_training_and_an_untold_one_leaves_stamps_as_they_were() -> None:
    message = "schedule_epochs: 3 is less than epochs = 4; raise it or drop it"
    with pytest.raises(ValidationError, match=message):
        TrainConfig.model_validate({"epochs": 4, "schedule_epochs": 3})
    assert "schedule_epochs" not in TrainConfig().model_dump()


@pytest.mark.parametrize("section", [DataConfig, SplitConfig, TrainConfig, EvaluateConfig, TeacherLists, Experiment])
def test_every_option_has_a_description(section):
    assert all(option.description for option in describe(section))


def test_a_key_that_only_the_model_of_the_other_role_has_is_none_of_this_kind(file):
    file.write_text(
        BASE.replace(f'[student]\nkind = "{__name__}:Model"', '[student]\nkind = "popularity"\ndropout = 0.1')
    )
    assert mistake(file).startswith("experiment.toml: [student] dropout: 'popularity' has no key 'dropout'")


def test_a_misspelt_key_below_a_chosen_kind_is_still_offered_the_nearest(file):
    file.write_text(BASE.replace("dim = 100", "dimm = 100"))
    assert mistake(file, f"teacher.kind={__name__}:Model") == (
        f"experiment.toml: [teacher] dimm: '{__name__}:Model' has no key 'dimm'; did you mean 'dim'?"
    )
