"""Pseudo-labels: recordings without any annotation as labelled scenes, by lifting the masks of a 2D teacher."""
