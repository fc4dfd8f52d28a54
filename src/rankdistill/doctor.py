"""Is this installation sound? Versions, processor, data, and a training that is interrupted, resumed and checked."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from rankdistill import native, plugins
from rankdistill.config import Section, TrainConfig
from rankdistill.data.catalogue import SETS
from rankdistill.data.datasets import cache
from rankdistill.data.interactions import Interactions
from rankdistill.data.splitting import Split
from rankdistill.errors import RankDistillError
from rankdistill.model_folder import load_model, save_model, versions
from rankdistill.pipeline import Settings, evaluate, fit_model, label, recommend
from rankdistill.processor import cores
from rankdistill.ranker import Ranker, model_state
from rankdistill.rankings import Rankings
from rankdistill.teaching import Distillation
from rankdistill.training import Checkpoint
from rankdistill.training.checkpoint import Progress
from rankdistill.training.optimizers import Adam
from rankdistill.types import Json

_TRAIN = TrainConfig(epochs=6, batch_size=128, learning_rate=0.02, device="cpu")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the examination."""

    name: str
    ok: bool
    found: str

    def as_json(self) -> Json:
        """The check as a JSON object."""
        return asdict(self)


def examine() -> list[Check]:
    """All checks; a failure of one does not stop the others."""
    checks = [Check(name, True, version) for name, version in versions().items()]
    checks += [Check("processor", True, _processor()), Check("kernels", True, _kernels())]
    checks += [Check("devices", True, _devices())]
    checks += [_data(name) for name in SETS]
    return [*checks, _examined("self-test", _self_test)]


def _processor() -> str:
    return f"{cores()} cores to use, torch runs {torch.get_num_threads()} threads"


def _kernels() -> str:
    if native.library() is None:
        return "not built (no C compiler at the install) or switched off: torch does the same, more slowly"
    return "compiled, with products of integers" if native.has_int8_products() else "compiled"


def _devices() -> str:
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(["cpu", *(f"cuda:{index} ({name})" for index, name in enumerate(names))])


def _data(name: str) -> Check:
    """Where a public set lies; that it lies nowhere is no fault."""
    chosen = os.environ.get("RANKDISTILL_DATA")
    if chosen and not Path(chosen).is_dir():
        return Check(name, False, f"RANKDISTILL_DATA = {chosen}: no such folder; mend or unset it")
    places = [*([Path(chosen)] if chosen else []), cache()]
    found = [place / SETS[name].folder for place in places if (place / SETS[name].folder).is_dir()]
    return Check(
        name, True, str(found[0]) if found else "not on this machine; fetched when asked for, or set RANKDISTILL_DATA"
    )


def _examined(name: str, test: Callable[[], str]) -> Check:
    begin, threads = time.perf_counter(), torch.get_num_threads()
    try:
        found = test()
    except (RankDistillError, RuntimeError, OSError, ValueError) as error:
        return Check(name, False, " ".join(str(error).split()))
    finally:
        torch.set_num_threads(threads)
    return Check(name, True, f"{found} ({time.perf_counter() - begin:.1f} s)")


def _self_test() -> str:
    """Trains, labels, distils, interrupts and resumes on synthetic data whose structure a sound model finds.

    Raises:
        RuntimeError: a result is wrong.
    """
    split = _synthetic()
    torch.set_num_threads(1)  # the model is tiny: more threads would wait for each other on a busy machine
    caser, popularity = (plugins.find("models", kind).Config for kind in ("caser", "popularity"))
    teacher = _trained(caser(dim=16, dropout=0.0), split, Settings(train=_TRAIN, name="teacher"))
    popular = _trained(popularity(), split, Settings(name="popularity"))
    lists = label(teacher, split, k=10)
    student = caser(dim=16, dropout=0.0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.parquet"
        lists.write(file, split.user_ids, split.item_ids, positions=True)
        read = Rankings.read(file, split.item_ids, split.user_ids)
        _expect((read.items == lists.items).all(), "lists are not the same after writing and reading them")
        distilled = _trained(student, split, Settings(train=_TRAIN, name="distilled"), read)
        resumed = _interrupted(student, split, read, Path(folder))
        _expect(
            _same(distilled, resumed), "an interrupted and resumed training ends otherwise than an uninterrupted one"
        )
        save_model(Path(folder) / "model", resumed, split.user_ids, split.item_ids, {})
        _expect(
            _same(resumed, load_model(Path(folder) / "model")[0]), "a model is not the same after saving and loading it"
        )
    ndcg = {name: _ndcg(model, split) for name, model in (("distilled", distilled), ("popularity", popular))}
    _expect(
        ndcg["distilled"] > 1.4 * ndcg["popularity"],
        f"nothing was learnt: nDCG@10 {ndcg['distilled']:.3f}, popularity has {ndcg['popularity']:.3f}",
    )
    return "trained, labelled, distilled, interrupted and resumed with the same bits, saved and loaded"


def _synthetic() -> Split:
    reader = plugins.find("readers", "synthetic")
    events = reader(reader.Config(users=400, items=60, length=15)).read()
    return Interactions.from_events(events).split("leave_last_out")


def _trained(model: Section, split: Split, settings: Settings, lists: Rankings | None = None) -> Ranker:
    method = plugins.find("distillation", "ranking_distillation").Config(warmup_epochs=2)
    return fit_model(model, split, settings, None if lists is None else Distillation(lists, method))[0]


class _InterruptionError(Exception):
    """Stands for a kill."""


class _StopsAfterAnEpoch(Checkpoint):
    def save(self, model: Ranker, optimizer: Adam, progress: Progress) -> None:
        super().save(model, optimizer, progress)
        raise _InterruptionError


def _interrupted(student: Section, split: Split, lists: Rankings, folder: Path) -> Ranker:
    """The same training, interrupted after an epoch and resumed."""
    stopping = _StopsAfterAnEpoch(folder, {}, resume=False)
    with contextlib.suppress(_InterruptionError):
        _trained(student, split, Settings(train=_TRAIN, checkpoint=stopping), lists)
    return _trained(student, split, Settings(train=_TRAIN, checkpoint=Checkpoint(folder, {}, resume=True)), lists)


def _same(one: Ranker, other: Ranker) -> bool:
    a, b = model_state(one), model_state(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _ndcg(model: Ranker, split: Split) -> float:
    return evaluate(recommend(model, split.test_queries), split.test, ["ndcg@10"]).mean()["ndcg@10"]


def _expect(condition: object, otherwise: str) -> None:
    if not condition:
        raise RuntimeError(otherwise)
