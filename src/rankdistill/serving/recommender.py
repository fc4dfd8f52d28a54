"""Lists of an exported model by raw ids: onnxruntime and numpy, nothing else."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from rankdistill.errors import ExportError, RankDistillError, RequestError
from rankdistill.extras import extra, is_installed
from rankdistill.processor import cores
from rankdistill.serving import ann, layout
from rankdistill.serving.folder import ExportedFolder
from rankdistill.serving.raw_ids import RawId, RawIds
from rankdistill.types import PAD, UNKNOWN, Floats, Ints, Items, Json

logger = logging.getLogger(__name__)

Unknown = Literal["refuse", "ignore"]
_NUMBERS_A_BLOCK, _NUMBERS_AN_ITEM = 1 << 24, 128
"""Numbers that are held at once: a score an item of the catalogue, and about a vector an item of a history."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A list, best first.

    Attributes:
        items: raw ids, at most k.
        scores: of each item.
    """

    items: list[RawId]
    scores: list[float]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, in indices.

    Attributes:
        users: [n]; the number of users stands for somebody who is not known.
        histories: [n], what each has, oldest first.
    """

    users: Ints
    histories: Sequence[Items]

    def __len__(self) -> int:
        return len(self.histories)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a list may hold.

    Attributes:
        k: its length at most.
        exclude_seen: whether what somebody has is left out.
        allow: indices of the only items that may stand in it; None allows all.
        block: indices of items that may not.
    """

    k: int = 10
    exclude_seen: bool = True
    allow: Ints | None = None
    block: Ints | None = None


class Recommender:
    """An exported model in memory.

    Args:
        folder: what `export` wrote.
        threads: of one call; None takes all cores.
        unknown: what to do about items that the model does not know: refuse them, or leave them aside.
        index: whether lists come from the folder's approximate index; None, where it has one and faiss is installed.

    Raises:
        ExportError: the folder is missing, damaged, changed since it was exported, or of another version; or it has
            no index and one is asked for.
        ConfigError: onnxruntime is not installed, or faiss where the index is asked for.
        RequestError: `unknown` or `threads` is none.
    """

    def __init__(
        self,
        folder: Path | str,
        threads: int | None = None,
        unknown: Unknown = "refuse",
        index: bool | None = None,
    ) -> None:
        if unknown not in get_args(Unknown):
            raise RequestError(f"unknown = {unknown!r} is none of {', '.join(get_args(Unknown))}")
        self.folder, self.unknown = Path(folder), unknown
        files = ExportedFolder.read(self.folder)
        self.manifest: Json = files.manifest
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise RequestError(f"threads = {threads!r}: give a whole number from 1 on, or None for all cores")
        self._threads = threads or cores()
        sizes = self.manifest["catalogue"]
        self.items = files.ids(layout.ITEM_IDS, sizes["num_items"], first=1)
        self.item_table = files.content(layout.ITEMS)
        self.has_known_users = layout.USER_IDS in files
        self.users = RawIds(np.zeros(0, dtype=np.int64), first=0)
        if self.has_known_users:
            self.users = files.ids(layout.USER_IDS, sizes["num_users"], first=0)
            self._starts = files.array(layout.USER_STARTS, "i", (sizes["num_users"] + 1,))
            self._owned = files.array(layout.USER_ITEMS, "i", (int(self._starts[-1]),))
            self._check_histories()
        self._model = self._session(files, layout.MODEL)
        self._asks_who = layout.USER in {each.name for each in self._model.get_inputs()}
        self._encoder: Any = None
        if self.manifest["item_vectors"]:
            self._encoder = self._session(files, layout.ENCODER)
            self._vectors = files.array(layout.VECTORS, "f", (sizes["num_items"] + 1, None))
        self.index = self._read_index(files, index)

    def _read_index(self, files: ExportedFolder, wanted: bool | None) -> ann.ItemIndex | None:
        about = self.manifest.get("index")
        if about is None and wanted:
            raise ExportError(f"{self.folder}: was exported without an index; export the model with --index")
        if about is None or wanted is False:
            return None
        if wanted is None and not is_installed("faiss"):
            logger.warning("%s: faiss is not installed, so its index is left aside and lists are exact", self.folder)
            return None
        return ann.read(files.content(layout.INDEX), about, self.folder / layout.INDEX, self._threads)

    def _session(self, files: ExportedFolder, name: str) -> Any:
        try:
            return session_of(files.content(name), self._threads)
        except RankDistillError:
            raise
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise ExportError(f"{self.folder / name}: onnxruntime cannot load it ({reason})") from error

    def _check_histories(self) -> None:
        in_order = self._starts[0] == 0 and (np.diff(self._starts) >= 0).all()
        if not in_order or not ((self._owned > 0) & (self._owned <= len(self.items))).all():
            raise ExportError(f"{self.folder / layout.USER_ITEMS}: no histories of these items; export the model again")

    @property
    def history_lengths(self) -> Ints:
        """How much each known user [U] has."""
        return np.diff(self._starts) if self.has_known_users else np.zeros(0, dtype=np.int64)

    @property
    def num_users(self) -> int:
        """How many users the model knows; this number as an index stands for all others."""
        known: int = self.manifest["catalogue"]["num_users"]
        return known

    def recommend(
        self,
        *,
        users: Sequence[RawId] | None = None,
        histories: Sequence[Sequence[RawId]] | None = None,
        k: int = 10,
        exclude_seen: bool = True,
        allow: Collection[RawId] | None = None,
        block: Collection[RawId] | None = None,
    ) -> list[Recommendation]:
        """A list for each of the users, or for each history.

        Args:
            users: raw ids [n]. What they have is what they had in training, unless `histories` says it anew; then
                they need not be known.
            histories: what each [n] has by now, oldest first, raw ids; without `users`, of strangers.
            k: the length of the lists; one is shorter where fewer items may stand in it.
            exclude_seen: leave out what somebody has.
            allow: the only items that may stand in a list.
            block: items that may not; None blocks none.

        Raises:
            RequestError: a user without a history is not known, or an item is not; neither users nor histories are
                given, or something else in the place of a list; k is less than 1.
        """
        for name, value in (("users", users), ("histories", histories), ("allow", allow), ("block", block)):
            if value is not None:
                _check_listed(name, value)
        for history in () if histories is None else histories:
            _check_listed("history", history)
        if exclude_seen is not True and not isinstance(exclude_seen, (bool, np.bool_)):
            raise RequestError(f"exclude_seen = {exclude_seen!r} is neither True nor False")
        asked = self.asked(users, histories)
        rules = Rules(
            self._checked(k),
            exclude_seen,
            None if allow is None else np.unique(self.item_indices(list(allow))),
            None if block is None or not len(block) else np.unique(self.item_indices(list(block))),
        )
        items, scores = self.rank(asked, rules)
        ids = self.items.raw(items.ravel())
        lengths = [rules.k - row.count(PAD) for row in items.tolist()]
        return [
            Recommendation(ids[start : start + length], values[:length])
            for start, length, values in zip(range(0, len(ids), rules.k), lengths, scores.tolist(), strict=True)
        ]

    def _checked(self, k: int) -> int:
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise RequestError(f"k = {k!r} is no length of a list; ask for a whole number from 1 on")
        return min(k, len(self.items))

    def asked(self, users: Sequence[RawId] | None, histories: Sequence[Sequence[RawId]] | None) -> Asked:
        """Raw ids as indices.

        Raises:
            RequestError: as `recommend` does.
        """
        if users is None and histories is None:
            raise RequestError("neither users nor histories are given; give at least one of them")
        if users is not None and histories is not None and len(users) != len(histories):
            raise RequestError(f"{len(users)} users and {len(histories)} histories are given; give one for each")
        if histories is None:
            assert users is not None
            return self.known(users)
        flat = self.item_indices([item for history in histories for item in history], dropped=False)
        ends = np.cumsum([len(history) for history in histories])
        rows = np.split(flat, ends[:-1]) if len(histories) else []
        known = np.full(len(histories), UNKNOWN) if users is None else self.users.indices(users)
        return Asked(
            np.where(known == UNKNOWN, self.num_users, known),
            [row[row != UNKNOWN].astype(np.int32) for row in rows],
        )

    def known(self, users: Sequence[RawId]) -> Asked:
        """Users with what they had in training.

        Raises:
            RequestError: one is not known.
        """
        indices = self.users.indices(users)
        if (indices == UNKNOWN).any():
            first = users[int(np.flatnonzero(indices == UNKNOWN)[0])]
            why = "is not known" if self.has_known_users else "is not known: the folder was exported without users"
            raise RequestError(f"user {first!r} {why}; give the history of what they have")
        return self.known_indices(indices)

    def known_indices(self, indices: Ints) -> Asked:
        """Users by index, with what they had in training."""
        return Asked(indices, [self._owned[self._starts[user] : self._starts[user + 1]] for user in indices])

    def item_indices(self, raw: Sequence[RawId], *, dropped: bool = True) -> Ints:
        """Raw item ids as indices; those that are not known are refused, or left out where they are `dropped`.

        Raises:
            RequestError: an item is not known.
        """
        if not len(raw):
            return np.zeros(0, dtype=np.int64)
        indices = self.items.indices(raw)
        lost = indices == UNKNOWN
        if self.unknown == "refuse" and lost.any():
            raise RequestError(f"item {raw[int(np.flatnonzero(lost)[0])]!r} is not in the catalogue")
        return indices[~lost] if dropped else indices

    def rank(self, asked: Asked, rules: Rules) -> tuple[Ints, Floats]:
        """Items [n, k] by index, best first, and their scores; PAD and minus infinity behind the end of a list."""
        if rules.allow is not None and (self._encoder is None or not rules.exclude_seen):
            rules = self._as_blocked(rules, rules.allow)
        if len(asked) == 1:
            return _long(*self._lists(asked.users, _padded(asked.histories), rules), rules.k)
        items, scores = _empty(len(asked), rules.k)
        for rows in self._blocks(asked, 0 if rules.block is None else len(rules.block)):
            found = self._lists(asked.users[rows], _padded([asked.histories[row] for row in rows]), rules)
            width = found[0].shape[1]
            items[rows, :width], scores[rows, :width] = found
        return items, scores

    def _lists(self, users: Ints, history: Ints, rules: Rules) -> tuple[Ints, Floats]:
        """Items and scores of users [n] with histories [n, H], as wide as the longest list."""
        if rules.allow is None:
            return self._best(users, history, rules)
        return self._among(users, history, rules, rules.allow)

    def _as_blocked(self, rules: Rules, allow: Ints) -> Rules:
        """The same rules, with all that is not allowed blocked."""
        others = np.setdiff1d(np.arange(1, len(self.items) + 1), allow)
        blocked = others if rules.block is None else np.union1d(others, rules.block)
        return Rules(rules.k, rules.exclude_seen, block=blocked)

    def _blocks(self, asked: Asked, blocked: int) -> Iterator[Ints]:
        """Rows with histories of about the same length, few enough for the memory, of which each has some blocked."""
        lengths = np.fromiter((len(each) for each in asked.histories), np.int64, len(asked))
        order, start = np.argsort(lengths, kind="stable"), 0
        ascending = lengths[order]
        while start < len(order):
            stop = start + 1
            while stop < len(order):
                numbers = len(self.items) + 1 + blocked + int(ascending[stop]) * _NUMBERS_AN_ITEM
                if (stop + 1 - start) * numbers > _NUMBERS_A_BLOCK:
                    break
                stop += 1
            yield order[start:stop]
            start = stop

    def _feeds(self, users: Ints, history: Ints) -> Json:
        return {layout.HISTORY: history, layout.USER: users} if self._asks_who else {layout.HISTORY: history}

    def _best(self, users: Ints, history: Ints, rules: Rules) -> tuple[Ints, Floats]:
        """By the index where there is one that may be asked; exactly, too, where its list comes out short."""
        index = self.index
        if index is None or (self.manifest["own_items_differ"] and not rules.exclude_seen):
            return self._run(users, history, rules)
        block = np.zeros(0, dtype=np.int64) if rules.block is None else rules.block
        seen = history if rules.exclude_seen else history[:, :0]
        left_out = np.concatenate([seen, np.broadcast_to(block, (len(users), len(block)))], axis=1)
        if ann.depth_of(index, left_out, rules.k) >= len(index):
            return self._run(users, history, rules)
        queries, vectors = self._queries(users, history)
        items, scores = ann.nearest(index, queries, vectors, left_out, rules.k)
        short = (items == PAD).any(1)
        if short.any():
            items[short], scores[short] = self._run(users[short], history[short], rules)
        return items, scores

    def _run(self, users: Ints, history: Ints, rules: Rules) -> tuple[Ints, Floats]:
        feeds = self._feeds(users, history)
        feeds[layout.BLOCKED] = np.empty((len(users), 0 if rules.block is None else len(rules.block)), dtype=np.int64)
        if rules.block is not None:
            feeds[layout.BLOCKED][:] = rules.block
        feeds[layout.EXCLUDE_SEEN] = np.array([rules.exclude_seen])
        feeds[layout.LENGTH] = np.array([rules.k], dtype=np.int64)
        items, scores = self._model.run([layout.FOUND, layout.SCORES], feeds)
        return items, scores

    def _among(self, users: Ints, history: Ints, rules: Rules, allow: Ints) -> tuple[Ints, Floats]:
        """The best of a few items: their vectors alone are looked at."""
        few = np.unique(allow if rules.block is None else np.setdiff1d(allow, rules.block))
        queries, vectors = self._queries(users, history)
        scores = np.asarray(queries @ vectors[few].T, dtype=np.float32)
        if len(few):
            places = np.searchsorted(few, history).clip(max=len(few) - 1)
            rows, columns = np.nonzero(few[places] == history)
            scores[rows, places[rows, columns]] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, : rules.k]
        values = np.take_along_axis(scores, best, axis=1)
        return np.where(np.isneginf(values), PAD, few[best] if len(few) else best), values

    def _queries(self, users: Ints, history: Ints) -> tuple[Floats, Floats]:
        """Query vectors [n, D + 1], and the item vectors [I + 1, D + 1]."""
        (queries,) = self._encoder.run([layout.QUERY], self._feeds(users, history))
        return queries, self._vectors


def _check_listed(name: str, value: object) -> None:
    if type(value) in (list, tuple):
        return
    listed = isinstance(value, Collection) and not isinstance(value, (str, bytes))
    if not listed or (isinstance(value, np.ndarray) and not value.ndim):
        raise RequestError(f"{name}: {value!r} is no list; put what it names into one")


def session_of(graph: bytes, threads: int) -> Any:
    """What answers by a graph.

    On processors without AVX-512 VNNI onnxruntime would add products of int8 in 16 bits, which overflow; it is told to
    be exact there. On others that changes nothing.
    """
    onnxruntime = extra("onnxruntime", "serve")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _empty(count: int, k: int) -> tuple[Ints, Floats]:
    return np.full((count, k), PAD, dtype=np.int64), np.full((count, k), -np.inf, dtype=np.float32)


def _long(items: Ints, scores: Floats, k: int) -> tuple[Ints, Floats]:
    """Lists of length `k`, PAD and minus infinity behind their end."""
    width = items.shape[1]
    if width == k:
        return items, scores
    longer = _empty(len(items), k)
    longer[0][:, :width], longer[1][:, :width] = items, scores
    return longer


def _padded(histories: Sequence[Items]) -> Ints:
    """One array [n, H], PAD on the left; H is at least 1."""
    if len(histories) == 1 and len(histories[0]):
        return histories[0].astype(np.int64)[None]
    longest = max(1, max((len(each) for each in histories), default=1))
    rows = np.zeros((len(histories), longest), dtype=np.int64)
    for row, history in zip(rows, histories, strict=True):
        if len(history):
            row[-len(history) :] = history
    return rows
