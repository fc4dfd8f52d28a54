import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from rankdistill import plugins
from rankdistill.config import Section
from rankdistill.errors import ConfigError


class Outside:
    class Config(Section):
        dim: int = 3


class Named:
    class Config(Section):
        kind: str = "called_so"


class Bare:
    pass


NUMBER = 3


def test_every_kind_is_the_name_of_a_file_that_is_not_private():
    folder = Path(plugins.__file__).parent / "models"
    files = {file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")}
    assert files <= set(plugins.kinds("models"))
    assert all(not kind.startswith("_") for kind in plugins.kinds("models"))


def test_listing_models_imports_neither_them_nor_torch():
    code = "import sys; from rankdistill import plugins, config; "
    code += "plugins.kinds('models'); plugins.kinds('readers'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("group", ["readers", "models", "losses", "distillation", "trackers"])
def test_every_kind_that_is_listed_is_found_and_has_options(group):
    for kind in plugins.kinds(group):
        assert issubclass(plugins.find(group, kind).Config, Section), kind


def test_a_file_with_underscores_holds_a_class_without_them():
    assert plugins.find("distillation", "ranking_distillation").__name__ == "RankingDistillation"


def test_the_names_that_one_class_lists_are_kinds_too():
    assert "gowalla-kdd18" in plugins.kinds("readers")
    assert plugins.find("readers", "gowalla-kdd18").__name__ == "PublicSet"


def test_a_class_named_in_full_is_found():
    assert plugins.find("models", f"{__name__}:Outside") is Outside


def test_an_entry_point_adds_a_kind(monkeypatch):
    point = EntryPoint("outsider", f"{__name__}:Outside", "rankdistill.models")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == point.group else [])
    assert "outsider" in plugins.kinds("models")
    assert plugins.find("models", "outsider") is Outside
    assert "outsider" not in plugins.kinds("losses")


def test_our_own_kinds_are_found_without_a_look_at_every_package_that_is_installed(monkeypatch):
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    known = {group: plugins.kinds(group) for group in ("readers", "models", "losses", "distillation", "trackers")}
    monkeypatch.setattr(plugins, "entry_points", lambda group: pytest.fail(f"looked for {group}"))
    assert "gowalla-kdd18" in known["readers"]
    for group, names in known.items():
        for kind in names:
            plugins.find(group, kind)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("popularty", "'popularty' is no model; did you mean 'popularity'? (there are: "),
        ("nowhere_at:All", "'nowhere_at:All': there is no module 'nowhere_at'; is its package installed?"),
        (":Class", "':Class': there is no module ''; is its package installed?"),
        (f"{__name__}:Outsid", f"{__name__} has no class 'Outsid'; did you mean 'Outside'?"),
        (f"{__name__}:Bare", f"'{__name__}:Bare': Bare has no nested class Config that declares its options"),
        (f"{__name__}:NUMBER", f"'{__name__}:NUMBER' is a int, not a class"),
    ],
)
def test_a_kind_that_cannot_be_had_is_refused(kind, message):
    with pytest.raises(ConfigError) as caught:
        plugins.find("models", kind)
    assert message in str(caught.value)


def test_a_class_named_in_full_is_imported_only_where_that_is_allowed(tmp_path, monkeypatch):
    (tmp_path / "not_yet_there.py").write_text(
        "class Model:\n    class Config:\n        pass\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError) as caught:
        plugins.find("models", "not_yet_there:Model", may_import=False)
    assert str(caught.value) == (
        "'not_yet_there:Model': 'not_yet_there' is not imported; import it first if you trust it"
    )
    assert "not_yet_there" not in sys.modules
    found = plugins.find("models", "not_yet_there:Model")
    assert plugins.find("models", "not_yet_there:Model", may_import=False) is found
    del sys.modules["not_yet_there"]
    assert plugins.find("models", "caser", may_import=False).__name__ == "Caser"
    assert plugins.find("models", f"{__name__}:Outside", may_import=False) is Outside


def test_a_module_that_lacks_something_itself_is_not_reported_as_missing(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import something_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_not_installed"):
        plugins.find("models", "needs_more:Model")


@pytest.mark.parametrize(("config", "kind"), [(Outside.Config(), f"{__name__}:Outside"), (Named.Config(), "called_so")])
def test_a_config_leads_back_to_its_kind(config, kind):
    assert plugins.kind_of(config) == kind


def test_the_config_of_a_file_leads_back_to_the_name_of_the_file():
    for kind in plugins.kinds("losses"):
        assert plugins.kind_of(plugins.find("losses", kind).Config()) == kind


def test_the_nearest_name_ignores_capitals():
    assert plugins.nearest("Caserr", ["caser", "sasrec"]) == "caser"
    assert plugins.nearest("dim", ["DIM"]) == "DIM"
    assert plugins.nearest("zzz", ["caser"]) is None
    assert plugins.suggestion("zzz", ["caser"]) == ""
