"""From a search space to a chosen config: tune, grid, sweep, own code, extend, analyze.

The verbs up to the choice, their result folders, and their results (`results`). Tune, grid, sweep
and own code have one result, `SearchResult`, with the same meaning of the best trial, the reference
and infeasible trials.

May import: workspace, data, trials, evidence.

Decisions
---------
- A verb records the settings that its result depends on, and the next one uses them (`handover`):
  `extend` takes the newest finished search or the one of `--study`, `analyze` the newest
  cross-validation, and flags of one verb hold for the next ones. Results of earlier data or
  settings are refused.
- A search's budget is not part of a study's question, so more trials continue the same study.
- The reference is chosen over the walk-forward folds, where the candidate is chosen too.
- "Full budget" of a grid's run means all of its `max_epochs`. Comparable grids have the data, task,
  split and metric of the newest one; the pointer never compares losses on other data.
- A grid's seed is none that a search draws, so the trial of a stored model is never one without.
- Where the same windows validate in several folds (`combinatorial`), the standard error counts
  folds divided by paths.
- Known trials are linked to a widened study when it begins (phase `known`, `ledger/warm_start.py`)
  and never again, so later trials change nothing. The studies must differ in their spaces alone;
  another seed, search or metric starts without known trials.
- A budget is no part of a question, but phases are shares of it: the plan of the first run, and the
  search that `auto` chose, are in a receipt of the study (`search`) that later runs follow. Cohorts
  of a schedule are fixed likewise (`cohorts`).
- Configs of finite spaces are distinct in studies with `distinct` in their question; older studies
  repeat configs, with the same hashes.
- A schedule leaves at least `tune.finalists` trials of a list, and half as many of a generation;
  the number is in the question.
- A search that `--max-time` ended has a receipt (`cut`), with which `extend` accepts it.
- `hyperparameter_tuning_results/` is written from the record; only its study is read back. Models
  of a search are no artefacts: one among the best so far is moved into `checkpoints/` before its
  trial's end is written, and removed at the end of the search if it no longer is. So no key, state,
  artefact hash or log line depends on them or on the order in which trials end.
- Optuna's files of a search have exact ranges and only parameters that apply; `podium export
  --format optuna-*` has whole configs, since its studies may come from other tools.
- Importance of hyperparameters is computed at an epoch that every trial reached, pruned or not.
"""
