"""Programs that print the figures of the README, as ratios taken in one run."""
