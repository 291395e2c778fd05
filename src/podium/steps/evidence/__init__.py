"""Arrays and rows to findings: selection bias, looks, leaks, trading, drift, improvement.

Computes what gates read later. It decides nothing, and it trains only what a leak probe needs.

May import: workspace, data, trials.

Decisions
---------
- `podium leak` runs the same probe as the kits, so steps may import `testing`.
- Luck is reckoned on every config that any study of a slot judged on the very windows of its
  search, traded on the terms of the backtest (`looks.py`, `terms.py`,
  `selection_bias.py`); what left no forecasts counts in `n_trials` alone. So neither figures nor
  count are reset by splitting a search.
- Two forecasts are held side by side by `comparison.compared` alone: one loss a bar, tickers
  averaged, then Diebold-Mariano.
- Evidence `leak_probe` is made where a gate of the slot's policy needs it, once for each set of
  members' versions, bars and podium version, and copied to the next candidates; a family gets one
  seed, the rest three.
- A bar shows a figure joined too early only if one is awaited there, so `podium leak` probes at
  the last bar before a release, and before a revision, of each dated covariate; other features at
  one bar a seed.
- Drift has no fixed limit: the stability index of a stretch of training against the rest of the
  training says what is usual, dependence between bars included. The figures of the training are
  in the table `baseline`, not in manifest or evidence: hashes, gates' findings and signatures
  stay what they were.
"""
