"""The commands that have a module of their own, and what they share; `datagen.cli` puts them together."""
