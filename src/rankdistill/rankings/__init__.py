"""Top-K lists keyed by query, and the exact ranks of relevant items: all that evaluation and distillation read."""

from rankdistill.rankings.lists import ANY_POSITION, Rankings, Scale, TargetRanks, pack, unpack

__all__ = ["ANY_POSITION", "Rankings", "Scale", "TargetRanks", "pack", "unpack"]
