"""Maintenance of the record: exports, bundles, backups, checks, reproduction, removal.

Works on the record and the store as a whole; no slot is judged here. It does not import the room
serving.

May import: workspace, data, trials, evidence, search, candidates, decisions.

Decisions
---------
- Rules of `podium gc` narrow each other; it removes no unused model when the record refers to no
  model of the store: a wrong `ledger.url` is more likely than a store of unused models.
- `podium reproduce` rebuilds a trial from the record alone: the tables `task` and `split` have
  the contents of their hashes, and the recorded bars are cut out of the present ones and checked
  by fingerprint. It writes nothing without `--note`.
- `podium clean` owns result folders, checkpoints and logs; its removals in the store and in
  `.podium/work` are done by `gc.collect`.
"""
