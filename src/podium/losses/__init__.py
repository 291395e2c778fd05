"""Losses: outputs of a network and targets in, a mean that a training makes smaller out; PyTorch.

A file holds the class as ``LOSS``. An object of it, made without arguments where the usual ones
will do, is called with outputs and targets and returns a scalar tensor. ``task`` says what it is
for: of a forecast the targets are numbers (B,) and the outputs (B,), or (B, outputs) where it needs
several for each target; of classes the targets are labels (B,) and the outputs scores (B, K) before
the softmax, one for each class.
"""
