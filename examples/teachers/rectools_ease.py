"""Lists of a RecTools model, for `rankdistill distill CONFIG --teacher lists.parquet`.

In an environment of its own, but for the second line:

    pip install rectools "pyarrow<22"
    rankdistill prepare CONFIG --out data --training-rows train.parquet
    python rectools_ease.py train.parquet lists.parquet
"""

import sys

import pandas as pd
from rectools.dataset import Dataset
from rectools.models import EASEModel  # or any other: they all have fit and recommend

LENGTH = 100  # of a list


def main(train: str, out: str) -> None:
    """Trains on `user_id, item_id` and writes `user_id, rank, item_id, score`; what a user has is in no list."""
    rows = pd.read_parquet(train)
    start = pd.Timestamp("2000-01-01")
    rows = rows.assign(weight=1.0, datetime=start + pd.to_timedelta(rows["position"], unit="D"))
    dataset = Dataset.construct(rows[["user_id", "item_id", "weight", "datetime"]])
    model = EASEModel(regularization=500.0)
    model.fit(dataset)
    lists = model.recommend(users=rows["user_id"].unique(), dataset=dataset, k=LENGTH, filter_viewed=True)
    lists[["user_id", "rank", "item_id", "score"]].to_parquet(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
