"""An opened project: settings, lock, log, stop requests, hooks, owned folders, projections."""
