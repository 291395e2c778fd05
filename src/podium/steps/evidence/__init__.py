"""Computes evidence: selection bias, leaks, trading, drift, improvement.

Gates read it later. Nothing is decided here, and only a leak probe trains models.

May import: workspace, data, trials.

Decisions
---------
- `podium leak` runs the same probe as the kits, so steps may import `testing`.
- Selection bias covers every config, in each of its tasks, that any study of a slot scored on the
  validation windows of the search, traded on the terms of the backtest (`looks.py`, `terms.py`,
  `selection_bias.py`); configs without forecasts count in `n_trials` alone, and so do those of
  other slots with the same data and target. So splitting a search or renaming a slot resets
  nothing.
- Two forecasts are compared by `comparison.compare_forecasts` alone: one loss per bar, tickers
  averaged, then Diebold-Mariano.
- Evidence `leak_probe` is made where a gate of the slot's policy needs it, once per set of members'
  versions, bars and podium version, and copied to the next candidates; a family has one seed,
  other members three.
- A value that is joined too early shows only at a bar before its publication, so `podium leak`
  probes at the last bar before a release, and before a revision, of each dated covariate; other
  features at one bar per seed.
- Drift has no fixed limit: the usual stability index is that of a window of training against the
  rest of it, dependence between bars included. The baseline is in the table `baseline`, not in
  manifest or evidence, so that hashes and signatures do not change.
"""
