"""Matrix factorisation, a user vector against item vectors; with the pair-wise loss BPR-MF (Rendle, UAI 2009)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from rankdistill.config import Range
from rankdistill.ranker import Catalogue, Ranker
from rankdistill.tables import TableConfig, Vectors, table_of


class MatrixFactorization(Ranker):
    """score(u, i) = < P_u, Q_i > + b_i. The last items of a query are not looked at."""

    class Config(TableConfig):
        """Options of matrix factorisation."""

        kind: Literal["matrix_factorization"] = "matrix_factorization"
        dim: Annotated[int, Range(4, 256, log=True, size=True)] = Field(
            50, ge=1, description="d, the length of item and user vectors"
        )

    config: Config
    user_table = "user_vectors"
    tables = ("user_vectors", "item_vectors", "item_bias")

    def __init__(self, config: Config, catalogue: Catalogue) -> None:
        super().__init__(config, catalogue)
        dim, rows = config.dim, catalogue.num_items + 1
        self.user_vectors = nn.Parameter(torch.randn(catalogue.num_users, dim) / dim)
        self.item_vectors = table_of(config, rows, dim)
        self.item_bias = nn.Parameter(torch.zeros(rows))

    def encode_as(self, rows: Tensor, history: Tensor) -> Tensor:
        """The users' vectors [B, d]."""
        return rows

    def item_table(self) -> tuple[Vectors, Tensor]:
        """Q [I + 1, d] and b [I + 1]."""
        return self.item_vectors, self.item_bias
