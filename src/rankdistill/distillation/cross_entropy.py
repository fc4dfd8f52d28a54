"""Cross-entropy or KL to the teacher's distribution over the whole catalogue (Hinton et al., 2015)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from rankdistill.catalogue_softmax import catalogue_cross_entropy
from rankdistill.config import Range
from rankdistill.loss import DistillationConfig, Loss, Needs, Step


class CrossEntropy(Loss):
    """L_D = - tau^2 sum_i softmax(t / tau)_i log softmax(s / tau)_i over the catalogue, averaged over the queries.

    The teacher is asked for the queries of each batch while the student learns, so that nothing of the size users x
    items is kept. `measure = "kl"` takes the teacher's own entropy off, which changes the value and no gradient.
    """

    needs: ClassVar[Needs] = "model"

    class Config(DistillationConfig):
        """Options of the cross-entropy over the catalogue."""

        kind: Literal["cross_entropy"] = "cross_entropy"
        k: int = Field(10, ge=1, description="K, the length of the teacher's list, at which this loss does not look")
        measure: Literal["cross_entropy", "kl"] = Field("cross_entropy", description="what is minimised")
        temperature: Annotated[float, Range(0.5, 10.0, log=True)] = Field(
            2.0, gt=0, description="tau, by which both models' scores are divided"
        )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, step: Step) -> Tensor:
        """See `Loss.forward`."""
        tau, given = self.config.temperature, step.ask_teacher(None).to(step.queries.dtype)
        loss, entropy = catalogue_cross_entropy(step.score(None), given, tau)
        return tau**2 * (loss - entropy if self.config.measure == "kl" else loss).mean()
