"""All stages of a slot in order, resumable.

Runs the functions of the other rooms and names the changed inputs for which a stage is due.

May import: workspace, data, trials, evidence, search, candidates, decisions, serving, archive.

Decisions
---------
- A refused promotion ends `podium promote` with exit code 4, but `podium run` with 0: the refusal
  is its result.
- A run never promotes again what a person archived or replaced; `podium promote` does.
- `run --refresh` only moves a sealed test forward, and never over bars the champion was trained
  on; looks are counted by overlap. A challenger interrupted before a decision is continued the next
  night. Promotion of a candidate that waits for signatures (`decision.waits_for_signatures`) is
  requested each night; no other is. The shadow of a slot is the newest row of `shadow`, an
  append-only table.
- A stage is one file, `steps/pipeline/stages/<name>.py`: `inputs` by name, `find` (writes nothing),
  `make`, `files`. One description serves `podium run`, `--from`, `--to` and `--explain`, so plan
  and work cannot disagree.
- A stage is due where the record has no product for its inputs; the reasons are the inputs that
  differ from those of the newest receipt. An input that an earlier stage has to make is None and
  is skipped, so that stages after a due one have reasons too.
- The comparison with the champion, the improvement over a parent, refits, the leak probe and a
  classifier's evaluation are stages. Looks at the test are no input: they are counted when
  evidence is made.
- Settings of a run are those of podium.toml, never those of an earlier verb.
- `preflight.py` has the checks before anything is trained.
- `.podium/unchanged.json` is a cache of the last whole run, valid while the bytes of data,
  settings, plugins and podium's code, the newest rows of the record and the files of steps are the
  same. It may be deleted.
- `--only` restricts the searched families, not the study's question: numbers and seeds of
  families do not overlap, so the study is the same.
- `podium run` works on the trials and folds of one slot in parallel; slots follow one another,
  since each uses all workers.
"""
