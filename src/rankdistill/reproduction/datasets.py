"""The data sets on which the paper is remade, and the models and settings on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rankdistill.errors import ConfigError
from rankdistill.plugins import suggestion
from rankdistill.reproduction import published
from rankdistill.types import Json


@dataclass(frozen=True, slots=True)
class Family:
    """A model at its two sizes.

    Attributes:
        name: as the paper writes it.
        kind: the model.
        dims: d of teacher and student.
        sections: what its experiments have beside the defaults, by section.
        settings: where those come from, in words.
        chosen: keys of `[distillation]` that were chosen on the validation data; empty where they are the published.
        trials: what they were chosen from.
        fits: what `sections` were chosen from, as changes to the defaults.
    """

    name: str
    kind: str
    dims: tuple[int, int]
    sections: Json = field(default_factory=dict)
    settings: str = "published"
    chosen: Json = field(default_factory=dict)
    trials: Sequence[Json] = ()
    fits: Sequence[Json] = ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model without a distilled student: its name in the tables, its key, its settings in words and in full."""

    name: str
    key: str
    settings: str
    sections: Json


POP = Baseline("POP", "popularity", "", {"student": {"kind": "popularity"}})
ITEM_CF = Baseline("ItemCF", "item_knn", "cosine, 100 neighbours", {"student": {"kind": "item_knn"}})
BPR = Baseline(
    "BPR",
    "bpr-100",
    "d = 100, pair-wise loss",
    {
        "student": {"kind": "matrix_factorization", "dim": 100},
        "ranking_loss": {"kind": "pairwise"},
        "windows": {"history_length": 1},  # so that all but a user's first item are learnt from
    },
)
CASER_WSDM18 = Baseline(
    "Caser, WSDM 2018",
    "caser-wsdm18",
    "published",
    {
        "student": {
            "kind": "caser",
            "dim": 50,
            "vertical_filters": 4,
            "convolution_activation": "relu",
            "activation": "relu",
        },
        "windows": {"target_length": 3},
    },
)
"""Caser with the settings published for MovieLens-1M."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set of the reproduction.

    Attributes:
        name: how the command line calls it.
        kind: its name in `[data]`.
        title: how the results call it.
        families: the models; the figures are of the last.
        quick_epochs: the epochs of the quick version.
        remarks: what the reader has to know.
        baselines: models without a distilled student.
        every_seed: whether the figures, too, have all seeds.
        published, weighting, inference: the published tables where there are any.
    """

    name: str
    kind: str
    title: str
    families: Sequence[Family]
    quick_epochs: int
    remarks: Sequence[str] = ()
    baselines: Sequence[Baseline] = (POP, ITEM_CF, BPR)
    every_seed: bool = False
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    weighting: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    inference: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


_TRIALS: Sequence[Json] = (
    {},
    {"weighting": "position"},
    {"weighting": "position", "position_sharpness": 3.0},
    {"weighting": "position", "alpha": 2.0},
    {"weighting": "position", "exclude": "seen"},
)
_POSITION: Json = {"weighting": "position"}
_FITS: Sequence[Json] = tuple(
    {"ranking_loss": {"kind": loss, "negatives": negatives}, "train": {"weight_decay": decay}}
    for loss, negatives, decay in (
        ("pointwise", 3, 1e-5),
        ("pointwise", 10, 1e-5),
        ("pointwise", 30, 1e-5),
        ("pointwise", 60, 1e-5),
        ("pointwise", 100, 1e-5),
        ("pointwise", 30, 1e-4),
        ("pairwise", 30, 1e-5),
    )
)
"""Ranking loss, negatives and weight decay of Fossil; the number of epochs comes from the validation curve."""


def _caser(teacher: int, student: int, chosen: Json | None = None, *, searched: bool = True) -> Family:
    return Family("Caser", "caser", (teacher, student), chosen=chosen or {}, trials=_TRIALS if searched else ())


def _fossil(
    dims: tuple[int, int], epochs: int, negatives: int, chosen: Json | None = None, *, searched: bool = True
) -> Family:
    """The paper gives Fossil's sizes and no other setting."""
    sections = {
        "ranking_loss": {"kind": "pointwise", "negatives": negatives},
        "train": {"epochs": epochs, "weight_decay": 1e-5},
        "distillation": {"warmup_epochs": max(1, epochs // 5)},  # as Caser's: 10 of 50
    }
    if searched:
        return Family("Fossil", "fossil", dims, sections, "chosen on validation data", chosen or {}, _TRIALS, _FITS)
    return Family("Fossil", "fossil", dims, sections, "as chosen on Gowalla", chosen or {})


_NONE_PUBLISHED = "The paper has no results on this data: ours alone."

DATASETS: Mapping[str, Dataset] = {
    each.name: each
    for each in (
        Dataset(
            "gowalla",
            "gowalla-kdd18",
            "Gowalla",
            (_fossil((50, 20), 12, 60, _POSITION), _caser(100, 50, _POSITION)),
            quick_epochs=12,
            remarks=(
                "The split is that of the paper. POP is met in six cells of seven to .1 %; its published nDCG@3 does "
                "not fit its other cells.",
                "ItemCF and BPR are above the published: of their settings the paper says nothing.",
            ),
            published=published.GOWALLA,
            weighting=published.GOWALLA_WEIGHTING,
            inference=published.GOWALLA_INFERENCE,
        ),
        Dataset(
            "foursquare-nyc",
            "foursquare-nyc",
            "Foursquare New York",
            every_seed=True,
            families=(_fossil((20, 10), 72, 10, {"weighting": "position", "alpha": 2.0}), _caser(100, 50)),
            quick_epochs=50,
            remarks=(
                "These are the check-ins of New York (TSMC2014), not the Foursquare set of the paper, which is another "
                "and larger one (10.1 k users, 23.4 k items): its published results do not apply.",
                _NONE_PUBLISHED,
            ),
        ),
        Dataset(
            "movielens-1m",
            "movielens-1m",
            "MovieLens-1M",
            (_fossil((50, 20), 12, 60, searched=False), _caser(100, 50, searched=False)),
            quick_epochs=6,
            remarks=(
                "The paper has no results on this data. Of Caser with the settings of its own paper (WSDM 2018), a MAP "
                "of about .15 is published.",
            ),
            baselines=(POP, ITEM_CF, BPR, CASER_WSDM18),
            published={CASER_WSDM18.name: {"map": 0.15}},
        ),
        Dataset(
            "movielens-100k",
            "movielens-100k",
            "MovieLens-100k",
            (_fossil((50, 20), 12, 60, searched=False), _caser(100, 20, searched=False)),
            quick_epochs=50,
            remarks=(_NONE_PUBLISHED,),
        ),
    )
}


def find(name: str) -> Dataset:
    """The data set called `name`, by its short name or its `kind`.

    Raises:
        ConfigError: there is none; the nearest one is named.
    """
    for each in DATASETS.values():
        if name in (each.name, each.kind):
            return each
    names = list(DATASETS)
    raise ConfigError(
        f"--dataset {name!r}: not reproduced here{suggestion(name, names)} (there are: {', '.join(names)})"
    )
