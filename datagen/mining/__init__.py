"""What the stages of mining are made of: candidates, what closes them, what a search may use, the order of choice."""
