"""Runners: processes that trials run in; they pass a family a list of tasks and return its events.

Decisions
---------
- Workers come from a fork server with torch loaded and compute with one thread each: sums over
  several threads differ in the last bit with their number, and results do not depend on `--jobs`.
- A job is pickled once. Its arrays are in a file without a name, whose descriptor each worker
  receives and maps (`_share`), so N workers hold one copy and a kill leaves nothing behind. Windows
  are views by start index.
- A batch is one task, or as many of a fold as the family trains `together`. A lost worker or an
  exceeded limit fails the unfinished tasks of its batch, and the worker is replaced.
- The state of a paused trial is `.podium/work/paused/<trial>/state` with its hash (`_paused`).
- A command starts through `_guard`, which leaves a process in the command's group that waits on
  a pipe only the worker holds. A killed worker or driver takes the whole group with it, on every
  POSIX system, without polling.
- Reports of own code go through a file named in the environment, since launchers of several
  processes close descriptors. The reports decide whether a trial is paused, not the exit code.
"""
