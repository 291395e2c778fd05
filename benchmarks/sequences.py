"""CPU time of an epoch of the bilstm family compared with a usual torch loop; ratios of one run.

Run with ``make bench``, or directly. Both train the same network on the same windows of a glucose
sensor, with one thread, and score every epoch on the same validation windows. The usual loop has a
Dataset and a DataLoader in the same process, AdamW and clipped gradients. They run in turns. With
one thread, CPU time equals wall time on a quiet machine.

A third way runs the same number of steps on one fixed batch. It measures the network alone, so the
difference is the time for batches and scores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from podium import registry
from podium.sequences import Sequences, Subset
from podium.stats.class_figures import confusion, macro_f1
from podium.steps.data import glucose

HIDDEN, BATCH, EPOCHS, ROUNDS = 64, 64, 5, 3
RATE, DECAY, CLIP = 3e-3, 1e-3, 1.0
TARGET, AIM = 1.0, 2.0


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--epochs", type=int, default=EPOCHS)
    words.add_argument("--rounds", type=int, default=ROUNDS)
    args = words.parse_args()
    torch.set_num_threads(1)
    train, validation = (_part(arrays) for arrays in glucose.sequences(glucose.readings()).values())
    print(
        f"glucose: {len(train):,} training windows, {len(validation):,} validation windows, of "
        f"{train.x.shape[1]} steps x {train.x.shape[2]}; bidirectional LSTM of {HIDDEN}, batches "
        f"of {BATCH}, {args.epochs} epochs, one thread; load before the run "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    ways: dict[str, Callable[[Sequences, Sequences, int], float]] = {
        "podium bilstm": _podium,
        "Dataset, DataLoader": _loader,
        "the network alone": _bare,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    reached: dict[str, float] = {}
    for number in range(args.rounds):
        order = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in order:
            begin = time.process_time()
            reached[name] = ways[name](train, validation, args.epochs)
            seconds[name].append((time.process_time() - begin) / args.epochs)
    middle = {name: statistics.median(spent) for name, spent in seconds.items()}
    for name, spent in seconds.items():
        score = f", macro-F1 {reached[name]:.3f}" if reached[name] else ""
        print(
            f"{name}: {middle[name]:.2f} s of CPU an epoch (median of {len(spent)}; "
            f"{min(spent):.2f} to {max(spent):.2f}{score})"
        )
    ours, loader, bare = middle.values()
    pairs = [b / a for a, b in zip(*list(seconds.values())[:2], strict=True)]
    ratio = statistics.median(pairs)
    verdict = "reached" if ratio >= TARGET else "missed"
    print(
        f"podium is {ratio:.2f} times as fast, the median of the rounds (target {TARGET:g}, "
        f"{verdict}; aim {AIM:g}, {'reached' if ratio >= AIM else 'missed'})"
    )
    print(
        f"outside the network: podium {max(0.0, 1 - bare / ours):.0%} of an epoch, "
        f"the DataLoader's loop {max(0.0, 1 - bare / loader):.0%}"
    )


def _part(arrays: dict[str, NDArray[Any]]) -> Sequences:
    rest = {name: values for name, values in arrays.items() if name not in ("X", "y")}
    return Sequences.of("glucose", arrays["X"], arrays["y"], **rest)


def _podium(train: Sequences, validation: Sequences, epochs: int) -> float:
    family = registry.family("bilstm", "classify")
    config = family.space(train).only([]).constants | {
        "hidden_size": HIDDEN,
        "num_layers": 1,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "weight_decay": DECAY,
        "dropout": 0.0,
        "clip_norm": CLIP,
        "max_epochs": epochs,
    }
    curve: list[float] = []
    family.fit(
        config,
        Subset(train, np.arange(len(train))),
        Subset(validation, np.arange(len(validation))),
        seed=0,
        report=lambda _, scores: curve.append(scores["val_macro_f1"]),
    )
    return max(curve)


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """Scaled windows and their classes."""

    def __init__(self, part: Sequences, mean: Tensor, std: Tensor) -> None:
        self.x = (torch.from_numpy(part.x) - mean) / std
        self.y = torch.from_numpy(part.y)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.x[row], self.y[row]


class Network(nn.Module):
    """The family's network, written as in torch's documentation."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, HIDDEN, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * HIDDEN, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of windows."""
        _, (h, _) = self.lstm(x)
        scores: Tensor = self.head(torch.cat([h[-2], h[-1]], dim=1))
        return scores


def _loader(train: Sequences, validation: Sequences, epochs: int) -> float:
    torch.manual_seed(0)
    seen = torch.from_numpy(train.x).flatten(0, 1)
    mean, std = seen.mean(0), seen.std(0)
    batches = DataLoader(Windows(train, mean, std), batch_size=BATCH, shuffle=True)
    judged = DataLoader(Windows(validation, mean, std), batch_size=BATCH)
    model = Network(train.x.shape[2], len(train.class_names))
    counts = torch.from_numpy(np.bincount(train.y)).double()
    weights = (1 / (1 - 0.999**counts)).float()
    criterion = nn.CrossEntropyLoss(weights)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    best = 0.0
    for _ in range(epochs):
        model.train()
        total, right = 0.0, 0
        for x, y in batches:
            optimizer.zero_grad()
            scores = model(x)
            loss = criterion(scores, y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            total += loss.item() * len(y)
            right += (scores.argmax(1) == y).sum().item()
        model.eval()
        chosen = []
        with torch.no_grad():
            for x, y in judged:
                scores = model(x)
                total += criterion(scores, y).item() * len(y)
                chosen.append(scores.argmax(1))
        table = confusion(validation.y, torch.cat(chosen).numpy(), len(train.class_names))
        best = max(best, macro_f1(table))
    return best


def _bare(train: Sequences, validation: Sequences, epochs: int) -> float:
    torch.manual_seed(0)
    model = Network(train.x.shape[2], len(train.class_names))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    x, y = torch.randn(BATCH, *train.x.shape[1:]), torch.arange(BATCH) % len(train.class_names)
    for _ in range(epochs):
        for _ in range(-(-len(train) // BATCH)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
        with torch.inference_mode():
            for _ in range(-(-len(validation) // BATCH)):
                model(x)
    return 0.0


if __name__ == "__main__":
    main()
