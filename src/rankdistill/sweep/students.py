"""The students of a sweep in its folder: which are done, and with which figures."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
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
        """Whether a student was trained and measured with what it depends on now."""
        return is_done(self.folder(variant), self._stamp(variant))

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
        """Measures what is not measured yet: the teacher's validation metrics, and latencies.

        Where one latency is missing, all are measured anew, one model after another, so that they can be compared. Of a
        student with several seeds, the first one that is done is timed.
        """
        if self.shared.teacher is not None:
            self._validate(self.shared.teacher)
        done = [next(filter(self.is_done, point.variants), None) for point in self.plan.points]
        models = {self.folder(each): each.experiment.student.train.device for each in done if each is not None}
        if all("latency_ms" in load_card(folder) for folder in models):
            return
        if self.shared.teacher is not None:
            models[self.shared.teacher] = self.plan.base.student.train.device
        for folder in models:  # so that a sweep that is stopped here measures all of them again
            write_json(folder / CARD, {key: value for key, value in load_card(folder).items() if key != "latency_ms"})
        for folder, device in models.items():
            model, _ = load_model(folder, device)
            measuring.time_model(folder, model, self.shared.split, self.plan.base.evaluate)
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
