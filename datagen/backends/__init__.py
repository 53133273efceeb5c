"""Models, indexes and servers behind the protocols of `protocols.py`; each heavy library in one file."""
