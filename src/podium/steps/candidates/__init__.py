"""From a config to a registered artefact.

Final trainings, models given as a config, models of a search or of a checkpoint, and the files of
``final_model/``. A candidate is immutable from here on.

May import: workspace, data, trials, evidence, search.

Decisions
---------
- `finalize` trains twice: with the last slice held out, keeping its best epoch (`best_model`),
  and on everything for as many epochs as were best on average over the walk-forward folds
  (`final_model`, the one that is judged and served). One slice's best epoch is mostly luck:
  docs/benchmarks.md.
- `finalize` takes the choice of the newest cross-validation, under the settings that had, or the
  config of a file. Evidence from validation has inputs of its own: it is renewed when more configs
  were looked at, without a training.
- Where no model is named, a backtest judges what the verbs before left, in the order
  `final_model/`, extended models, the search's checkpoints, the grids' active model. What was no
  candidate becomes one; nothing is trained. `train --best` takes the newest finished search.
- `made_by` says how a candidate came about. Study and trial are those of a training on record, and
  may be missing.
- `podium train` runs in its own process so that every epoch can be told and put away; its
  `last.pt` belongs to the artefact but is no part of the model, so `reproduce` does not hold it
  against the record.
- Several seeds are one artefact with `members` in its manifest; whoever loads it gets
  their mean. No member is pickled or merged: weights of differently seeded networks have no mean.
- A final training's state is called by the hash of the candidate's inputs, not by a trial's id:
  its trials are written only when both have ended. It leaves states on the way
  (`Job.leaves_states`) where a scheduled trial stops at them (`Task.until`); the family tells its
  curve again, so the state holds none.
- A config that a person gives is a study of its own (search `given`), with the baselines beside
  it, and no evidence.
- A candidate trained on its test is a child (model type `with_test`) with one piece of evidence
  that says why there will be none of the test; gates quote it where they miss evidence.
- `final_model/` holds the newest candidate; a run that finds an older one up to date does not
  take it away.
- What a search kept has its `config.json` for a manifest: that must say what its trial's record
  says and holds the hash of every file. Then it is an artefact and its trial's `checkpoint` is set.
- A checkpoint that is not the one served is another model: an artefact and a candidate of its own
  (`checkpoint_of` in its manifest), with the validation evidence of the training both came from.
"""
