"""`tune`: the settings of one role that do best on the validation users."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rankdistill.config import Experiment, TeacherLists, to_toml
from rankdistill.errors import ConfigError, TrainingError
from rankdistill.evaluation.metrics import Metric
from rankdistill.extras import extra
from rankdistill.files import write_json, write_text
from rankdistill.runs import Role, RunFolder
from rankdistill.tuning import output
from rankdistill.tuning.final import settled, taught
from rankdistill.tuning.inputs import fingerprints_of, prepare_data, prepare_teacher, validation_only
from rankdistill.tuning.search import Budget, Search
from rankdistill.tuning.space import (
    Point,
    Space,
    changed,
    is_valid,
    point_of,
    role_config,
    space_of,
)
from rankdistill.tuning.trials import SEARCHED, Ledger, Trial, by_address
from rankdistill.tuning.watching import median_bar
from rankdistill.tuning.work import Job
from rankdistill.types import Json
from rankdistill.variants import Variant

logger = logging.getLogger(__name__)

_GRACE = 0.1
"""Share of the validations in which no trial is compared with others."""
_LEAST_GRACE = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be searched.

    Attributes:
        experiment: its settings are the first trial.
        role: whose settings.
        keys: `a.b=low..high`, ranges in the place of what the code says, or beside it.
        fixed: `a.b=value`, settings that are kept.
        sizes: whether sizes are searched, too.
        written: what is written with the best settings in the place of `experiment`, where its teacher is another.
    """

    experiment: Experiment
    role: Role
    keys: Sequence[str] = ()
    fixed: Sequence[str] = ()
    sizes: bool = False
    written: Experiment | None = None

    def space(self) -> Space:
        """See `space_of`.

        Raises:
            ConfigError: a key is wrong, or nothing is left to search.
        """
        found = space_of(self.experiment, self.role, sizes=self.sizes)
        found = changed(found, self.keys, self.fixed, self.experiment, self.role)
        if not found:
            raise ConfigError(
                f"--role {self.role}: there is nothing to search; name a key and its range with --key, as in "
                f"--key train.learning_rate=1e-4..1e-2:log"
            )
        return found

    def check(self) -> None:
        """Refuses what could not be trained or measured, in the search or in the run of what it finds.

        Raises:
            RankDistillError: see `Variant.check`.
        """
        distilled = self.role == "distilled"
        Variant(self.experiment, distilled).check()
        if self.written is not None:
            Variant(self.final(Path()), distilled).check()

    def final(self, out: Path) -> Experiment:
        """The experiment into which the settings are put that a search in a folder has found, see `taught`."""
        found, given = self.written or self.experiment, self.experiment.teacher
        if self.role != "distilled":
            return found
        return taught(found, given.rankings if isinstance(given, TeacherLists) else RunFolder(out).model("teacher"))


def tune(asked: Asked, metric: str | None, budget: Budget, out: Path) -> Json:
    """Searches until the budget is spent; goes on where an earlier call in the same folder stopped.

    Writes `best.toml`, `trials.json` and `trials.md`.

    Args:
        asked: what is searched.
        metric: what is to be high on the validation users; None is the one that picks the best epoch.
        budget: how long.
        out: the folder.

    Returns:
        What is also in `tune.json`.

    Raises:
        ConfigError: Optuna is not installed, a key is wrong, or nothing can be distilled as the experiment says.
        StorageError: what an earlier call left is of another search, or cannot be read.
        TrainingError: every trial failed.
    """
    extra("optuna", "tune")
    experiment = asked.experiment
    chosen = metric or role_config(experiment, asked.role).train.validation_metric
    asked.check()
    check_metric(chosen)
    space = asked.space()
    ledger = Ledger.open(out / "trials.json", begun_with(asked, space, chosen))
    split = prepare_data(experiment, out)
    ledger.hold_to(fingerprints_of(experiment, asked.role, split))
    _, space = prepare_teacher(experiment, asked.role, space, split, out)
    template = template_of(asked, chosen, out)
    search = Search(space, experiment, Best(experiment, point_of(experiment, space)), experiment.seed, template)
    few = f"{len(space)} setting{'' if len(space) == 1 else 's'}"
    logger.info("searching %s of the %s model by %s on validation users", few, asked.role, chosen)
    search.run(ledger, budget)
    best = best_of(ledger.trials)
    write_text(out / "best.toml", to_toml(settled(asked.final(out), best, asked.role, chosen)))
    found = output.of_trials(ledger, space, best, template)
    write_json(out / "tune.json", found)
    write_text(out / "trials.md", output.markdown(found))
    return found


def check_metric(name: str) -> None:
    """Refuses what no validation user has a value of.

    Raises:
        EvaluationError: there is no such metric.
        ConfigError: it is no value of a user.
    """
    if Metric.parse(name).name == "coverage":
        raise ConfigError(f"--metric {name}: is no value of a user; take one such as 'ndcg@10'")


def template_of(asked: Asked, metric: str, out: Path) -> Job:
    """What the trials have in common."""
    train = role_config(asked.experiment, asked.role).train
    grace = max(_LEAST_GRACE, round(_GRACE * train.epochs / train.validate_every))
    return Job(0, {}, validation_only(asked.experiment), asked.role, metric, out.absolute(), grace=grace)


def begun_with(asked: Asked, space: Space, metric: str) -> Json:
    """The settings that the outcome of a trial depends on, but its point; processors and how long to search are free.

    For the data and the teacher's files see `fingerprints_of`.
    """
    searched = {f"{SEARCHED}{address}": str(tunable) for address, tunable in space.items()}
    return {"role": asked.role, "metric": metric, **searched, **_settings(validation_only(asked.experiment))}


def _settings(experiment: Experiment) -> Json:
    """The settings of an experiment that trials depend on, by address."""
    free = {f"evaluate.{key}" for key in ("metrics", "depth", "bootstrap_samples")}
    return {key: value for key, value in by_address(tomllib.loads(to_toml(experiment))).items() if key not in free}


@dataclass(frozen=True, slots=True)
class Best:
    """The best value: the experiment's own settings first, then what is proposed."""

    experiment: Experiment
    own: Point

    def first(self, tried: Sequence[Trial], running: Sequence[Point]) -> Point | None:
        """See `Strategy.first`."""
        return None if tried or running else self.own

    def refused(self, point: Point, tried: Sequence[Trial]) -> bool:
        """See `Strategy.refused`: values that do not go together."""
        return not is_valid(self.experiment, point)

    def score(self, trial: Trial) -> float | None:
        """See `Strategy.score`."""
        return trial.value

    def bar(self, tried: Sequence[Trial]) -> tuple[float, ...]:
        """See `Strategy.bar`."""
        return median_bar([trial.curve for trial in tried])


def best_of(trials: Sequence[Trial]) -> Trial:
    """The trial with the best value; of equal ones the first.

    Raises:
        TrainingError: there is none.
    """
    able = [trial for trial in trials if trial.counts and trial.value is not None]
    if not able:
        why = trials[0].note if trials else "no trial was begun; give more --minutes or --trials"
        raise TrainingError(f"no trial came to an end: {why}")
    return max(able, key=lambda trial: trial.value or 0.0)
