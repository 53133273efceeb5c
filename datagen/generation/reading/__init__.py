"""From a raw answer to validated values."""
