"""Judging a candidate and deciding about it: backtest, evaluate, promote, sign, roll back."""
