"""Trains a RecBole model an epoch at a time, for `training_step.py`; runs in RecBole's own virtual environment.

    python benchmarks/recbole_worker.py DATA_FOLDER SETTINGS_JSON

Says "ready" when the data is read, then trains one epoch for each line that it is sent and answers with its seconds.
The clock runs around the loop of RecBole's trainer: batches, negatives, forward, backward, optimiser.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from typing import Any


def config_of(folder: str, settings: dict[str, Any]) -> dict[str, Any]:
    """RecBole's keys. Its pair-wise batch has a row for each negative: `batch_size` windows are that many rows."""
    negatives = settings["negatives"]
    pairwise = settings["loss"] == "BPR"
    sampling = {"distribution": "uniform", "sample_num": negatives, "alpha": 1.0, "dynamic": False, "candidate_num": 0}
    return {
        "data_path": folder,
        "benchmark_filename": ["train", "rest", "rest"],
        "load_col": {"inter": ["user_id", "item_id_list", "item_id"]},
        "alias_of_item_id": ["item_id_list"],
        "MAX_ITEM_LIST_LENGTH": settings["history_length"],
        "embedding_size": settings["dim"],
        "nh": 16,
        "nv": 2,
        "dropout_prob": 0.5,
        "loss_type": settings["loss"],
        "train_neg_sample_args": sampling if pairwise else None,
        "train_batch_size": settings["batch_size"] * (negatives if pairwise else 1),
        "learning_rate": 1e-3,
        "weight_decay": 1e-6,
        "use_gpu": False,
        "state": "ERROR",
        "show_progress": False,
    }


def main() -> None:
    """Reads the data, then answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="holds windows/windows.train.inter and windows.rest.inter")
    parser.add_argument("settings", type=json.loads, help="model, loss, negatives, dim, batch_size, history_length ...")
    options = parser.parse_args()
    folder, settings = options.folder, options.settings
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    torch.set_num_threads(settings["threads"])
    sys.argv = sys.argv[:1]  # RecBole reads options from there
    config = Config(model=settings["model"], dataset="windows", config_dict=config_of(folder, settings))
    init_seed(1, True)
    dataset = create_dataset(config)
    train, _, _ = data_preparation(config, dataset)
    model = get_model(config["model"])(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    about = {
        "steps": len(train),
        "users": dataset.user_num - 1,
        "items": dataset.item_num - 1,
        "parameters": sum(each.numel() for each in model.parameters()),
    }
    print("ready", json.dumps(about), flush=True)
    for epoch, _ in enumerate(sys.stdin):
        begin = time.perf_counter()
        trainer._train_epoch(train, epoch, show_progress=False)
        print("seconds", time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
