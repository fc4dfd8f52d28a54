"""An exported folder, checked and in memory: what is used is what the manifest has the hash of."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rankdistill.checksums import sha256
from rankdistill.errors import ExportError
from rankdistill.serving import layout
from rankdistill.serving.raw_ids import RawIds
from rankdistill.types import Json

_KEYS: dict[str, type | tuple[type, ...]] = {
    "catalogue": dict,
    "config": dict,
    "files": dict,
    "fingerprint": str,
    "item_vectors": bool,
    "kind": str,
    "made": str,
    "own_items_differ": bool,
    "parameters": int,
    "precision": str,
}
_SIZES = ("num_users", "num_items", "history_length")
_FOR_OTHERS = (layout.VECTORS_BY_ID, layout.TRITON)
"""Files that are checked and not kept: they are for other programs."""


@dataclass(frozen=True, slots=True)
class ExportedFolder:
    """A folder as it was at one moment; nothing of it is read from the disk any more.

    Attributes:
        path: where it was.
        manifest: of it.
        contents: the files, by their names in the manifest.
    """

    path: Path
    manifest: Json
    contents: dict[str, bytes]

    @classmethod
    def read(cls, path: Path) -> ExportedFolder:
        """Reads a folder, and compares each file with its hash.

        Raises:
            ExportError: it is missing or damaged, of another version, or a file is not the one that was exported.
        """
        manifest = read_manifest(path)
        contents = {}
        for name, about in manifest["files"].items():
            if not isinstance(about, dict) or not {"bytes", "sha256"} <= about.keys():
                raise ExportError(f"{path / layout.MANIFEST}: has no hash of {name}; export the model again")
            if not (path / name).resolve().is_relative_to(path.resolve()):
                raise ExportError(
                    f"{path / layout.MANIFEST}: names {name}, outside of the folder; export the model again"
                )
            kept = name not in _FOR_OTHERS
            try:
                content = (path / name).read_bytes() if kept else b""
                found = hashlib.sha256(content).hexdigest() if kept else sha256(path / name)
            except OSError as error:
                reason = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
                raise ExportError(f"{path / name}: {reason}; export the model again") from error
            if found != about["sha256"]:
                raise ExportError(
                    f"{path / name}: truncated or changed since it was exported (SHA-256 differs); export it again"
                )
            if kept:
                contents[name] = content
        return cls(path, manifest, contents)

    def __contains__(self, name: str) -> bool:
        """Whether the manifest names a file."""
        return name in self.contents

    def content(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            ExportError: the manifest does not name it.
        """
        if name not in self.contents:
            raise ExportError(f"{self.path / layout.MANIFEST}: names no {name}; export the model again")
        return self.contents[name]

    def array(self, name: str, kinds: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        """The array in a file, which shares the file's bytes.

        Args:
            name: of a file in numpy's format.
            kinds: letters of the kinds of numbers that it may hold.
            shape: that it has to have; None is any length.

        Raises:
            ExportError: the manifest does not name it, or it is no such array.
        """
        content = self.content(name)
        try:
            array = _view(content)
        except ValueError as error:
            raise ExportError(f"{self.path / name}: no array ({error}); export the model again") from error
        fits = len(shape) == array.ndim and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
        if array.dtype.kind not in kinds or not fits:
            raise ExportError(
                f"{self.path / name}: holds {array.dtype} {list(array.shape)}, which is not what the manifest says; "
                f"export the model again"
            )
        return array

    def ids(self, name: str, count: int, first: int) -> RawIds:
        """The raw ids in a file, so many, whose indices count from `first`.

        Raises:
            ExportError: as `array` does, or an id stands twice.
        """
        ids = RawIds(self.array(name, "iS", (count,)), first)
        if not ids.are_distinct:
            raise ExportError(f"{self.path / name}: an id stands for two of them; export the model again")
        return ids


def _view(content: bytes) -> NDArray[Any]:
    """The array that bytes in numpy's format hold."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("of a later version of the format")
    shape, by_column, dtype = np.lib.format.read_array_header_1_0(stream)
    if by_column or dtype.hasobject:
        raise ValueError("in another order, or of objects")
    return np.frombuffer(content, dtype, count=int(np.prod(shape)), offset=stream.tell()).reshape(shape)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and value > 0


def read_manifest(folder: Path) -> Json:
    """The manifest of a folder.

    Raises:
        ExportError: there is none, or it is damaged or of another version.
    """
    path = folder / layout.MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ExportError(
            f"{folder}: no exported model here ({layout.MANIFEST} is missing); name a folder that export made"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path}: cannot be read ({error}); export the model again") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != layout.SCHEMA:
        raise ExportError(f"{path}: of schema {schema}, and this version reads {layout.SCHEMA}; export the model again")
    lacking = [key for key, kind in _KEYS.items() if not isinstance(manifest.get(key), kind)]
    lacking = lacking or [f"catalogue.{key}" for key in _SIZES if not _is_size(manifest["catalogue"].get(key))]
    measured = manifest.get("precisions", {})
    if not isinstance(measured, dict) or not all(isinstance(each, dict) for each in measured.values()):
        lacking.append("precisions")
    if lacking:
        raise ExportError(f"{path}: lacks {', '.join(lacking)}; export the model again")
    checked: Json = manifest
    return checked
