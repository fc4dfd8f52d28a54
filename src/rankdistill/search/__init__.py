"""The exact best K items of many queries, and the exact ranks of given items, from approximate products."""

from rankdistill.search.index import ItemIndex, Precision
from rankdistill.search.values import Asked, Relevant

__all__ = ["Asked", "ItemIndex", "Precision", "Relevant"]
