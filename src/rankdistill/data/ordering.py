"""Puts the rows of a log in order: by user, by part and time within a user, else as they stood in the file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from rankdistill.data.sequences import Sequences
from rankdistill.types import Ints, Items


def grouped(users: Items, num_users: int) -> tuple[Ints, NDArray[np.signedinteger]]:
    """The order [n] that puts the rows of each user together, and where each user's rows start [U + 1].

    Rows of one user stay as they stood: a counting sort, which is how scipy makes the rows of a sparse matrix.
    """
    rows: NDArray[np.signedinteger] = np.arange(len(users), dtype=np.int32 if len(users) < 2**31 else np.int64)
    matrix = coo_array((np.ones(len(users), dtype=np.int8), (users, rows)), shape=(num_users, len(users))).tocsr()
    return matrix.indptr.astype(np.int64), matrix.indices


def in_order_of_time(log: Sequences, times: Ints | None, parts: NDArray[np.int8] | None) -> None:
    """Sorts each user's rows by part and time, in place; rows of equal time stay as they stood."""
    keys = [key for key in (parts, times) if key is not None]
    for first, last in log.blocks() if keys else ():
        block = slice(log.starts[first], log.starts[last])
        users = np.repeat(np.arange(last - first), np.diff(log.starts[first : last + 1]))
        order = _order(users, [key[block] for key in keys])
        if order is not None:
            for column in (*keys, log.items):
                column[block] = column[block][order]


def _order(users: Ints, keys: list[NDArray[np.signedinteger]]) -> Ints | None:
    """The order [n] of a block of rows whose users ascend; None where they stand in it already."""
    wrong = np.zeros(max(len(users) - 1, 0), dtype=np.bool_)
    same = users[1:] == users[:-1]
    for key in keys:
        wrong |= same & (key[1:] < key[:-1])
        same &= key[1:] == key[:-1]
    if not wrong.any():
        return None
    key, bits = keys[-1], (len(users) - 1).bit_length()
    low, span = int(key.min()), (int(key.max()) - int(key.min())).bit_length()
    if len(keys) == 1 and int(users[-1]).bit_length() + span + bits < 64:
        packed = (((users << span) + (key - low)) << bits) + np.arange(len(users))
        packed.sort()  # a plain sort of one number is several times quicker than an indirect one of two keys
        return packed & ((1 << bits) - 1)
    return np.lexsort([*reversed(keys), users])
