"""Labelled worlds, pseudo labels and the training of the 3D segmenter."""
