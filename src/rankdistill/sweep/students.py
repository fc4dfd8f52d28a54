"""The students of a sweep in its folder: which are done, and with which figures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rankdistill import measuring
from rankdistill.estimate import Training
from rankdistill.files import read_object, write_json
from rankdistill.model_folder import CARD, load_card, load_model
from rankdistill.parallel import Task
from rankdistill.runs import stamp_of
from rankdistill.sweep.plan import Plan
from rankdistill.sweep.work import FAILED, Job
from rankdistill.types import Json
from rankdistill.variants import Shared, Variant, is_done

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Students:
    """What is to be trained and what is there.

    Attributes:
        plan: what is to be trained.
        shared: the data and the teacher's lists.
    """

    plan: Plan
    shared: Shared
    _stamps: dict[str, str] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)

    @property
    def out(self) -> Path:
        """The folder of the sweep."""
        return self.shared.folder.path

    def folder(self, variant: Variant) -> Path:
        """Where a student is kept."""
        return self.out / "students" / variant.name

    def _stamp(self, variant: Variant) -> str:
        if variant.name not in self._stamps:
            self._stamps[variant.name] = self.shared.stamp(variant, self.folder(variant))
        return self._stamps[variant.name]

    def is_done(self, variant: Variant) -> bool:
        """Whether a student was trained and measured with what it depends on now; its files are looked at once."""
        if variant.name not in self._done and is_done(self.folder(variant), self._stamp(variant)):
            self._done.add(variant.name)
        return variant.name in self._done

    def failed(self, variant: Variant) -> str | None:
        """Why a student cannot be trained; None where that is not known."""
        found = read_object(self.folder(variant) / FAILED)
        reason: str | None = found.get("reason") if found.get("stamp") == self._stamp(variant) else None
        return reason

    def todo(self) -> list[Variant]:
        """What is neither done nor known to fail."""
        return [each for each in self.plan.variants if not self._is_settled(each)]

    def _is_settled(self, variant: Variant) -> bool:
        return self.shared.has_lists(variant) and (self.is_done(variant) or self.failed(variant) is not None)

    def task(self, variant: Variant) -> Task[Job]:
        """What a worker has to know."""
        return Task(variant.name, Job(variant, self.folder(variant), self.plan.base, self.out))

    def training(self, variant: Variant) -> Training:
        """What has to be known to say how long it takes."""
        return Training(variant.experiment, self.shared.split, variant.distilled, labels=False)

    def measure(self) -> None:
        """Measures the teacher's validation metrics and all latencies, unless they are known, these from one call."""
        if self.shared.teacher is not None:
            self._validate(self.shared.teacher)
        models = self._timed()
        calls = {(load_card(folder).get("latency_ms") or {}).get("call") for folder in models}
        if None in calls or len(calls) > 1:
            self._time(models)

    def _timed(self) -> dict[Path, str]:
        """The models whose latencies are shown, with their devices: of several seeds, the first one that is done."""
        device, teacher = self.plan.base.student.train.device, self.shared.teacher
        models = {} if teacher is None else {teacher: device}
        for point in self.plan.points:
            done = next((variant for variant in point.variants if self.is_done(variant)), None)
            if done is not None:
                models[self.folder(done)] = done.experiment.student.train.device
        return models

    def _time(self, models: Mapping[Path, str]) -> None:
        """Times models one after another: latencies of different calls, or beside other work, do not compare."""
        call = datetime.now(UTC).isoformat()
        for folder, device in models.items():
            model, _ = load_model(folder, device)
            measuring.time_model(folder, model, self.shared.split, self.plan.base.evaluate, call)
            logger.info("%s: %.3f ms a query", folder.name, load_card(folder)["latency_ms"]["p50"])

    def _validate(self, teacher: Path) -> None:
        """Writes the validation metrics of the teacher's model into its card, where those there are not the same."""
        split, settings, card = self.shared.split, self.plan.base.evaluate, load_card(teacher)
        evaluate = settings.model_dump(mode="json", exclude={"bootstrap_samples"})
        stamp = stamp_of(model=card["sha256"], data=split.content, evaluate=evaluate)
        if card.get("validation_stamp") != stamp:
            found = None
            if split.validation is not None:
                model, _ = load_model(teacher, self.plan.base.student.train.device)
                found = measuring.validate_model(model, split, settings)
            write_json(teacher / CARD, {**card, "validation": found, "validation_stamp": stamp})

    def card(self, variant: Variant) -> Json:
        """The `model.json` of a student that is done."""
        return load_card(self.folder(variant))
