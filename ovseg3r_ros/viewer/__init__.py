"""The map in the Rerun viewer while it grows: what is drawn, and where the drawing goes."""
