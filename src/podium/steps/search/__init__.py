"""From a search space to a chosen config: tune, grid, sweep, own code, extend, analyze."""
