"""Judging a candidate and deciding about it: backtest, evaluate, promote, sign, roll back.

Opens the sealed test (a look is on record before it is read), appends evidence, asks the gates,
and writes decisions: the only thing that moves a head.

May import: workspace, data, trials, evidence, search, candidates.

Decisions
---------
- A newcomer is held against the champion on the very windows of its own test (evidence
  `against_champion`), never against the champion's old figures; `beats_champion` asks for a lower
  mean loss, tells the p-value, and is undecidable where the champion answers another question.
- A term of `[backtest]` that is not set is no input of a receipt, so receipts from before the
  term existed hold.
- What gates read of a classifier is found on the slot's own evaluation data only; what `--data`
  finds is another kind of evidence.
- An evaluation's files lie under `artifacts/evaluations/` with a manifest whose hash is in the
  evidence and in the signature: whoever signs, signs those bytes. Backups take them along;
  `podium gc` leaves them alone.
- Refits keep no models: a refit's forecasts are flushed (receipt `refit` under its trial's key)
  before its trial's end is, so either both are there or it is trained again. One split `refit`
  has a fold for each, without validation part: a validation part would choose the epoch.
- Backtest evidence of an earlier podium has no trades and nothing of naive: it stays, and the
  files are made by trading once more.
- `_settings` of a backtest's receipt leave `refit_*` out: they are no term of trading.
- A parent of a classifier is asked by `evaluate` itself: evidence about the parent would void its
  signatures. Of losses the record is enough.
- Commands of people are safe to give again after a kill: `promote` answers from the record,
  `sign` knows the same words about the same findings, `rollback --artifact` knows that a rollback
  put it back. `tests/test_promotion_kills.py` kills them before, in and after the transaction and
  while files are written.
"""
