"""From a search space to a chosen config: tune, grid, sweep, own code, extend, analyze.

The verbs up to the choice, their result folders, and (`results`) the values that they hand on.
Tune, grid, sweep and own code have one result, `SearchResult`, so that the best trial, the
reference and what a filter leaves out mean the same for all of them.

May import: workspace, data, trials, evidence.

Decisions
---------
- A verb records the settings that its result depends on; the next one works under them
  (`handover`). So `extend` takes the newest finished search or the one of `--study`, `analyze` the
  newest cross-validation and trains nothing, and flags of one verb hold for the next ones. What
  answers another question by now is refused.
- A search's budget is not part of a study's question, so more trials continue the same study.
- The reference is chosen over the walk-forward folds, where the candidate is chosen too.
- "Full budget" of a grid's run means to the end of its own `max_epochs`; comparable is what the
  newest grid asked (data, task, split, metric), and the pointer never compares losses on other
  data.
- A grid's seed is none that a search draws, so a kept model's trial is never one trained without.
- Where the same windows validate in several folds (`combinatorial`), the standard error counts
  folds divided by paths.
- Known trials are linked to a widened study when it begins (phase `known`, `ledger/warm_start.py`)
  and never again, so what was trained meanwhile changes nothing. It happens only where a study of
  the slot differs in its spaces alone: another seed, search or metric starts from nothing, as
  ever.
- A budget is no part of a question, but shares are shares of something: the plan of the first
  run, and what `auto` chose, lie in a receipt of the study (`search`), which the next run obeys.
  Cohorts of a schedule are fixed likewise (`cohorts`).
- Configs of finite spaces are distinct in studies that say so in their question (`distinct`); an
  older one goes on repeating itself, to the same hashes.
- Of a list `tune.finalists` stay at least, of a generation half as many; that number is in the
  question with a schedule.
- A search that `--max-time` ended leaves a receipt (`cut`), which lets `extend` take an
  unfinished search.
- `hyperparameter_tuning_results/` is written from the record; only whose it is is read back.
  Models of a search are no artefacts: a model is moved into `checkpoints/` before its trial's end
  is written, if it is among the best so far; what falls out goes when the search ends. So no key,
  state, artefact hash or log line depends on them, nor on the order in which trials end.
- Optuna's files of a search have exact ranges and only parameters that count; `podium export
  --format optuna-*` has whole configs, since its studies may be anybody's.
- Importance of hyperparameters is reckoned after as many epochs as every trial had: a trial that
  was given up and one that was not are not compared by different lengths.
"""
