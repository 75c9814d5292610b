"""The 2D teacher, simulated: masks with the errors that were measured on real ones."""
