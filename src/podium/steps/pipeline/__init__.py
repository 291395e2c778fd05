"""All steps of a slot, one after the other, resumable.

Runs the verbs of the other rooms in order and says why a step is or is not to be done.

May import: workspace, data, trials, evidence, search, candidates, decisions, serving, archive.

Decisions
---------
- A refused promotion ends `podium promote` with exit code 4, but `podium run` with 0: it did what
  it was asked, and the refusal is its result.
- A run never puts back what a person archived or took from the championship; asking for it does.
- `run --refresh` moves a sealed test forward only, and never over bars the champion was trained
  on; looks are counted by overlap as ever. A challenger cut off before a decision is not the
  "last challenger", so the next night goes on with it. A candidate that lacks nothing but
  signatures is asked for again each night; no other is. A slot is shadowed by the newest row of
  `shadow`, an append-only table.
- `steps/pipeline/stages.py`: a slot's steps as objects: name, how it stands against the record
  (writes nothing), how it is done. `podium run`, `--from`, `--to`, `--explain` are walks along
  them. `steps/pipeline/changed.py` says why something is to be done,
  `steps/pipeline/preflight.py` what must hold before; each step's module offers `on_record` (or
  `reach` of a search) for its own standing.
- `.podium/unchanged.json` is a cache of the last whole run, believed while bytes of data,
  settings, plugins and podium's own code, the newest rows of the record and the files that steps
  left are what they were. It decides nothing; it may be deleted.
- `--only` restricts the walk of a study, not its question: numbers and seeds of families do not
  meet, so the study is the same one.
- `podium run` is the place for side by side work of one slot's trials and folds; slots are taken
  one after the other, since each fills the workers.
"""
