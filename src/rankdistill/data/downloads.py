"""Where the public data sets can be fetched from, and how the files are made from what is fetched."""

from __future__ import annotations

import http.client
import io
import re
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from rankdistill.errors import DataError

_SECONDS = 10  # to connect, and between two packets
_PIP_SECONDS = 120
_GROUPLENS = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
_GROUPLENS_SHA256 = "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
_RECBOLE = "recbole==1.2.1"


@dataclass(frozen=True, slots=True)
class Source:
    """A place to fetch a data set from.

    Attributes:
        name: what to call it in messages.
        fetch: writes the files into a folder; raises `DataError` where the place cannot be reached.
    """

    name: str
    fetch: Callable[[Path], None]


def web_folder(url: str, files: Sequence[str]) -> Source:
    """Files that lie ready under one address."""

    def fetch(folder: Path) -> None:
        for name in files:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(download(f"{url}/{name}"))

    return Source(url, fetch)


def download(url: str) -> bytes:
    """The content behind an https address.

    Raises:
        DataError: the server cannot be reached, or refuses.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "rankdistill"})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            content: bytes = answer.read()
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"{url}: {reason}") from error
    return content


def _from_grouplens(folder: Path) -> None:
    content = download(_GROUPLENS)
    got = sha256(content).hexdigest()
    if got != _GROUPLENS_SHA256:
        raise DataError(f"{_GROUPLENS}: wrong SHA-256 {got[:12]}, expected {_GROUPLENS_SHA256[:12]}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        events, items = archive.read("ml-100k/u.data"), archive.read("ml-100k/u.item")
    header = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ml-100k.inter").write_bytes(header + events)
    (folder / "ml-100k.item").write_text(atomic_titles(items.decode("latin-1")), encoding="utf-8")


def atomic_titles(items: str) -> str:
    r"""The text of an `.item` file from MovieLens' `u.item`, without the year at the end of a title.

    >>> atomic_titles("1|Toy Story (1995)|01-Jan-1995||")
    'item_id:token\tmovie_title:token_seq\n1\tToy Story\n'
    """
    rows = [line.split("|") for line in items.splitlines() if line]
    titles = [f"{row[0]}\t{re.sub(r' *[(][0-9]{4}[)]$', '', row[1].strip())}\n" for row in rows]
    return "item_id:token\tmovie_title:token_seq\n" + "".join(titles)


def _from_recbole(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        _pip_download(_RECBOLE, temporary)
        wheel = next(Path(temporary).glob("*.whl"))
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in ("ml-100k.inter", "ml-100k.item"):
                (folder / name).write_bytes(archive.read(f"recbole/dataset_example/ml-100k/{name}"))


def _pip_download(package: str, folder: str) -> None:
    options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--quiet"]
    patience = ["--timeout", str(_SECONDS), "--retries", "0"]
    command = [sys.executable, "-m", "pip", "download", package, *options, *patience, "--dest", folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"pip download {package}: no answer within {_PIP_SECONDS} s") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"status {done.returncode}"]
        raise DataError(f"pip download {package}: {said[-1].strip()}")


MOVIELENS_100K = (
    Source(_GROUPLENS, _from_grouplens),
    Source(f"the copy in the wheel {_RECBOLE}", _from_recbole),
)
