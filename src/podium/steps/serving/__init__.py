"""What runs after promotion: forecasts, signals, their outcomes, drift, shadows.

Uses champions and candidates as they are; trains and decides nothing. It does not know the room
archive.

May import: workspace, data, trials, evidence, search, candidates, decisions.

Decisions
---------
- A stored forecast is unique by candidate, ticker and bar and never changed; outcomes are joined
  on reading, since bars say them and may be revised. Whether it was made before its outcome was
  known is told by the newest bar there was then (`data_until`), not by a clock.
- A model's bars are read for its tickers alone: bars in common with a ticker that came later
  would be other bars.
"""
