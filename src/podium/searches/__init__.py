"""Searches: samplers of the next configs to train; Optuna is imported here and in importers only.

Decisions
---------
- A parameter that does not count in a config has its default value there; Optuna receives the
  middle of its range.
- A trial that does not meet `tune.where` is reported to the search with the worst score so far: a
  failure would teach nothing, and a huge number would ruin a Gaussian process.
- The place in a Sobol sequence is the trial's number divided by the stride of the families, since
  every second point of a sequence lies in one half of the space.
- `_optuna` holds Optuna's Gaussian process to one torch thread: 3.7 times faster on two busy
  cores, and the bits do not depend on the number of threads. A test allows the import there only.
"""
