"""What the settings of a run do to wrong and to right negatives of which it is known which they are."""
