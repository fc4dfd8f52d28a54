"""What is asked of a reproduction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rankdistill.errors import ConfigError
from rankdistill.parallel import Processors
from rankdistill.plugins import suggestion
from rankdistill.reproduction import datasets, kdd18
from rankdistill.reproduction.cells import Cell, Plan
from rankdistill.types import Json

PAPERS = ("kdd18",)
_SEEDS = 3
_MOST_JOBS = 4
_PLANNED = ("teacher", "student", "seed")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be reproduced, and how the machine is used.

    Attributes:
        paper: "kdd18".
        dataset: a name in `datasets.DATASETS`.
        quick: one seed, fewer epochs and points.
        seeds: how many; None is three, or one in the quick version.
        changes: `section.key=value`, for every training.
        only: names of tables and figures; empty is all of them.
        jobs: trainings at once; None is as many as have cores, up to four, or one on a GPU.
        threads: of each training; None is `OMP_NUM_THREADS`, and where that is not set, its share of the cores.
        device: for every training; None is what `changes` say.
    """

    paper: str = "kdd18"
    dataset: str = "gowalla"
    quick: bool = False
    seeds: int | None = None
    changes: Sequence[str] = field(default_factory=tuple)
    only: Sequence[str] = field(default_factory=tuple)
    jobs: int | None = None
    threads: int | None = None
    device: str | None = None

    def plan(self) -> Plan:
        """The trainings that it takes.

        Raises:
            ConfigError: there is no such paper, data set or key.
        """
        if self.paper not in PAPERS:
            near = suggestion(self.paper, PAPERS)
            raise ConfigError(f"{self.paper!r} is not reproduced here{near} (there are: {', '.join(PAPERS)})")
        dataset, seeds = datasets.find(self.dataset), self._seeds()
        for change in self.changes:
            self._check(change)
        changes = [*self.changes, *([f"train.device={self.device}"] if self.device else [])]
        return kdd18.plan(dataset, quick=self.quick, seeds=kdd18.SEEDS[:seeds], changes=changes)

    def _seeds(self) -> int:
        if self.quick and self.seeds not in (None, 1):
            raise ConfigError(f"--seeds {self.seeds}: the quick version has one seed; leave out --seeds or --quick")
        seeds = (1 if self.quick else _SEEDS) if self.seeds is None else self.seeds
        if not 1 <= seeds <= len(kdd18.SEEDS):
            raise ConfigError(f"--seeds {seeds} is out of range (1 to {len(kdd18.SEEDS)})")
        return seeds

    def _check(self, change: str) -> None:
        """Refuses to change what tells the plan's trainings apart."""
        key = change.partition("=")[0].strip()
        if key.partition(".")[0] in _PLANNED or key == "data.kind":
            raise ConfigError(
                f"--set {change}: models, seeds and data set are what is reproduced; change keys of [train], "
                f"[distillation], [ranking_loss] or [windows], or write an experiment of your own for `rankdistill run`"
            )

    def parts(self, plan: Plan) -> list[list[Cell]]:
        """The cells of each table and figure that is asked for, a teacher before its students.

        Raises:
            ConfigError: `only` names what is neither.
        """
        for name in self.only:
            if name == "search" and not plan.search:
                where = "in the quick version" if plan.quick else f"on {plan.title}"
                raise ConfigError(f"--only search: nothing is searched {where}")
            if name not in plan.parts:
                near = suggestion(name, plan.parts)
                raise ConfigError(f"--only {name!r}: no such part{near} (there are: {', '.join(plan.parts)})")
        return [plan.needed(keys) for name, keys in plan.parts.items() if not self.only or name in self.only]

    def processors(self, plan: Plan) -> Processors:
        """How the machine is used.

        Raises:
            TrainingError: the device that is asked for is not there.
        """
        return Processors.shared_out(plan.cells[0].model.train.device, self.jobs, self.threads, _MOST_JOBS)

    def settings(self) -> Json:
        """What may not change in a folder once it is begun; seeds and parts may be added."""
        name = datasets.find(self.dataset).name
        return {"paper": self.paper, "dataset": name, "quick": self.quick, "set": list(self.changes)}

    def command(self) -> str:
        """The command line that makes the results."""
        words = ["rankdistill", "reproduce", self.paper, "--dataset", datasets.find(self.dataset).name]
        words += ["--quick"] if self.quick else []
        words += ["--seeds", str(self.seeds)] if self.seeds not in (None, _SEEDS) and not self.quick else []
        return " ".join([*words, *(f"--set {change}" for change in self.changes)])
