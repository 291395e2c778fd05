"""A record of searched trials without a training: curves, losses, a ladder of baselines."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from podium.config import load
from podium.index import Index
from podium.ledger import writes
from podium.ledger.ledger import Ledger
from podium.steps.archive.init import init
from podium.trial import BASELINE, Ended, Epoch, Key, State, Task

FAMILIES = ("lstm", "bilstm", "ridge", "lightgbm")
WINDOWS, EPOCHS, NUMBERS = 250, 12, 10
SLOT, ENVIRONMENT = "us4/D/volatility", "e" * 64


def searched_record(folder: Path, count: int, families: tuple[str, ...] = FAMILIES) -> Path:
    """Demo project whose slot has ``count`` trials; half of them are pruned after 2 of 12 epochs.

    Only the learning rate matters: the smaller, the better. The two baselines score 1 and 1.5.
    """
    root = init(folder, demo=True)
    config = load(root)
    metric = config.slots[SLOT].metric
    ledger = Ledger(config.ledger.url, root, config.project.id, config.project.name)
    draw = np.random.default_rng(5)
    times = np.datetime64("2001-01-01", "s") + np.arange(WINDOWS) * np.timedelta64(1, "D")
    index = Index(np.zeros(WINDOWS, dtype=np.int64), times, times)
    shared = draw.exponential(size=WINDOWS)

    def new(number: int, family: str, values: dict[str, object], phase: str) -> writes.NewTrial:
        key = Key(family, 1, values, "d" * 64, "t" * 64, "s" * 64, 0, number)
        return writes.NewTrial(key, phase, number, metric, named=phase == "tune")

    trials = [
        new(
            number,
            families[number % len(families)],
            {
                "learning_rate": float(10 ** draw.uniform(-5, -1)),
                "cell": str(draw.choice(["gru", "lstm"])),
                **{f"p{n}": int(draw.choice([16, 32, 64])) for n in range(NUMBERS)},
            },
            "tune",
        )
        for number in range(count)
    ]
    ladder = [
        new(n, "naive", {"method": method}, BASELINE) for n, method in enumerate(("zero", "last"))
    ]
    with ledger.transaction() as tx:
        study = writes.put_study(tx, SLOT, {"question": "report"})
        packed = writes.put_array(tx, index.pack())

        def end(id_: str, state: State, score: float, losses: object, epochs: int) -> None:
            curve = tuple(
                Epoch(0, n, {"train_loss": score + 0.4 / n, "val_loss": score + 0.5 / n})
                for n in range(1, epochs + 1)
            )
            stored = np.asarray(losses, dtype=np.float32)
            ended = Ended(Task(id_, {}, 0, 0), state, score, stored, epochs=curve)
            figures = {f"val_{metric}": score} if state is State.COMPLETE else {}
            writes.end_trial(tx, ended, metric=metric, index_hash=packed, errors=figures)

        ids = writes.start_trials(tx, study, trials, ENVIRONMENT)
        for id_, trial in zip(ids, trials, strict=True):
            far = np.log10(trial.key.config["learning_rate"]) + 5
            score = float(0.8 + 0.1 * far + 0.01 * draw.standard_normal())
            losses = score * shared + draw.exponential(0.1, WINDOWS)
            if far > 2:
                end(id_, State.PAUSED, score, losses, 2)
                writes.prune_trials(tx, [id_], "worse than half")
            else:
                end(id_, State.COMPLETE, score, losses, EPOCHS)
        rungs = writes.start_trials(tx, study, ladder, ENVIRONMENT)
        for id_, score in zip(rungs, (1.0, 1.5), strict=True):
            end(id_, State.COMPLETE, score, score * shared, 0)
    ledger.close()
    return root
