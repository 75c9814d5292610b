"""What the segmenter learns from: targets, which query answers for which of them, and what mistakes cost."""
