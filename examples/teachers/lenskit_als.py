"""Lists of a LensKit pipeline, for `rankdistill distill CONFIG --teacher lists.parquet`.

In an environment of its own, but for the second line:

    pip install lenskit
    rankdistill prepare CONFIG --out data --training-rows train.parquet
    python lenskit_als.py train.parquet lists.parquet
"""

import sys

import pandas as pd
from lenskit.als import ImplicitMFScorer  # or any other scorer
from lenskit.batch import recommend
from lenskit.data import from_interactions_df
from lenskit.pipeline import topn_pipeline

LENGTH = 100  # of a list


def main(train: str, out: str) -> None:
    """Trains on `user_id, item_id` and writes `user_id, rank, item_id, score`; what a user has is in no list."""
    rows = pd.read_parquet(train)
    dataset = from_interactions_df(rows[["user_id", "item_id"]])
    pipeline = topn_pipeline(ImplicitMFScorer(features=64, epochs=20))
    pipeline.train(dataset)
    lists = recommend(pipeline, rows["user_id"].unique(), n=LENGTH, n_jobs=1).to_df()
    lists[["user_id", "rank", "item_id", "score"]].to_parquet(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
