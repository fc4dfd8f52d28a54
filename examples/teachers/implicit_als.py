"""Lists of implicit's ALS (or its BPR), for `rankdistill distill CONFIG --teacher lists.parquet`.

In an environment of its own, but for the second line:

    pip install implicit pandas pyarrow
    rankdistill prepare CONFIG --out data --training-rows train.parquet
    python implicit_als.py train.parquet lists.parquet
"""

import sys

import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares  # or: from implicit.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

LENGTH = 100  # of a list


def main(train: str, out: str) -> None:
    """Trains on `user_id, item_id` and writes `user_id, rank, item_id, score`; what a user has is in no list."""
    rows = pd.read_parquet(train)
    users, user_ids = pd.factorize(rows["user_id"])
    items, item_ids = pd.factorize(rows["item_id"])
    matrix = csr_matrix((np.ones(len(rows), dtype=np.float32), (users, items)))
    model = AlternatingLeastSquares(factors=64, iterations=20, random_state=0)
    model.fit(matrix, show_progress=False)
    length = min(LENGTH, len(item_ids))
    found, scores = model.recommend(np.arange(len(user_ids)), matrix, N=length, filter_already_liked_items=True)
    lists = pd.DataFrame(
        {
            "user_id": np.repeat(user_ids, length),
            "rank": np.tile(np.arange(1, length + 1), len(user_ids)),
            "item_id": item_ids[found.ravel()],
            "score": scores.ravel(),
        }
    )
    lists[lists["score"] > np.finfo(np.float32).min].to_parquet(out)  # users with much have shorter lists


if __name__ == "__main__":
    main(*sys.argv[1:])
