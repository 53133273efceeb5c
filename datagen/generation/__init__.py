"""How queries are written for passages: pure text and choices, no model client, no file."""
