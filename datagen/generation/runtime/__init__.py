"""How questions reach a language model and answers are kept: the journal, flow control, caps, many rows at once."""
