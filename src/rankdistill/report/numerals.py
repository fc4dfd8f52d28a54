"""How numbers are written: one way for each kind of number, in the page and in the Markdown."""

from __future__ import annotations

MISSING = "–"
MINUS = "−"

HALF_NAMES = {"head": "popular items", "tail": "unpopular items"}
"""The halves of the catalogue in words."""
_WORDS = {"ndcg": "nDCG", "map": "MAP", "mrr": "MRR", "ndcg_kdd18": "nDCG"}


def metric(value: float | None, *, sign: bool = False) -> str:
    """Four decimals, without the leading zero.

    >>> metric(0.12549), metric(1.0), metric(-0.0007, sign=True), metric(None)
    ('.1255', '1.0000', '−.0007', '–')
    """
    if value is None:
        return MISSING
    digits = f"{abs(value):.4f}"
    front = (MINUS if value < 0 and float(digits) else "+") if sign else (MINUS if value < 0 else "")
    return front + digits.removeprefix("0")


def p_value(value: float | None) -> str:
    """A p-value as prose and tables write it.

    >>> p_value(0.0004), p_value(0.032), p_value(1.0), p_value(None)
    ('p < .001', 'p = .032', 'p > .999', '–')
    """
    if value is None:
        return MISSING
    if value < 0.001:
        return "p < .001"
    return "p > .999" if value >= 0.9995 else f"p = {value:.3f}".replace("0.", ".", 1)


def interval(low: float | None, high: float | None) -> str:
    """An interval of a difference.

    >>> interval(-0.001, 0.002)
    '[−.0010, +.0020]'
    """
    return f"[{metric(low, sign=True)}, {metric(high, sign=True)}]"


def count(value: float | None) -> str:
    """A large count in three digits.

    >>> count(5_584_102), count(94_200), count(312), count(None)
    ('5.58 M', '94.2 k', '312', '–')
    """
    if value is None:
        return MISSING
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return _three(value / size) + unit
    return f"{value:.0f}"


def whole(value: object) -> str:
    """An integer with thousands marked.

    >>> whole(367611), whole(None)
    ('367,611', '–')
    """
    return f"{value:,.0f}" if isinstance(value, int | float) else MISSING


def megabytes(value: float | None) -> str:
    """Bytes as MB.

    >>> megabytes(22_336_408), megabytes(18_000)
    ('22.3 MB', '0.018 MB')
    """
    return MISSING if value is None else f"{_three(value / 1e6)} MB"


def milliseconds(value: float | None) -> str:
    """A latency in ms."""
    return MISSING if value is None else f"{_three(value)} ms"


def seconds(value: float | None) -> str:
    """A time that is compared with others, in three digits whatever its size.

    >>> seconds(0.17), seconds(38.58), seconds(None)
    ('0.17 s', '38.6 s', '–')
    """
    return MISSING if value is None else f"{_three(value)} s"


def duration(seconds: float | None) -> str:
    """A time span in two units at most.

    >>> duration(7.23), duration(754), duration(7400)
    ('7.2 s', '12 min 34 s', '2 h 3 min')
    """
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    total = round(seconds)
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"


def percent(share: float | None, *, sign: bool = False, decimals: int = 0) -> str:
    """A share as per cent.

    >>> percent(0.5), percent(0.057, sign=True, decimals=1)
    ('50 %', '+5.7 %')
    """
    if share is None:
        return MISSING
    text = f"{abs(share) * 100:.{decimals}f}"
    negative = share < 0 and float(text) != 0
    return f"{MINUS if negative else '+' if sign else ''}{text} %"


def portion(share: float, decimals: int = 0) -> str:
    """A share of a whole as per cent, with so many decimals, or those that a small one needs.

    >>> portion(0.5), portion(0.00116), portion(0.0), portion(0.5, 1)
    ('50 %', '0.1 %', '0 %', '50.0 %')
    """
    while 0 < share < 0.5 * 10 ** -(decimals + 2) and decimals < 6:
        decimals += 1
    return percent(share, decimals=decimals)


def times(ratio: float | None) -> str:
    """A ratio.

    >>> times(1.64)
    '1.6×'
    """
    return MISSING if ratio is None else f"{ratio:.1f}×" if ratio < 10 else f"{ratio:.0f}×"


def metric_name(name: str) -> str:
    """A metric as the literature writes it.

    >>> metric_name("ndcg@10"), metric_name("ndcg_kdd18@3"), metric_name("precision@5")
    ('nDCG@10', 'nDCG@3 (KDD 18)', 'Precision@5')
    """
    stem, at, cutoff = name.partition("@")
    word = _WORDS.get(stem, stem.replace("_", " ").capitalize())
    return f"{word}{at}{cutoff}{' (KDD 18)' if stem == 'ndcg_kdd18' else ''}"


def metric_letters(name: str) -> str:
    """A metric as narrow table heads write it; nDCG is the kind of the paper unless it says otherwise.

    >>> metric_letters("precision@3"), metric_letters("ndcg_kdd18@10"), metric_letters("ndcg@10"), metric_letters("map")
    ('P@3', 'nDCG@10', 'nDCG@10 (standard)', 'MAP')
    """
    stem, at, cutoff = name.partition("@")
    word = {"precision": "P", "recall": "R"}.get(stem) or _WORDS.get(stem, stem.replace("_", " ").capitalize())
    return f"{word}{at}{cutoff}{' (standard)' if stem == 'ndcg' else ''}"


def kind_name(kind: str) -> str:
    """A kind as a title.

    >>> kind_name("ranking_distillation"), kind_name("sasrec")
    ('Ranking distillation', 'SASRec')
    """
    special = {
        "lists": "Lists from elsewhere",
        "fusion": "Fused lists of several teachers",
        "gru4rec": "GRU4Rec",
        "sasrec": "SASRec",
        "item_knn": "Item-kNN",
        "ease": "EASE",
        "lightgcn": "LightGCN",
    }
    return special.get(kind) or kind.replace("_", " ").capitalize()


def _three(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.2g}"
