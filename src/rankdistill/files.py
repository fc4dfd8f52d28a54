"""Files that are either whole or not there: written to a temporary name, then renamed."""

from __future__ import annotations

import ctypes
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rankdistill.errors import StorageError
from rankdistill.types import Json

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""
_WRITERS = ("polars", "safetensors")
"""Whose errors say that the system could not write; neither is imported for that."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there takes the name `path` at the end.

    Works for a file and for a folder. A kill or a full disk at any moment leaves the earlier `path` as it was, but for
    a folder on a system that cannot exchange two names: there it has no name for a moment, and a kill in it leaves it
    under another one (`remove_leftovers`). The temporary file is removed on error.

    Raises:
        StorageError: the write failed (full disk, no permission, no such folder), or `path` is a device, a pipe, or
            a folder that holds the working directory.
    """
    given = path
    try:
        path = path.resolve()  # a link goes on naming what takes the place of what it named
    except (OSError, RuntimeError) as error:
        raise StorageError(f"{given}: is a link that leads nowhere ({error}); name another place") from error
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise StorageError(f"{given}: is a device or a pipe, which cannot be replaced; name another place")
    if Path.cwd().is_relative_to(path):
        raise StorageError(
            f"{given}: is the working directory or holds it, and cannot be replaced; name another folder"
        )
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _open_to_others(temporary)
        _sync(temporary)
        _put(temporary, path)
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _WRITERS:
            raise
        raise StorageError(f"{given}: could not be written ({_reason(error)}); nothing was changed") from error
    finally:
        _remove(temporary)


def _reason(error: Exception) -> str:
    """What the system said, without the words of the libraries in between."""
    number = re.search(r"os error (\d+)", str(error))
    if number:
        return os.strerror(int(number[1]))
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


def _files(path: Path) -> list[Path]:
    """The file itself, or all files inside of a folder."""
    return [file for file in (sorted(path.rglob("*")) if path.is_dir() else [path]) if file.is_file()]


def _open_to_others(path: Path) -> None:
    """Gives files that a library made for their owner alone the permissions that new files have."""
    umask = os.umask(0o077)  # there is no other way to ask for it
    os.umask(umask)
    for file in _files(path):
        if stat.S_IMODE(file.stat().st_mode) == 0o600:
            file.chmod(0o666 & ~umask)


def _sync(path: Path) -> None:
    for file in _files(path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put(temporary: Path, path: Path) -> None:
    if temporary.is_dir() and path.exists():  # a folder cannot be renamed over another one
        if _exchange(temporary, path):
            return  # the earlier one has the temporary name now, and is removed with it
        earlier = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
        path.rename(earlier)
        try:
            temporary.rename(path)
        except BaseException:
            earlier.rename(path)
            raise
        _remove(earlier)
    else:
        temporary.replace(path)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two names at once where the system can do that; False where it cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, TypeError, AttributeError):
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # it was never made
            path.unlink()


def remove_leftovers(folder: Path, spared: Callable[[Path], bool] = lambda _: False) -> None:
    """Removes what writes that were killed left behind in `folder`; nobody else may be writing there.

    A folder that had given up its name but was not replaced yet gets it back.

    Args:
        folder: where; at any depth.
        spared: whether others write in a folder inside, which is left as it is.

    Raises:
        StorageError: it cannot get it back.
    """
    for pattern in (".*.tmp", ".*.old"):
        for path in sorted(folder.rglob(pattern)):
            written = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.(?:tmp|old)", path.name)
            if written is None or not path.exists():
                continue
            if any(spared(inside) for inside in path.parents if folder in inside.parents):
                continue
            final = path.with_name(written[1])
            if path.suffix == ".old" and not final.exists():
                _restore(path, final)
            else:
                _remove(path)


def _restore(earlier: Path, path: Path) -> None:
    try:
        earlier.rename(path)
    except OSError as error:
        raise StorageError(f"{earlier}: could not be renamed back to {path.name} ({_reason(error)})") from error


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Json | list[Json]) -> None:
    """Writes `value` to `path` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def read_kept(path: Path) -> Json:
    """The JSON object in a file that we wrote and that nothing makes again; empty where there is none.

    Raises:
        StorageError: it is there and cannot be read.
    """
    try:
        found: Json = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no JSON object")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(
            f"{path}: cannot be read ({_reason(error)}); put back a copy of it, or remove it to begin anew"
        ) from error
    return found


def read_object(path: Path) -> Json:
    """The JSON object in a file that we wrote and can make again; empty where there is none, or it is damaged."""
    try:
        return read_kept(path)
    except StorageError:
        return {}
