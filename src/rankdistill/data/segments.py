"""Windows of a user that lie side by side, so that a causal model reads what they share once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rankdistill.data.windows import Windows
from rankdistill.types import PAD, Ints, Items


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Runs of windows with the items that end before the last of their targets, at most L of them.

    The first segment of a user begins with her first item, and each of its windows sees its whole history. A longer
    sequence goes on in further segments, which overlap: a window there sees at least half of its L items. Where these
    are cut is drawn anew, so that a window does not see the same part in every epoch.

    Attributes:
        windows: all windows.
        rows: [n], the windows by segment.
        starts: [m + 1]; the windows of segment s are `rows[starts[s]:starts[s + 1]]`.
        first: [m], the index in the user's sequence of the segment's first item.
        lengths: [m], how many items the segment has; none where there is no history at all.
    """

    windows: Windows
    rows: Ints
    starts: Ints
    first: Ints
    lengths: Ints

    @classmethod
    def of(cls, windows: Windows, generator: np.random.Generator) -> Segments:
        """Cuts all windows into segments."""
        length = windows.history_length
        stride = (length + 1) // 2
        shifts = generator.integers(0, stride, size=len(windows.sequences))
        beyond = windows.positions - length - 1
        later = 1 + (beyond + shifts[windows.users]) // stride
        # a window without history stands alone: what follows it would show its target
        number = np.where(windows.positions == 0, -1, np.where(beyond < 0, 0, later))
        changes = (np.diff(windows.users) != 0) | (np.diff(number) != 0)  # windows are in order of user and position
        starts = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(windows)]]).astype(np.int64)
        end = windows.positions[starts[1:] - 1]
        first = np.maximum(end - length, 0)
        return cls(windows, np.arange(len(windows)), starts, first, end - first)

    def batches(self, size: int, generator: np.random.Generator) -> list[Segments]:
        """All segments once in random order, as many together as have about `size` windows."""
        counts = np.diff(self.starts)
        order = generator.permutation(len(counts))
        batch = (np.cumsum(counts[order]) - 1) // size
        return [self._take(segments) for segments in np.split(order, np.flatnonzero(np.diff(batch)) + 1)]

    def _take(self, segments: Ints) -> Segments:
        counts = np.diff(self.starts)[segments]
        starts = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.starts[segments] - starts[:-1], counts) + np.arange(starts[-1])
        return Segments(self.windows, self.rows[rows], starts, self.first[segments], self.lengths[segments])

    @property
    def users(self) -> Ints:
        """The user [m] of each segment."""
        users: Ints = self.windows.users[self.rows[self.starts[:-1]]]
        return users

    def items(self) -> Items:
        """The items [m, S] of the segments, PAD on the right."""
        sequences, columns = self.windows.sequences, np.arange(max(1, int(self.lengths.max(initial=0))))
        places = (sequences.starts[self.users] + self.first)[:, None] + columns
        inside = columns < self.lengths[:, None]
        return np.where(inside, sequences.items[np.where(inside, places, 0)], PAD).astype(np.int32)

    def places(self) -> tuple[Ints, Ints]:
        """The segment [n] of each window, and the column [n] of its last item in `items`."""
        segments = np.repeat(np.arange(len(self.lengths)), np.diff(self.starts))
        return segments, np.maximum(self.windows.positions[self.rows] - 1 - self.first[segments], 0)
