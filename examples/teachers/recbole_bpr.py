"""Lists of a RecBole model, for `rankdistill distill CONFIG --teacher lists.parquet`.

In an environment of its own, but for the second line:

    pip install "recbole==1.2.1" "numpy<2" "scipy<1.14" "setuptools<81" "pyarrow<22"
    rankdistill prepare CONFIG --out data --training-rows train.parquet
    python recbole_bpr.py train.parquet lists.parquet
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer, init_seed

MODEL = "BPR"  # or any other general recommender
LENGTH = 100  # of a list
SETTINGS = {
    "epochs": 50,
    "train_batch_size": 4096,
    "embedding_size": 64,
    "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "order": "RO", "group_by": "user", "mode": "full"},
    "load_col": {"inter": ["user_id", "item_id"]},
    "use_gpu": torch.cuda.is_available(),
    "state": "WARNING",
}


def main(train: str, out: str) -> None:
    """Trains on `user_id, item_id` and writes `user_id, rank, item_id, score`; what a user has is in no list."""
    rows = pd.read_parquet(train)[["user_id", "item_id"]]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "train"
        home.mkdir()
        named = rows.rename(columns={"user_id": "user_id:token", "item_id": "item_id:token"})
        named.to_csv(home / "train.inter", sep="\t", index=False)
        config = Config(MODEL, "train", config_dict={**SETTINGS, "data_path": folder, "checkpoint_dir": folder})
        init_seed(config["seed"], config["reproducibility"])
        dataset = create_dataset(config)
        training, _, _ = data_preparation(config, dataset)
        model = get_model(MODEL)(config, training.dataset).to(config["device"])
        get_trainer(config["MODEL_TYPE"], MODEL)(config, model).fit(training, saved=False, show_progress=False)
    write(model.eval(), dataset, rows, out)


@torch.no_grad()
def write(model: torch.nn.Module, dataset: object, rows: pd.DataFrame, out: str) -> None:
    """The best items of each user; RecBole's ids are text, so that ours are put back by their text."""
    user_ids, item_ids = ({str(each): each for each in rows[name].unique()} for name in ("user_id", "item_id"))
    seen = dataset.inter_matrix(form="csr")
    lists = []
    for user in range(1, dataset.user_num):
        scores = model.full_sort_predict(Interaction({"user_id": torch.tensor([user])}).to(model.device)).cpu().view(-1)
        scores[0] = -torch.inf  # the padding item
        scores[torch.from_numpy(seen[[user]].indices).long()] = -torch.inf
        best = torch.topk(scores, min(LENGTH, int(torch.isfinite(scores).sum())))
        tokens = dataset.id2token("item_id", best.indices.numpy())
        found = {"rank": np.arange(1, len(tokens) + 1), "item_id": [item_ids[token] for token in tokens]}
        found |= {"user_id": user_ids[dataset.id2token("user_id", user)], "score": best.values.numpy()}
        lists.append(pd.DataFrame(found))
    pd.concat(lists)[["user_id", "rank", "item_id", "score"]].to_parquet(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
