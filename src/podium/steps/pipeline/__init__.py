"""All stages of a slot, one after the other, resumable.

Runs the work of the other rooms in order and names the inputs for which a stage is due.

May import: workspace, data, trials, evidence, search, candidates, decisions, serving, archive.

Decisions
---------
- A refused promotion ends `podium promote` with exit code 4, but `podium run` with 0: the refusal
  is its result.
- A run never puts back what a person archived or took from the championship; asking for it does.
- `run --refresh` moves a sealed test forward only, and never over bars the champion was trained
  on; looks are counted by overlap as ever. A challenger cut off before a decision is not the
  "last challenger", so the next night goes on with it. A candidate that waits for
  signatures (`decision.waits_for_signatures`) is asked for again each night; no other is. A slot is
  shadowed by the newest row of `shadow`, an append-only table.
- A stage is one file, `steps/pipeline/stages/<name>.py`: `inputs` by name, `find` (writes nothing),
  `make`, `files`. One description serves `podium run`, `--from`, `--to` and `--explain`, so plan
  and work cannot disagree.
- A stage is due where the record has nothing for its inputs; why, are the names that differ from
  those of the newest receipt. An input that an earlier stage has to make first is None and is
  passed over, so stages behind a due one have reasons too.
- The comparison with the champion, the improvement over a parent, refits, the leak probe and a
  classifier's evaluation are stages. Looks at the test are no input: they are counted when
  evidence is made.
- A run answers podium.toml's question. It never takes settings from what a single verb left.
- `preflight.py` has what must hold before anything trains.
- `.podium/unchanged.json` is a cache of the last whole run, believed while bytes of data,
  settings, plugins and podium's own code, the newest rows of the record and the files that steps
  left are what they were. It decides nothing; it may be deleted.
- `--only` restricts the families that are searched, not the study's question: numbers and seeds of
  families do not meet, so the study is the same one.
- `podium run` is the place for side by side work of one slot's trials and folds; slots are taken
  one after the other, since each fills the workers.
"""
