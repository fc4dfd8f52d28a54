"""The table of the public data sets: files and checksums, terms, and how each is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rankdistill.data.downloads import MOVIELENS_100K, Source, web_folder
from rankdistill.data.events import Events
from rankdistill.data.readers.delimited import Delimited
from rankdistill.data.readers.presplit import Presplit
from rankdistill.data.readers.recbole import RecBole

_CASER = "https://raw.githubusercontent.com/graytowne/caser_pytorch/master/datasets"
_CUTS = ("test/train.txt", "test/test.txt", "validation/train.txt", "validation/test.txt")


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A public data set.

    Attributes:
        folder: the name of the folder that holds it, in any of the places.
        checksums: the SHA-256 of each file that the results depend on.
        read: reads the events from the folder.
        terms: under which terms it may be used.
        citation: whom to cite.
        home: where a person gets it.
        sources: where the program gets it: the first that answers.
        presplit: whether it brings its own split.
        core: the interactions that a user and an item need.
        repeats: which of a user's repeat visits to an item are kept.
    """

    folder: str
    checksums: Mapping[str, str]
    read: Callable[[Path], Events]
    terms: str
    citation: str
    home: str
    sources: tuple[Source, ...]
    presplit: bool
    core: int
    repeats: Literal["all", "first", "last"]


def _presplit(folder: Path) -> Events:
    return Presplit(Presplit.Config(path=folder)).read()


def _movielens_100k(folder: Path) -> Events:
    path = folder / "ml-100k.inter"
    return RecBole(RecBole.Config(path=path, user="user_id", item="item_id", time="timestamp")).read()


def _foursquare_nyc(folder: Path) -> Events:
    path = folder / "checkins.csv.gz"
    return Delimited(Delimited.Config(path=path, user="user_idx", item="poi_idx", time="unix_s")).read()


_GOWALLA = NamedSet(
    folder="gowalla",
    checksums={
        "test/train.txt": "5598d1fe18d9e7fe8d3301d9da566b7ef144efa54677c871bc811b5a0ca0ffcb",
        "test/test.txt": "5cc03ad74b486933568f5153eeb9715c1c469b9bcafff1b3524fdd8605a366bc",
        "validation/train.txt": "1eb20e41ea0e7e39c74eb028d283853854860bbb2852ce08d8938c48e98f074d",
        "validation/test.txt": "fd0b6af1b9f6d9c77c6766a1392774b0414ec21203e3f2015fca6e69af2c1dcb",
    },
    read=_presplit,
    terms="public research data (SNAP)",
    citation="Cho, Myers and Leskovec, KDD 2011; the split: Tang and Wang, KDD 2018",
    home=f"{_CASER}/gowalla",
    sources=(web_folder(f"{_CASER}/gowalla", _CUTS),),
    presplit=True,
    core=1,
    repeats="all",
)

_MOVIELENS_1M = NamedSet(
    folder="ml-1m",
    checksums={
        "test/train.txt": "068d772fde1e3c187bc9b56dd22de3c3c559eb61c5258cf080dd4d50a46c1bac",
        "test/test.txt": "5da5f1b9fa97264e3d908a03d38b40e9a0e939fa7f46a33e729dbc83eb377da6",
        "validation/train.txt": "5177ff3a38fff46675e18dae401b8453b12184ce8d06f3198ee04e04f5480b78",
        "validation/test.txt": "3398d79f53d2b9e74a01ab2ff5620b033b856296c9b1f77c5b0197c0d9bd5886",
    },
    read=_presplit,
    terms="for research, not to be redistributed (GroupLens)",
    citation="Harper and Konstan, TiiS 2015; the split: Tang and Wang, WSDM 2018",
    home=f"{_CASER}/ml1m",
    sources=(web_folder(f"{_CASER}/ml1m", _CUTS),),
    presplit=True,
    core=1,
    repeats="all",
)

_MOVIELENS_100K = NamedSet(
    folder="ml-100k",  # the sources write the titles, ml-100k.item, differently: for show alone, not checked
    checksums={"ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"},
    read=_movielens_100k,
    terms="for research, not to be redistributed (GroupLens)",
    citation="Harper and Konstan, TiiS 2015",
    home="https://grouplens.org/datasets/movielens/100k/",
    sources=MOVIELENS_100K,
    presplit=False,
    core=5,
    repeats="last",
)

_FOURSQUARE_NYC = NamedSet(
    folder="foursquare-nyc",
    checksums={"checkins.csv.gz": "94cc65b6553fe157fc8e22a9607e615f04d3d342d348da9bdcadeebf5db692e0"},
    read=_foursquare_nyc,
    terms="for research, not to be redistributed, so that there is no download (Foursquare, TSMC2014)",
    citation="Yang, Zhang, Zheng and Yu, IEEE TSMC 2015",
    home="whoever has this cleaned copy of the New York check-ins of TSMC2014 "
    '(https://sites.google.com/site/yangdingqi/home/foursquare-dataset; the original is kind = "delimited")',
    sources=(),
    presplit=False,
    core=10,
    repeats="last",
)

SETS: Mapping[str, NamedSet] = {
    "gowalla-kdd18": _GOWALLA,
    "movielens-1m": _MOVIELENS_1M,
    "movielens-100k": _MOVIELENS_100K,
    "foursquare-nyc": _FOURSQUARE_NYC,
}
