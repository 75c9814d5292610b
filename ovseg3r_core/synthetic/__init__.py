"""Furnished rooms whose truth is known exactly, and the one real frame of the demo."""
