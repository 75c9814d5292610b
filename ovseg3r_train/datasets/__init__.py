"""Readers of public datasets in their official folder layouts, to labelled scenes; start at `convert.py`."""
