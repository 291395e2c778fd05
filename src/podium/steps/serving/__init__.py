"""After promotion: forecasts, signals, their outcomes, drift, shadows.

Uses champions and candidates; trains and decides nothing. It does not import the room archive.

May import: workspace, data, trials, evidence, search, candidates, decisions.

Decisions
---------
- A stored forecast is unique by candidate, ticker and bar and never changed; outcomes are joined
  on reading, since bars may be revised. Whether it was made before its outcome was known follows
  from the newest bar of that time (`data_until`), not from a clock.
- A model's bars are read for its tickers alone: common bars with a later ticker would differ.
"""
