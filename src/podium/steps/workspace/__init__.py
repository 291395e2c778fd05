"""An opened project: settings, lock, log, stop requests, hooks, output folders, projections.

Everything that belongs to a project's folder and to no slot's models. :mod:`session` joins a
project, its hooks and its projections, which ``Project`` does not import. Functions of the other
rooms take a ``Project`` as first argument.

May import: no other room.

Decisions
---------
- A full disk or a read-only folder is exit code 7, like damaged data: the record is intact, the
  same command continues.
- A running step writes its progress to `.podium/running/`, and reads requests to stop there
  (`steps/workspace/activity.py`); a step runs while it holds its lock, so the file of a killed one
  is ignored. A request to stop acts like Ctrl-C.
- A log is text and no record: one `write` a line, no flush (10 us a trial); a lock on the file
  tells readers that its writer runs. `Project.locked` begins it, `Project.logged` ends it; the
  reporter is wrapped, so messages of steps are logged. `log.step(NAME)` names a step of a longer
  command.
- `files.watch_writes` lets a log, and `-v`, hear of each file that `write_atomic` and the store put
  in place.
- A hook runs after the transaction of its event, for at most `hooks.timeout` seconds, and a
  receipt (`hook`) has the outcome. Input and output of a command are files, and a webhook has a
  thread, so that neither a child process nor a name server can block a step.
- Files of steps are projections of the record; an `OutputFolder`
  (`steps/workspace/output_folder.py`) has one owner at a time, named in its marker file, which is
  written first and moved last.
- A score that is to be high is never called a loss in users' files.
- A volatility forecast judged by its error is no strategy: the default policy `forecast` has
  the comparison with naive only; `deflated_sharpe` and `overfitting` are in the policy `trading`,
  which a slot names.
"""
