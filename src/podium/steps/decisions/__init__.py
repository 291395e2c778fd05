"""Judging a candidate and deciding about it: backtest, evaluate, promote, sign, roll back.

Opens the sealed test (a look is on record before it is read), appends evidence, asks the gates,
and writes decisions: the only thing that moves a head.

May import: workspace, data, trials, evidence, search, candidates.

Decisions
---------
- A newcomer is held against the champion on the very windows of its own test (evidence
  `against_champion`), never against the champion's old figures; `beats_champion` asks for a lower
  mean loss, states the p-value, and is undecidable where the champion answers another question.
- The champion is an input of that comparison (`rival`): the slot's champion, or for the champion
  itself the one that its first decision names. Else a promotion would make its own evidence
  outdated.
- Every term of `[backtest]` but those of refits is an input of the test evidence. Terms that hold
  again bring back the evidence made under them, without another look at the test.
- `promote SLOT` takes the newest judged candidate.
- A gate that lacks only people's signatures says `unsigned`. Whether a candidate waits for them is
  decided in `decision.waits_for_signatures` alone.
- A decision carries the SHA-256 of the rows of the candidate and of its findings (`contents`), so
  that a changed row shows against the chain.
- What gates read of a classifier is found on the slot's own evaluation data only; what `--data`
  finds is another kind of evidence.
- An evaluation's files lie under `artifacts/evaluations/` with a manifest whose hash is in the
  evidence and in the signature: whoever signs, signs those bytes. Backups take them along;
  `podium gc` leaves them alone.
- Refits keep no models: a refit's forecasts are flushed (receipt `refit` under its trial's key)
  before its trial's end is, so either both are there or it is trained again. One split `refit`
  has a fold for each, without validation part: a validation part would choose the epoch.
- A parent of a classifier is asked by `evaluate` itself: evidence about the parent would void its
  signatures. Of losses the record is enough.
- Commands of people are safe to give again after a kill: `promote` answers from the record,
  `sign` knows the same words about the same findings, `rollback --artifact` knows that a rollback
  put it back. `tests/test_promotion_kills.py` kills them before, in and after the transaction and
  while files are written.
"""
