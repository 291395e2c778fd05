"""All steps of a slot, one after the other, resumable."""
