"""Queries as parts of sequences: how a causal model, which sees a sequence from its first item on, is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from rankdistill.types import PAD

EncodeSequences: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""`Ranker.encode_sequences`."""
_SEQUENCES_A_BLOCK = 256
"""Encoded at once: what a layer writes of them stays in the cache."""


def encode_last(encode_sequences: EncodeSequences, users: Tensor, history: Tensor) -> Tensor:
    """Query vectors [B, D] at the last items of histories [B, L]: moved to the left, they are sequences."""
    sequences, lengths = _moved_left(history)
    encoded = encode_sequences(users, sequences)
    last = (lengths - 1).clamp_min(0).view(-1, 1, 1).expand(-1, -1, encoded.shape[2])
    return encoded.gather(1, last).squeeze(1)


def encode_together(encode_sequences: EncodeSequences, users: Tensor, history: Tensor) -> Tensor:
    """Query vectors [B, D] of histories [B, L], where one that the next only adds to is encoded with that."""
    sequences, lengths = _moved_left(history)
    before, after = sequences[:-1], sequences[1:]
    alike = ((before == after) | (before == PAD)).all(1) & (users[:-1] == users[1:]) & (lengths[:-1] > 0)
    ends = torch.cat([~alike, alike.new_ones(1)])
    users, sequences, last = users[ends], sequences[ends], (lengths - 1).clamp_min(0)
    number = ends.cumsum(0) - ends.long()  # of the sequence that a query is a part of
    found = []
    for first in range(0, len(users), _SEQUENCES_A_BLOCK):
        block = slice(first, first + _SEQUENCES_A_BLOCK)
        encoded = encode_sequences(users[block], sequences[block])
        of_these = (number >= first) & (number < first + _SEQUENCES_A_BLOCK)
        found.append(encoded[number[of_these] - first, last[of_these]])
    return torch.cat(found)


def _moved_left(history: Tensor) -> tuple[Tensor, Tensor]:
    """Histories [B, L] with PAD on the right, and their lengths [B]."""
    lengths = (history != PAD).sum(1)
    columns = torch.arange(history.shape[1], device=history.device)
    return history.gather(1, (columns - lengths.unsqueeze(1)) % history.shape[1]), lengths
