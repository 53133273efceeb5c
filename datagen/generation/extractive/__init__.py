"""Queries without a language model, cut out of passages."""
