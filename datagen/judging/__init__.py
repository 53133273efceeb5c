"""What brings the ledger of a run before a language model that judges: for the stage `judge`."""
