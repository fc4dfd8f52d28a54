"""What `compress` is after: a strategy for a search of sizes and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rankdistill.errors import TrainingError
from rankdistill.tuning.goal import Goal, Model
from rankdistill.tuning.sizes import Sizes, ladder_of
from rankdistill.tuning.space import Point, Space
from rankdistill.tuning.trials import Trial
from rankdistill.tuning.watching import lowest_bar, median_bar

_PATIENCE = 0.95
"""A trial goes on while it is no further than this behind every student that met the goal."""


@dataclass(frozen=True, slots=True)
class Smallest:
    """The smallest student that is good enough, or the best one that fits where no quality is asked.

    The experiment's own settings are tried first, and where they are not good enough, the same at the largest size that
    fits; then the interval between what is enough and what is not is halved each time. Where no size fits, all this is
    done in another form of the model, the first whose smallest student does. Then comes whatever is proposed that would
    be smaller than what met the goal. What cannot fit is never trained.

    Attributes:
        sizes: of the students.
        goal: what is asked.
        least: what the metric must reach on validation users; None where any will do.
        ladder: the experiment's own settings, from the smallest to the largest student.
        start: the point of the ladder that is begun with.
        teacher_bytes: a student is smaller than that, unless time alone is limited.
    """

    sizes: Sizes
    goal: Goal
    least: float | None
    ladder: list[Point]
    start: Point
    teacher_bytes: float

    @classmethod
    def of(
        cls, sizes: Sizes, goal: Goal, least: float | None, space: Space, own: Point, teacher_bytes: float
    ) -> Smallest:
        """The strategy for an experiment, in the form of the model that it has, or the first that fits.

        Args:
            sizes: of its students.
            goal: what is asked.
            least: see the attributes.
            space: what is searched.
            own: the experiment's own point.
            teacher_bytes: see the attributes.
        """
        experiment = sizes.experiment
        given = cls(sizes, goal, least, ladder_of(experiment, space, own), own, teacher_bytes)
        if sizes.largest_that(given._fits, given.ladder) >= 0:
            return given
        fitting = (each for each in sizes.starts(space, own) if (model := sizes.at(each)) and given._fits(model))
        start = next(fitting, own)
        return replace(given, ladder=ladder_of(experiment, space, start), start=start)

    def meets(self, trial: Trial) -> bool:
        """Whether a trial is what is sought."""
        if not trial.counts or trial.value is None or trial.bytes is None:
            return False
        good = self.least is None or trial.value >= self.least
        return good and self.goal.fits(trial.bytes, trial.latency_ms)

    def chosen(self, tried: Sequence[Trial]) -> Trial | None:
        """The smallest that meets the goal, or the best where no quality is asked; None where none does."""
        met = [trial for trial in tried if self.meets(trial)]
        if not met:
            return None
        if self.least is None:
            return max(met, key=lambda trial: (trial.value or 0.0, -(trial.bytes or 0)))
        return min(met, key=lambda trial: (trial.bytes or 0, -(trial.value or 0.0)))

    def closest(self, tried: Sequence[Trial]) -> Trial:
        """The one that misses the goal least, by the largest share that lacks of what is asked; of several, the best.

        One that was cut short is taken where there is no other.

        Raises:
            TrainingError: no trial has a value.
        """
        able = [trial for trial in tried if trial.value is not None]
        if not able:
            why = tried[0].note if tried else "no trial was begun; give more --minutes or --trials"
            raise TrainingError(f"no trial came to an end: {why}")
        return max(
            able, key=lambda trial: (trial.counts, -max(self.missed(trial).values(), default=0.0), trial.value or 0.0)
        )

    def missed(self, trial: Trial) -> dict[str, float]:
        """By how much a trial misses each part of the goal that it does not meet, as a share of what is asked."""
        lacking = 0.0 if self.least is None else 1 - (trial.value or 0.0) / self.least
        return self.goal.missed(trial.bytes or 0, trial.latency_ms, lacking)

    def first(self, tried: Sequence[Trial], running: Sequence[Point]) -> Point | None:
        """See `Strategy.first`."""
        if running:
            return None
        largest = self.sizes.largest_that(self._fits, self.ladder)
        if largest < 0:
            return None
        done = {self.ladder.index(trial.point): trial for trial in tried if trial.point in self.ladder}
        starts = (largest,) if self.least is None else (min(largest, self.ladder.index(self.start)), largest)
        for step in starts:
            if step not in done:
                return self.ladder[step]
            if self.meets(done[step]):
                break
        met = [step for step, trial in done.items() if self.meets(trial)]
        if self.least is None or not met:
            return None
        enough = min(met)
        lacking = max((step for step, trial in done.items() if step < enough), default=-1)
        return self.ladder[(lacking + enough) // 2] if enough - lacking > 1 else None

    def _fits(self, model: Model) -> bool:
        small = model.bytes < self.goal.below(self.teacher_bytes)
        return small and self.goal.fits(model.bytes, model.latency_ms)

    def refused(self, point: Point, tried: Sequence[Trial]) -> bool:
        """See `Strategy.refused`."""
        model = self.sizes.at(point)
        if model is None or not self._fits(model):
            return True
        best = self.chosen(tried)
        return self.least is not None and best is not None and model.bytes >= (best.bytes or 0)

    def score(self, trial: Trial) -> float | None:
        """See `Strategy.score`: quality until it is enough, then smallness."""
        if trial.value is None or self.least is None or trial.bytes is None:
            return trial.value
        if self.meets(trial):
            return 1.0 + 1.0 / trial.bytes
        return min(trial.value / self.least, 1.0)

    def bar(self, tried: Sequence[Trial]) -> tuple[float, ...]:
        """See `Strategy.bar`."""
        if self.least is None:
            return median_bar([trial.curve for trial in tried])
        met = [trial.curve for trial in tried if self.meets(trial)]
        bar = lowest_bar(met, _PATIENCE) if met else median_bar([trial.curve for trial in tried])
        return tuple(min(value, self.least) for value in bar)  # what is good enough already goes on
