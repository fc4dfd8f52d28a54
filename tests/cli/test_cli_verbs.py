"""Every verb does what it says, and says where."""

import json
from pathlib import Path

import polars as pl
import pytest
from commands import EXPERIMENT, Command

from rankdistill import __version__


def test_a_run_makes_every_file_that_is_promised(finished_run: Path) -> None:
    files = ("config.toml", "report.html", "report.md", "report.json", "labels.parquet")
    of_a_model = ("model.safetensors", "model.json", "ids", "metrics.jsonl", "rankings.parquet", "evaluation.parquet")
    models = [f"{role}/{file}" for role in ("teacher", "student", "distilled") for file in of_a_model]
    assert [file for file in (*files, *models) if not (finished_run / file).exists()] == []


def test_a_second_run_skips_every_stage_and_prints_the_table_and_the_page(cli: Command, done: Path) -> None:
    outcome = cli.done("run", "e.toml", "--out", done, "--set", f"data.path={_data_of(done)}")
    assert outcome.out.splitlines()[-1] == "report: done/report.html"
    table = [line.split()[:2] for line in outcome.out.splitlines() if " caser " in line]
    assert table == [["teacher", "caser"], ["student", "caser"], ["distilled", "caser"]]
    assert "epoch" not in outcome.err


def _data_of(run: Path) -> str:
    line = next(line for line in (run / "config.toml").read_text().splitlines() if line.startswith("path = "))
    return line.removeprefix("path = ").strip('"')


def test_run_prints_its_report_as_json(cli: Command, done: Path) -> None:
    outcome = cli.done("run", "e.toml", "--out", done, "--json")
    report = json.loads(outcome.out)
    assert report == json.loads((done / "report.json").read_text())
    assert [row["role"] for row in report["rows"]] == ["teacher", "student", "distilled"]


def test_the_resolved_experiment_file_of_a_run_is_a_valid_input(cli: Command, done: Path) -> None:
    outcome = cli.done("run", done / "config.toml", "--out", done)
    assert "epoch" not in outcome.err


def test_the_single_verbs_make_the_same_models_as_a_run(cli: Command, done: Path) -> None:
    cli.done("prepare", "e.toml", "--out", "prepared")
    cli.done("train", "e.toml", "--role", "teacher", "--data", "prepared", "--out", "teacher")
    cli.done("train", "e.toml", "--role", "student", "--out", "student")
    cli.done("label", "teacher", "--k", 10, "--out", "lists.parquet")
    cli.done("distill", "e.toml", "--teacher", "lists.parquet", "--data", "prepared", "--out", "distilled")
    for role in ("teacher", "student", "distilled"):
        for file in ("model.safetensors", "rankings.parquet", "evaluation.parquet"):
            assert Path(role, file).read_bytes() == (done / role / file).read_bytes(), (role, file)
    assert pl.read_parquet("lists.parquet").equals(pl.read_parquet(done / "labels.parquet"))


def test_prepare_prints_what_is_left(desk: Path, cli: Command) -> None:
    about = json.loads(cli.done("prepare", "e.toml", "--out", "prepared", "--json").out)
    assert (about["users"], about["items"], about["interactions"], about["training_queries"]) == (20, 30, 240, 100)


def test_shards_of_labels_together_are_the_labels(cli: Command, done: Path) -> None:
    for part in (1, 2, 3):
        out = ("--out", f"lists-{part}.parquet", "--shard", f"{part}/3")
        cli.done("label", done / "teacher", "--k", 10, *out)
    parts = pl.concat([pl.read_parquet(f"lists-{part}.parquet") for part in (1, 2, 3)])
    assert parts.drop("score").equals(pl.read_parquet(done / "labels.parquet").drop("score"))
    cli.done("distill", "e.toml", "--teacher", "lists-*.parquet", "--out", "model")
    assert Path("model/model.safetensors").read_bytes() == (done / "distilled" / "model.safetensors").read_bytes()


def test_labels_that_leave_out_what_the_user_knows_hold_none_of_it(cli: Command, done: Path) -> None:
    cli.done("label", done / "teacher", "--k", 5, "--exclude", "seen", "--out", "lists.parquet")
    lists = pl.read_parquet("lists.parquet")
    assert lists.group_by("user_id", "position").len()["len"].unique().to_list() == [5]
    known = pl.read_csv("events.csv").filter(pl.col("ts") < 10).select(user_id="uid", item_id="poi")
    assert len(lists.join(known, on=["user_id", "item_id"])) == 0


def test_lists_may_have_any_name(desk: Path, cli: Command, done: Path) -> None:
    name = 'lists 🏆 "é" \\n.parquet'
    (done / "labels.parquet").rename(name)
    cli.done("distill", "e.toml", "--teacher", name, "--out", "model")
    assert Path("model/model.safetensors").read_bytes() == (done / "distilled" / "model.safetensors").read_bytes()


def test_a_student_is_distilled_without_anything_else_of_the_teacher(desk: Path, cli: Command, done: Path) -> None:
    text = EXPERIMENT.replace('[teacher]\nkind = "caser"\ndim = 4\n', "")
    (desk / "student.toml").write_text(text)
    cli.done("distill", "student.toml", "--teacher", done / "labels.parquet", "--out", "model")
    assert Path("model/model.safetensors").read_bytes() == (done / "distilled" / "model.safetensors").read_bytes()


def test_a_model_is_evaluated_again_to_the_same_figures(cli: Command, done: Path) -> None:
    before = (done / "student" / "evaluation.parquet").read_bytes()
    about = json.loads(cli.done("evaluate", done / "student", "--json").out)
    assert (done / "student" / "evaluation.parquet").read_bytes() == before
    report = json.loads((done / "report.json").read_text())
    assert about["metrics"] == pytest.approx(report["rows"][1]["metrics"])
    assert about["users"] == 20


def test_a_file_of_recommendations_has_the_figures_of_the_model_that_made_it(cli: Command, done: Path) -> None:
    pl.read_parquet(done / "student" / "rankings.parquet").drop("score").write_parquet("recs.parquet")
    evaluate = ("--config", "e.toml", "--metrics", "ndcg@10,recall@5,mrr@10", "--json")
    from_file = json.loads(cli.done("evaluate", "recs.parquet", *evaluate).out)
    from_model = json.loads(cli.done("evaluate", done / "student", "--out", "model.parquet", *evaluate).out)
    assert from_file["metrics"] == pytest.approx(from_model["metrics"])
    assert (from_file["file"], from_model["file"]) == ("evaluation.parquet", "model.parquet")
    values = pl.read_parquet("evaluation.parquet")
    assert values.columns == ["user_id", "ndcg@10", "recall@5", "mrr@10"]
    assert values["ndcg@10"].mean() == pytest.approx(from_file["metrics"]["ndcg@10"])


def test_metrics_beyond_the_depth_of_a_file_are_left_out_by_name(cli: Command, done: Path) -> None:
    lists = pl.read_parquet(done / "student" / "rankings.parquet").filter(pl.col("rank") <= 5)
    lists.write_parquet("recs.parquet")
    outcome = cli.done("evaluate", "recs.parquet", "--config", "e.toml", "--json")
    assert "left out" in outcome.err
    assert all(name in outcome.err for name in ("map", "ndcg@10", "precision@10"))
    assert list(json.loads(outcome.out)["metrics"]) == ["precision@3", "precision@5", "ndcg_kdd18@3", "ndcg_kdd18@5"]


def test_the_lists_of_a_model_folder_do_not_take_the_place_of_its_evaluation(cli: Command, done: Path) -> None:
    before = (done / "student" / "evaluation.parquet").read_bytes()
    cli.done("evaluate", done / "student" / "rankings.parquet")
    assert (done / "student" / "evaluation.parquet").read_bytes() == before
    assert (done / "student" / "rankings-evaluation.parquet").exists()


def test_report_takes_models_from_anywhere(cli: Command, done: Path) -> None:
    outcome = cli.done("report", done / "student", done / "distilled", "--out", "pages/two.html")
    assert outcome.out.splitlines()[-1] == "report: pages/two.html"
    rows = json.loads(Path("pages/two.json").read_text())["rows"]
    assert [row["role"] for row in rows] == ["student", "distilled"]
    assert Path("pages/two.html").stat().st_size > 1000


def test_a_run_with_a_total_alone_is_reported(desk: Path, cli: Command) -> None:
    options = ("--set", "evaluate.metrics=['coverage@10']", "--set", "train.epochs=1")
    report = json.loads(cli.done("run", "e.toml", "--out", "run", *options, "--json").out)
    assert [list(row["metrics"]) for row in report["rows"]] == [["coverage@10"]] * 3


def test_short_options_change_the_experiment_of_every_role(desk: Path, cli: Command) -> None:
    (desk / "e.toml").write_text(EXPERIMENT + '[student.train]\ndevice = "cuda:7"\nepochs = 1\n')
    options = ("--device", "cpu", "--threads", 2, "--seed", 7)
    outcome = cli.done("train", "e.toml", "--role", "student", "--out", "model", *options)
    card = json.loads(Path("model/model.json").read_text())
    assert (card["device"], card["threads"], card["seed"], card["epochs"]) == ("cpu", 2, 7, 1)
    assert outcome.err.splitlines()[0] == "2 threads, cpu"


def test_show_lists_every_kind(cli: Command) -> None:
    rows = json.loads(cli.done("show", "--json").out)
    kinds = {(row["group"], row["kind"]) for row in rows}
    assert {
        ("readers", "delimited"),
        ("readers", "gowalla-kdd18"),
        ("models", "caser"),
        ("losses", "pairwise"),
        ("distillation", "ranking_distillation"),
    } <= kinds
    assert [row["kind"] for row in rows if not row["description"]] == []


def test_show_lists_the_kinds_of_one_group(cli: Command) -> None:
    rows = json.loads(cli.done("show", "losses", "--json").out)
    assert {"pairwise", "pointwise", "softmax"} <= {row["kind"] for row in rows}


@pytest.mark.parametrize(
    ("kind", "key", "default"), [("caser", "dim", "100"), ("train", "epochs", "50"), ("delimited", "user", "")]
)
def test_show_describes_the_options_of_a_kind_or_section(cli: Command, kind: str, key: str, default: str) -> None:
    described = json.loads(cli.done("show", kind, "--json").out)
    options = {option["key"]: option for option in described["options"]}
    assert options[key]["default"] == default
    assert options[key]["description"]
    assert key in cli.done("show", kind).out


def test_show_marks_the_options_that_are_sizes(cli: Command) -> None:
    options = json.loads(cli.done("show", "caser", "--json").out)["options"]
    searched = {option["key"]: option["searched"] for option in options}
    assert searched["dim"] == "4 to 256, log (size)"
    assert searched["tied"] == "false | true (size)"
    assert searched["dropout"] == "0 to 0.8"


def test_show_offers_the_nearest_kind(cli: Command) -> None:
    line = cli.refusal("show", "casr")
    assert line == "'casr' is no kind, group or section; did you mean 'caser'? (see `rankdistill show`)"


def test_doctor_finds_a_sound_installation(cli: Command) -> None:
    outcome = cli("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(outcome.out)["checks"]}
    assert outcome.status == 0, checks
    assert checks["rankdistill"]["found"] == __version__
    assert "resumed with the same bits" in checks["self-test"]["found"]


def test_doctor_says_what_is_wrong_and_exits_with_1(
    cli: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RANKDISTILL_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setattr("rankdistill.doctor._self_test", lambda: "skipped")
    outcome = cli("doctor")
    assert outcome.status == 1
    assert f"RANKDISTILL_DATA = {tmp_path / 'nowhere'}: no such folder; mend or unset it" in outcome.out


def test_prepared_data_of_another_split_is_refused(desk: Path, cli: Command, done: Path) -> None:
    cli("prepare", "e.toml", "--out", "prepared")
    line = cli.refusal(
        "train", "e.toml", "--role", "student", "--out", "m", "--data", "prepared", "--set", "split.kind=leave_last_out"
    )
    assert line.startswith("prepared: prepared with split.kind = 'user_fractions', and the experiment has")


def test_evaluate_shows_popular_and_unpopular_items(cli: Command, done: Path) -> None:
    about = json.loads(cli.done("evaluate", done / "student", "--json").out)
    card = json.loads((done / "student" / "model.json").read_text())
    assert about["halves"] == card["halves"]
    of_lists = ("evaluate", done / "student" / "rankings.parquet", "--config", "e.toml", "--metrics", "ndcg@10")
    shown = json.loads(cli.done(*of_lists, "--out", "values.parquet", "--json").out)["halves"]
    assert shown["tail"]["metrics"]["ndcg@10"] == pytest.approx(card["halves"]["tail"]["metrics"]["ndcg@10"])
    assert Path("values-halves.parquet").exists()
    words = cli.done(*of_lists, "--out", "values.parquet").out
    assert f"unpopular items, {card['halves']['tail']['users']} users: nDCG@10 ." in words


def test_distill_warns_of_what_its_teacher_and_the_plain_student_beside_it_tell(cli: Command, done: Path) -> None:
    larger = ("--set", "student.dim=6", "--set", "distillation.alpha=0")
    command = ("distill", "e.toml", "--teacher", done / "teacher", *larger)
    alone = cli.done(*command, "--out", "alone").err
    assert "The student is larger than its teacher: " in alone
    assert "Distillation made no" not in alone
    cli.done("train", "e.toml", "--role", "student", "--out", "beside/student", *larger)
    beside = cli.done(*command, "--out", "beside/distilled").err
    assert "Distillation made no significant difference: " in beside or "Distillation did harm: " in beside
