"""From podium.toml to samples: bars, sequences, covariates, a user's own code.

Reads the files of a slot's dataset through :mod:`podium.readers` and hands out the three shapes
of data: ``SlotData`` (bars and a sealed test), ``ClassData`` (sequences), ``OwnData`` (a command or
a function).

May import: workspace.

Decisions
---------
- A slot's task says which road it goes: `SlotData` (bars, a sealed test) or `ClassData` (samples,
  one split) meet in `tune` and `_trials`; what only forecasts have refuses a classifying slot by
  name. Missing there: folds over groups (`extend`) and grids for classes.
- Own code is a third kind of data for the walk (`steps/data/own_code.py` `OwnData`): slot
  `own/<name>`, family = name, VERSION = `--version`, task = words of the command or name of the
  function, dataset = content of `--data`, one empty fold. The script's hash is recorded and is no
  part of the key; its change is told. One seed for all its trials, so configs differ by
  themselves alone. The direction of own metrics is in the study's question; `gc`, `compare`,
  `lineage` ask it there.
"""
