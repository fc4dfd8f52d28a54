"""How long does a training step take, beside a plain PyTorch re-implementation, RecBole, and what the machine allows?

    python benchmarks/training_step.py                                        # about 100 thousand windows, 5 turns
    python benchmarks/training_step.py --recbole-python .venv-recbole/bin/python
    python benchmarks/training_step.py --quick                                # about 20 thousand windows, 3 turns

Gowalla's shapes and the published settings: L = 5, batches of 512, 3 negatives; the distilled student with K = 10 and
hybrid weights from 100 rank samples, as behind the warm-up. A turn is an epoch; its seconds over its steps count, in
ours from the log row that `fit` writes. Negatives and rank samples are drawn within the epoch by all.

`plain PyTorch` is the model and the loop of `plain_pytorch.py`, once more with the optimiser fused. RecBole
(`--recbole-python`: the python of a virtual environment that has it) trains its Caser on the same windows through its
own trainer, with the pair-wise loss and as many negatives; its model ends in one vector of d where ours has [z ; P_u]
of 2d, so it scores less. FOSSIL, which it also has, is shown for its cost alone. The lists that are distilled are
random, which touches more different items than a teacher's would. For the floor see `floor.py`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from floor import SHAPES, floors, measured
from inputs import random_lists, split_like_gowalla
from measure import Timing, finish, report, turns
from plain_pytorch import PlainCaser, PlainData, adam, plain_epoch

import rankdistill as rd
from rankdistill.data.splitting import Split, some_users
from rankdistill.pipeline import Settings, fit_model
from rankdistill.teaching import Distillation
from rankdistill.types import Json

BATCH = 512
CASES = {"teacher d = 100": (100, 0), "student d = 50": (50, 0), "distilled d = 50": (50, 10)}
"""The dimension and K of each."""


def ours(split: Split, dim: int, method: Distillation | None, threads: int) -> Callable[[], float]:
    """An epoch through the library; its own count of seconds."""
    settings = Settings(train=rd.TrainConfig(epochs=1, batch_size=BATCH, device="cpu", threads=threads))
    return lambda: float(fit_model(rd.Caser.Config(dim=dim), split, settings, method)[1].rows[0]["seconds"])


def plain(split: Split, dim: int, lists: np.ndarray, *, fused: bool) -> Callable[[], object]:
    """An epoch of the second implementation; its model is made before the clock starts."""
    model, data = PlainCaser(split, dim), PlainData.of(split, lists)
    optimizer = adam(model, fused=fused)
    return lambda: plain_epoch(model, optimizer, data, weigh=lists.shape[1] > 0)


def write_windows(split: Split, folder: Path) -> None:
    """The windows as RecBole reads them; a second file names every user and item, so that its tables are as large."""
    (folder / "windows").mkdir()
    windows = split.windows
    columns = (windows.users, windows.history(), windows.targets()[:, 0])
    _write(folder / "windows" / "windows.train.inter", *columns)
    rows = np.arange(max(split.num_users, split.num_items))
    items = rows % split.num_items + 1
    _write(folder / "windows" / "windows.rest.inter", rows % split.num_users, items[:, None], items)


def _write(path: Path, users: np.ndarray, history: np.ndarray, targets: np.ndarray) -> None:
    lines = ["user_id:token\titem_id_list:token_seq\titem_id:token"]
    for user, past, target in zip(users.tolist(), history.tolist(), targets.tolist(), strict=True):
        lines.append(f"{user}\t{' '.join(str(item) for item in past if item)}\t{target}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def recbole(python: Path, folder: Path, settings: Json) -> Iterator[tuple[Callable[[], float], Json]]:
    """An epoch in a process of RecBole's own that waits between the turns, and what it says of itself."""
    worker = Path(__file__).with_name("recbole_worker.py")
    # not resolved: a virtual environment's python is a link
    line = [str(python.absolute()), str(worker), str(folder), json.dumps(settings)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def answer(word: str) -> str:
            for said in stdout:
                if said.startswith(word):
                    return said.removeprefix(word)
            raise RuntimeError(f"{worker.name} ended without an answer; its error stands above")

        def epoch() -> float:
            stdin.write("go\n")
            stdin.flush()
            return float(answer("seconds"))

        about = json.loads(answer("ready"))
        try:
            yield epoch, about
        finally:
            stdin.close()


def compare(split: Split, case: str, options: argparse.Namespace) -> list[Json]:
    """The rows of one case, in milliseconds a step."""
    dim, k = CASES[case]
    steps = -(-len(split.windows) // BATCH)
    lists = random_lists(split, max(k, 1)).items[:, :k]
    method = None
    if k:
        config = rd.RankingDistillation.Config(k=k, warmup_epochs=0)
        method = Distillation(random_lists(split, k), config)
    epochs = {
        "rankdistill": ours(split, dim, method, options.threads),
        "plain PyTorch": plain(split, dim, lists, fused=False),
        "plain PyTorch, fused Adam": plain(split, dim, lists, fused=True),
    }
    with ExitStack() as stack:
        if options.recbole_python and not k:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            write_windows(split, folder)
            for name in options.recbole_models:
                settings = {"model": name, "loss": "BPR", "negatives": 3, "dim": dim, "batch_size": BATCH}
                settings |= {"history_length": split.history_length, "threads": options.threads}
                epoch, about = stack.enter_context(recbole(options.recbole_python, folder, settings))
                assert (about["users"], about["items"], about["steps"]) == (split.num_users, split.num_items, steps)
                epochs[f"RecBole {name}"] = epoch
        timings = turns(epochs, options.repeats)
    by_step = {name: Timing(tuple(1e3 * each / steps for each in timing.seconds)) for name, timing in timings.items()}
    rows = report(by_step, "rankdistill", {})
    return [
        {"case": case, "name": row["name"], "ms_a_step": row["seconds"]}
        | {key: value for key, value in row.items() if key not in ("name", "seconds")}
        for row in rows
    ]


def main() -> None:
    """Parses the command line, runs, writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, help="about how many training queries; 100,000 when left out, 0 for all")
    parser.add_argument("--repeats", type=int, default=5, help="turns; one more that does not count comes first")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--recbole-python", type=Path, help="python of a virtual environment that has RecBole")
    parser.add_argument("--recbole-models", nargs="+", default=["Caser", "FOSSIL"])
    parser.add_argument("--quick", action="store_true", help="about 20,000 windows, 3 turns")
    options = parser.parse_args()
    if options.windows is None:
        options.windows = 20_000 if options.quick else 100_000
    options.repeats = 3 if options.quick else options.repeats
    torch.set_num_threads(options.threads)
    whole = split_like_gowalla()
    split = some_users(whole, options.windows) if options.windows else whole
    if not options.recbole_python:
        print("skipped: RecBole: name --recbole-python (pip install -r benchmarks/requirements-recbole.txt gives one)")
    rows, rates = [], measured()
    for case in options.cases:
        limits = [{"case": case, **row} for row in floors(SHAPES[case], rates)]
        found = compare(split, case, options)
        rows += [row | {"of_floor": round(row["ms_a_step"] / limits[0]["ms_a_step"], 1)} for row in [*found, *limits]]
    settings: Json = {"data": split.source, "windows": len(split.windows), "batch": BATCH}
    settings |= {"users": split.num_users, "items": split.num_items}
    settings |= {"threads": options.threads, "copy_gb_s": round(rates.copy / 1e9, 1)}
    settings |= {"product_tflop_s": round(rates.product / 1e12, 3)}
    finish("training_step-quick" if options.quick else "training_step", settings, rows)


if __name__ == "__main__":
    main()
