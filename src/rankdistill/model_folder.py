"""A model on disk: `model.safetensors`, `model.json` and the raw ids. Nothing that is loaded can run code."""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from rankdistill import plugins
from rankdistill.checksums import sha256
from rankdistill.ensemble import Ensemble
from rankdistill.errors import CheckpointError, ConfigError
from rankdistill.files import replacing, write_json
from rankdistill.ids import IdMap
from rankdistill.owners import lists_in
from rankdistill.ranker import Catalogue, Ranker, device_named, model_state
from rankdistill.rounding import packed, unpacked
from rankdistill.types import Json

WEIGHTS, CARD = "model.safetensors", "model.json"

_OF_A_MODEL = (
    *(WEIGHTS, CARD, "ids/users.parquet", "ids/items.parquet", "config.toml"),
    *("metrics.jsonl", "checkpoint.safetensors", "mlflow.json", "tensorboard/events.*"),
    *("rankings.parquet", "evaluation.parquet", "evaluation-halves.parquet"),
)
"""What the training and the measuring of a model leave in its folder, beside `epochs/`."""
_LISTS_ALONE = {"lists": "lists alone", "fusion": "several teachers' lists added up"}
"""What a teacher is whose card is of this kind, and that has no model."""
_OF_TRAINING = ("fingerprint", "settings", "seed", "distillation", "epoch", "epochs", "best_epoch", "train_seconds")
_OF_MACHINE = ("device", "threads", "versions")
_OF_MEMBER = ("number", "kind", "weight", "seed", "parameters", "bytes", "train_seconds")


def save_model(folder: Path, model: Ranker, user_ids: IdMap, item_ids: IdMap, about: Json) -> None:
    """Writes a model folder; the card comes last, so a folder with a card is whole.

    Args:
        folder: where; other files in it are left alone.
        model: the model.
        user_ids: raw ids of its users.
        item_ids: raw ids of its items.
        about: what else the card should say (role, data fingerprint, seconds of training ...).
    """
    with replacing(folder / WEIGHTS) as temporary:
        save_file(weights_of(model), temporary)
    user_ids.write(folder / "ids" / "users.parquet")
    item_ids.write(folder / "ids" / "items.parquet")
    weights = folder / WEIGHTS
    config = model.config.model_dump(mode="json")
    catalogue = model.catalogue
    card = {
        "kind": plugins.kind_of(model.config),
        "config": config,
        "ranking_loss": model.ranking_loss,
        "catalogue": {
            "num_users": catalogue.num_users,
            "num_items": catalogue.num_items,
            "history_length": catalogue.history_length,
        },
        "parameters": model.parameters_count,
        "bytes": weights.stat().st_size,
        "sha256": sha256(weights),
        "versions": versions(),
        **about,
    }
    write_json(folder / CARD, card)


def weights_of(model: Ranker) -> dict[str, Tensor]:
    """The numbers that a model's file holds."""
    return packed(model_state(model), model.precision)


def clear_model(folder: Path) -> None:
    """Removes a model, its earlier epochs and its figures; what else is in its folder stays, and the folder with it."""
    for epoch in folder.glob("epochs/*"):
        if epoch.name.isdecimal() and not epoch.is_symlink():
            clear_model(epoch)
    for pattern in _OF_A_MODEL:
        for file in folder.glob(pattern):
            file.unlink()
    for inside in ("ids", "tensorboard", "epochs", ""):
        with suppress(OSError):  # it is not there, or there is something in it
            (folder / inside).rmdir()


def bytes_of(model: Ranker) -> int:
    """How large the file of a model's weights is, trained or not."""
    return len(save(weights_of(model)))


def load_card(folder: Path) -> Json:
    """The content of a folder's `model.json`.

    Raises:
        CheckpointError: there is none, or it is not JSON.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder}: no model here ({CARD} is missing); name a folder that train made") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); train the model again") from error
    if not isinstance(card, dict):
        raise CheckpointError(f"{path}: holds no model card; train the model again")
    return card


def is_model(folder: Path) -> bool:
    """Whether a folder is that of a model: of a teacher that is lists there is a card alone."""
    return (folder / CARD).is_file() and (folder / WEIGHTS).is_file()


def check_model(folder: Path) -> None:
    """Refuses a folder without a model, and says what is there in its place.

    Raises:
        CheckpointError: there is no card, or a card alone.
    """
    card, weights = load_card(folder), folder / WEIGHTS
    if weights.is_file():
        return
    if card.get("kind") not in _LISTS_ALONE:
        raise CheckpointError(f"{weights}: no such file; train the model again")
    lists = ", ".join(map(str, lists_in(folder.parent))) or card.get("config", {}).get("rankings")
    raise CheckpointError(
        f"{folder}: is a teacher that is {_LISTS_ALONE[card['kind']]}, and no model; "
        + (f"its lists are in {lists}" if lists else "run its experiment again to have its lists")
    )


def origin_of(card: Json) -> Json:
    """How the model of a card was made, for the card of a copy: nothing of where it was, or of what was measured there.

    >>> origin_of({"seed": 1, "role": "student", "metrics": {"map": 0.1}, "members": [{"number": 1, "folder": "1"}]})
    {'seed': 1, 'members': [{'number': 1}]}
    """
    known = {key: card[key] for key in (*_OF_TRAINING, *_OF_MACHINE, "combine") if key in card}
    if "members" in card:
        known["members"] = [{key: each[key] for key in _OF_MEMBER if key in each} for each in card["members"]]
    return known


def load_model(folder: Path | str, device: str = "cpu") -> tuple[Ranker, Json]:
    """The model of a folder, on a device, and its card.

    Raises:
        CheckpointError: a file is missing, truncated or changed since it was written, or the model's class is not
            known. A class that the card names in full has to be imported beforehand: loading runs no other code.
    """
    folder = Path(folder)
    check_model(folder)
    card, weights = load_card(folder), folder / WEIGHTS
    if sha256(weights) != card.get("sha256"):
        raise CheckpointError(f"{weights}: truncated or changed since it was written (SHA-256 differs); train it again")
    try:
        plugin = Ensemble if card["kind"] == "ensemble" else plugins.find("models", card["kind"], may_import=False)
        config = plugin.Config.model_validate(card["config"])
        model = plugin(config, Catalogue(**card["catalogue"]))
        model.take(unpacked(load_file(weights), model.precision))
    except ConfigError as error:
        raise CheckpointError(f"{folder / CARD}: {error}") from error
    except (KeyError, TypeError, ValidationError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{folder}: the card does not fit the weights ({reason}); train it again") from error
    assert isinstance(model, Ranker)
    earlier = card.get("settings", {}).get("ranking_loss.kind")  # where cards had it that have no key of it
    model.ranking_loss = card.get("ranking_loss", earlier) if model.learns else None
    return model.to(device_named(device)), card


def load_ids(folder: Path) -> tuple[IdMap, IdMap]:
    """The raw ids of a model's users and items."""
    return IdMap.read(folder / "ids" / "users.parquet", 0), IdMap.read(folder / "ids" / "items.parquet", 1)


def versions() -> dict[str, str]:
    """What made a model: our version, Python's and those of the libraries that matter."""
    packages = ("rankdistill", "torch", "numpy", "polars")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}
