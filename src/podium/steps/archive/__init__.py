"""Moving, proving and cleaning the record: exports, bundles, backups, doctor, reproduction.

Works on the record and the store as a whole; no slot is judged here. It does not know the room
serving.

May import: workspace, data, trials, evidence, search, candidates, decisions.

Decisions
---------
- Rules of `podium gc` narrow each other; it removes no stray when the record knows no model of
  the store at all: a wrong `ledger.url` is likelier than a store full of waste.
- `podium reproduce` rebuilds a trial from the record alone: the tables `task` and `split` hold
  what their hashes stand for, and the recorded bars are cut out of the present ones and checked
  by fingerprint. It writes nothing unless a note is asked for.
- `podium clean` owns result folders, checkpoints and logs; what it wants removed of the store and
  of `.podium/work` is done by `gc.collect`.
"""
