"""A record of searched trials that nothing trained: curves, losses, a ladder of baselines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import projects
from podium.config import load
from podium.hashing import digest
from podium.index import Index
from podium.ledger import writes
from podium.ledger.ledger import Ledger
from podium.trial import BASELINE, Epoch, State

FAMILIES = ("lstm", "bilstm", "ridge", "lightgbm")
WINDOWS, EPOCHS, NUMBERS = 250, 12, 10


def searched_record(folder: Path, count: int, families: tuple[str, ...] = FAMILIES) -> Path:
    """Project whose default slot has ``count`` trials; half of each family's are pruned early.

    Only the learning rate matters: the smaller, the better.
    """
    root = projects.small_project(folder)
    config = load(root)
    ledger = Ledger(config.ledger.url, root, config.project.id, config.project.name)
    study = projects.new_study(ledger)
    draw = np.random.default_rng(5)
    times = np.datetime64("2001-01-01", "s") + np.arange(WINDOWS) * np.timedelta64(1, "D")
    index = Index(np.zeros(WINDOWS, dtype=np.int64), times, times)
    noise = draw.exponential(size=WINDOWS)
    trials = [
        replace(
            projects.new_trial(
                number,
                family=families[number % len(families)],
                config={
                    "learning_rate": float(10 ** draw.uniform(-5, -1)),
                    "cell": str(draw.choice(["gru", "lstm"])),
                    **{f"p{n}": int(draw.choice([16, 32, 64])) for n in range(NUMBERS)},
                },
            ),
            named=True,
        )
        for number in range(count)
    ]
    ladder = [
        projects.new_trial(n, phase=BASELINE, family="naive", config={"method": method})
        for n, method in enumerate(("zero", "last"))
    ]
    with ledger.transaction() as tx:
        packed = writes.put_array(tx, index.pack())
        ids = writes.start_trials(tx, study, trials, digest("environment"))
        rungs = writes.start_trials(tx, study, ladder, digest("environment"))
        for id_, trial in zip(ids, trials, strict=True):
            far = np.log10(trial.key.config["learning_rate"]) + 5
            score = float(0.8 + 0.1 * far + 0.01 * draw.standard_normal())
            pruned = far > 2
            epochs = tuple(
                Epoch(0, n, {"train_loss": score + 0.4 / n, "val_loss": score + 0.5 / n})
                for n in range(1, (2 if pruned else EPOCHS) + 1)
            )
            ended = projects.ended(
                id_,
                score=score,
                epochs=epochs,
                state=State.PAUSED if pruned else State.COMPLETE,
                losses=(score * noise + draw.exponential(0.1, WINDOWS)).astype(np.float32),
            )
            figures = {} if pruned else {"val_mse": score}
            writes.end_trial(tx, ended, metric="mse", index_hash=packed, errors=figures)
            if pruned:
                writes.prune_trials(tx, [id_], "worse than half")
        for id_, score in zip(rungs, (1.0, 1.5), strict=True):
            losses = (score * noise).astype(np.float32)
            ended = projects.ended(id_, score=score, losses=losses, epochs=())
            writes.end_trial(tx, ended, metric="mse", index_hash=packed)
    ledger.close()
    return root
