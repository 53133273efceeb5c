"""What a run has said already, and when it has collapsed."""
