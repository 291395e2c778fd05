"""Planned trials against the record: trained once, resumed, pruned, scored.

The study that a step works on (`context`), the driver of every search (`driver`), the trials of
one batch (`execute`), schedules, objectives and finalists. Only the driver's process writes to the
record; runners return the ends of trials. `once` runs a step of any room once for its inputs.

May import: workspace, data.

Decisions
---------
- A result and its receipt are one transaction (`once`, `evidence_once`). A receipt has its inputs
  by name: equal inputs are the same result, and a differing name is the reason for a new one.
- A result whose inputs hold again becomes the newest of its step: later verbs use the newest, and
  gates read the newest evidence of a kind. Append-only evidence is appended again unchanged;
  nothing is computed, and no look at a test is added.
- A task's `BASELINES` are the families that every search of it is compared with. All configs of
  their spaces run once, with seed 0, in phase `baseline` of the study, and over folds in phase
  `extend_baseline`. A trial is a baseline by its phase, not by its family: a slot may search the
  same family, and those trials count as looks.
- The reference is the best baseline where the candidate is chosen: on the validation slice, or by
  the mean over the folds; that of a chosen baseline is the best one of a lower rung. It is fitted
  again on all bars before the test. Fields named `naive` are about the reference; `naive_method`
  is its label, and the note `reference` has its family and config.
- grid, tune, sweep and own code each fill in a `SearchRun` (`driver`): numbers, generation, seed,
  folder of models. A schedule decides inside a generation, between `ask` and `tell` (`schedule`).
- The driver computes errors in quoted units from a trial's forecasts, if its target has
  `to_price`. They are results, never scores, and `reproduce` compares only the forecasts.
- A score has the metric's direction in the record; a search receives it with the sign that makes
  lower better.
- The driver computes further metrics from recorded forecasts, for new and known trials alike, so
  workers compute one metric.
- A schedule decides from recorded curves alone, and its decision is recorded as a receipt of
  study, family, cohort and rung. Another study may train a pruned trial further, from PRUNED to
  RUNNING; the study that pruned it still sees PRUNED.
- Epochs are written once, even if a resumed trial reports them again. A pruned trial has no
  results, only its curve; its line in the log has the id `<trial>/pruned-<epochs>`, so that the
  line of the complete trial can follow.
- Further trainings of finalists have no run name and the seed numbers -2, -3 ..., the same for
  all finalists.
- `--retry-failed` starts failed trials again under their ids and links them in phase `retried` to
  every study with them. A search still receives them as failed, since its later configs depend
  on that.
- `reason` of a failed trial has the last three frames and is recorded; `Ended.trace` has all
  frames and goes to the log only.
"""
