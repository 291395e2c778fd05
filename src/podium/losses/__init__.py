"""Losses of networks, in PyTorch.

A file has its class as ``LOSS``. An instance, by default without arguments, is called with outputs
and targets and returns a scalar tensor to minimize. ``task`` is ``forecast``, with targets (B,) and
outputs (B,), or (B, outputs) for several per target; or ``classify``, with labels (B,) and scores
(B, K) before the softmax.
"""
