"""Planned trials, run against the record: trained once, resumed, pruned, scored.

The study that a step works on (`context`), the driver of every search (`driver`), the trials of
one batch (`execute`), schedules, objectives, finalists. Only the driver's process writes to the
record; runners hand back how trials ended.
`once` does a step once for its inputs, in whatever room the step is.

May import: workspace, data.

Decisions
---------
- A result and its receipt are one transaction (`once`, `evidence_once`). A receipt keeps its inputs
  by name; equal inputs are the same result, and a name that differs says why there is another.
- A result of inputs that hold again becomes the newest of its step again: later verbs take the
  newest, and gates read the newest evidence of a kind. Evidence is appended a second time as it
  was, since it is append-only; nothing is computed, and no look at a test is added.
- `baselines.FAMILIES` lists the families that every search of a task is compared with, until a task
  is a kind of its own. All configs of their spaces run once, with seed 0, in phase `baseline` of
  the study, and over folds in phase `extend_baseline`. A trial is a baseline by that phase, not by
  its family: a slot may search the same family, and those trials count as looks.
- The reference is the best baseline where the candidate is chosen: on the validation slice, or by
  the mean over the folds. It is fitted again on all bars before the test. Fields named `naive`
  are about the reference; `naive_method` is the method of `naive`, else the family, and then the
  note `reference` has family and config.
- grid, tune, sweep and own code are ways to fill in one `SearchRun` (`steps/trials/driver.py`):
  numbers, generation, seed, where models are left. A schedule decides inside a generation,
  between `ask` and `tell` (`steps/trials/schedule.py`).
- Errors in quoted units are reckoned by the driver from a trial's forecasts (a target that tells
  of a price has `to_price`); they are results, never scores, and `reproduce` leaves them to the
  forecasts they come from.
- A score is kept in the metric's own direction; searches are told it with the sign that makes
  lower better.
- Further metrics are computed by the driver from the forecasts on record, for fresh and found
  trials alike, so workers know one metric.
- A decision of a schedule follows from recorded curves alone and is itself on record (a receipt
  of study, family, cohort and rung), so whoever trains a dropped trial on changes nothing in the
  study that dropped it: its rows say PRUNED there. PRUNED may become RUNNING again: pruned is
  what one study thinks of a trial, not what it is.
- Epochs are written once: what a trial that goes on tells again is not written again. A pruned
  trial has no results, only its curve; its line in the log has the id `<trial>/pruned-<epochs>`,
  so that a whole line can follow.
- Finalists' further trainings have no name (they are no runs of a grid) and seeds of their own
  (-2, -3 ...), the same for all.
- `--retry-failed` starts failed trials again under their ids and links them in phase `retried` to
  every study that looked at them: a search is told for ever that they failed, since it asked for
  all later configs knowing that.
- `reason` of a failed trial has the last three frames and is on record; `Ended.trace` has all of
  them and goes to the log alone.
"""
