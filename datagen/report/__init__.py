"""What a run says of itself: counts, summary, dataset card."""
