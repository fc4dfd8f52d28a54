"""An exported folder, checked: what the manifest says is what is there."""

from __future__ import annotations

import json
from pathlib import Path

from rankdistill.checksums import sha256
from rankdistill.errors import ExportError
from rankdistill.serving import layout
from rankdistill.types import Json

_NEEDED = ("catalogue", "fingerprint", "item_vectors", "kind", "made", "own_items_differ", "parameters", "precision")


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
    except (OSError, ValueError) as error:
        raise ExportError(f"{path}: cannot be read ({error}); export the model again") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != layout.SCHEMA:
        raise ExportError(f"{path}: of schema {schema}, and this version reads {layout.SCHEMA}; export the model again")
    lacking = [key for key in _NEEDED if key not in manifest]
    if lacking or not isinstance(manifest["catalogue"], dict) or "num_users" not in manifest["catalogue"]:
        raise ExportError(f"{path}: lacks {', '.join(lacking) or 'catalogue.num_users'}; export the model again")
    checked: Json = manifest
    return checked


def check_files(folder: Path, manifest: Json) -> None:
    """Compares each file with its hash in the manifest.

    Raises:
        ExportError: one is missing, or is not the one that was exported.
    """
    files = manifest.get("files")
    if not isinstance(files, dict) or layout.MODEL not in files:
        raise ExportError(f"{folder / layout.MANIFEST}: names no {layout.MODEL}; export the model again")
    for name, about in files.items():
        path = folder / name
        if not isinstance(about, dict) or not {"bytes", "sha256"} <= about.keys():
            raise ExportError(f"{folder / layout.MANIFEST}: has no hash of {name}; export the model again")
        if not path.is_file():
            raise ExportError(f"{path}: no such file; export the model again")
        if path.stat().st_size != about["bytes"] or sha256(path) != about["sha256"]:
            raise ExportError(f"{path}: truncated or changed since it was exported (SHA-256 differs); export it again")
