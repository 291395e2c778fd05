"""An opened project: settings, lock, log, stop requests, hooks, output folders, projections.

Everything that belongs to a project's folder and to no slot's models. :mod:`session` puts a
project, its hooks and its projections together; ``Project`` itself knows neither. Every other room
takes a ``Project`` as its first argument.

May import: no other room.

Decisions
---------
- A full disk or a read-only folder is exit code 7, like damaged data: the record is intact, the
  same command goes on.
- A step at work tells how far it is in `.podium/running/`, and looks there for a wish to stop
  (`steps/workspace/activity.py`); only its lock says that it is at work, so what a killed one
  told is not believed. A wish to stop is handed on as Ctrl-C is.
- A log is text and no record: one `write` a line, no flush (10 us a trial), a lock on the file
  itself tells readers that its writer lives. `Project.locked` begins it, `Project.__exit__` ends
  it; the reporter is wrapped, so steps log by saying. `_log.step(NAME)` names a step of a longer
  command.
- `files.watch_writes` lets a log, and `-v`, hear of each file that `write_atomic` and the store put
  in place.
- A hook is fired after the transaction it tells of, waited for `hooks.timeout` seconds, and a
  receipt (`hook`) says how it went. Input and output of a command are files, and a webhook has a
  thread, so that neither a grandchild nor a name server can hold a step up.
- Files of steps are projections of the record; an `OutputFolder`
  (`steps/workspace/output_folder.py`) has one owner at a time, named in its first file, which is
  there before anything else and leaves last.
- A score that is to be high is never called a loss in users' files.
- A volatility forecast judged by its error is no strategy: the default policy `forecast` asks for
  the honest comparison only; `deflated_sharpe` and `overfitting` are in the policy `trading`,
  which a slot names.
"""
