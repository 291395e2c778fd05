"""Judging a candidate and deciding about it: backtest, evaluate, promote, sign, roll back.

Opens the sealed test (a look is on record before it is read), appends evidence, evaluates the
gates, and writes decisions, which alone change a candidate's stage.

May import: workspace, data, trials, evidence, search, candidates.

Decisions
---------
- A candidate is compared with the champion on the windows of its test (evidence
  `against_champion`), never with the champion's old figures; `beats_champion` requires a lower mean
  loss, reports the p-value, and is undecidable where the champion has another task.
- The champion is an input of that comparison (`rival`): the slot's champion, or for the champion
  itself the one that its first decision names. Otherwise a promotion would outdate its evidence.
- Every term of `[backtest]` except those of refits is an input of the test evidence. Earlier terms
  restore their evidence without another look at the test.
- `promote SLOT` takes the newest judged candidate.
- A gate that lacks only people's signatures says `unsigned`. Whether a candidate waits for them is
  decided in `decision.waits_for_signatures` alone.
- A decision carries the SHA-256 of the rows of the candidate and of its findings (`contents`), so
  that a changed row shows against the chain.
- Gates read evidence of a classifier on the slot's own evaluation data only; `--data` makes
  evidence of another kind.
- An evaluation's files are under `artifacts/evaluations/` with a manifest whose hash is in the
  evidence and in the signature, so a signature covers these bytes. Backups include them; `podium
  gc` does not remove them.
- Refits store no models: a refit's forecasts are flushed (receipt `refit` under its trial's key)
  before its trial's end, so either both exist or it is trained again. One split `refit` has a fold
  for each, without a validation part, which would choose the epoch.
- `evaluate` computes the parent's predictions itself, as evidence about the parent would void its
  signatures. For losses the record is enough.
- Commands are safe to repeat after a kill: `promote` answers from the record, `sign` detects the
  same signature, `rollback --artifact` an earlier rollback. `tests/test_promotion_kills.py` kills
  them before, in and after the transaction and while files are written.
"""
