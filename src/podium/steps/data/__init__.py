"""From podium.toml to samples: bars, sequences, covariates, a user's own code.

Reads the files of a slot's dataset through :mod:`podium.readers` and has the slot's task open them
(:mod:`podium.tasks`): ``SlotData`` (bars and a sealed test), ``ClassData`` (sequences), ``OwnData``
(a command or a function).

May import: workspace.

Decisions
---------
- What steps need of a slot's data is a method of `TaskData`, so no step asks which task it has.
  What only bars have (trades, forecasts of the newest bar) asks for `SlotData`.
- A fold of classes has a like share of every class, and no group in two parts. Without an
  evaluation file the served model does not see the samples that validate: it is judged on them.
- Own code is a third kind of data: slot `own/<name>`, family = name, VERSION = `--version`, task =
  words of the command or name of the function, dataset = content of `--data`, one empty fold. The
  script's hash is recorded and is no part of the key; a change of it is reported. One seed for all
  its trials, so configs differ by themselves alone. The direction of own metrics is in the study's
  question; `gc`, `compare`, `lineage` read it there.
"""
