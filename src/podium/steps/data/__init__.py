"""From podium.toml to samples: bars, sequences, covariates, a user's own code.

Files of a slot's dataset are read by :mod:`podium.readers` and opened by the slot's task
(:mod:`podium.tasks`): ``SlotData`` (bars and a sealed test), ``ClassData`` (sequences), ``OwnData``
(a command or a function).

May import: workspace.

Decisions
---------
- Steps use methods of `TaskData`, so no step depends on the task. Only bars have trades and
  forecasts of the newest bar; these steps require `SlotData`.
- Each fold of classes has the same share of every class, and no group in two parts. Without an
  evaluation file the served model is not trained on the validation samples: they judge it.
- Own code is a third kind of data: slot `own/<name>`, family = name, VERSION = `--version`, task =
  words of the command or name of the function, dataset = content of `--data`, one empty fold. The
  script's hash is recorded and is not part of the key; a change of it is reported. All its trials
  share one seed, so they differ only by config. The direction of own metrics is in the study's
  question; `gc`, `compare`, `lineage` read it there.
"""
