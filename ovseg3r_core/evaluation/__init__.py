"""What was found against what is there."""
