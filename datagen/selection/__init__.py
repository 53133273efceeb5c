"""Which candidates may be negatives: pure functions of arrays, no model, no file."""
