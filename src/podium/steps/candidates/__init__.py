"""From a config to a registered artefact.

Final trainings, models of a config file, of a search or of a checkpoint, and ``final_model/``.
Registered candidates are immutable.

May import: workspace, data, trials, evidence, search.

Decisions
---------
- `finalize` trains twice: with the last slice held out, keeping its best epoch (`best_model`),
  and on everything for as many epochs as were best on average over the walk-forward folds
  (`final_model`, which is judged and served). The best epoch of one slice is mostly noise:
  docs/benchmarks.md.
- `finalize` takes the choice of the newest cross-validation with its settings, or the config of a
  file. Evidence from validation has separate inputs: it is renewed without a training when more
  configs were looked at.
- By default a backtest judges the first of `final_model/`, extended models, the search's
  checkpoints, the grids' active model; a model that is no candidate yet becomes one. `train --best`
  takes the newest finished search.
- `made_by` is the origin of a candidate. Its study and trial are on record, and may be missing.
- `podium train` trains in the command's process to report and store every epoch; its `last.pt`
  belongs to the artefact but not to the model, so `reproduce` does not compare it.
- Several seeds are one artefact with `members` in its manifest; its forecast is their mean. Members
  stay separate: weights of differently seeded networks have no mean.
- The state of a final training is named by the hash of the candidate's inputs, not by a trial's id,
  as its trials are written only when both have ended. It stores states on the way
  (`Job.leaves_states`); a scheduled trial stops at them (`Task.until`). The family reports its
  curve again, so the state has none.
- A config from a file has a separate study (search `given`) with the baselines, and no evidence
  from validation.
- A candidate trained on its test is a child (model type `with_test`); its one piece of evidence has
  the reason why there is none of the test, which gates quote.
- `final_model/` holds the newest candidate; a run does not replace it with an older one.
- A checkpoint of a search has a `config.json` as its manifest, which must agree with the record of
  its trial and has the hash of every file. Stored as an artefact, it sets its trial's `checkpoint`.
- A checkpoint that is not served is another model, with an artefact and a candidate
  (`checkpoint_of` in its manifest) and the validation evidence of their common training.
"""
