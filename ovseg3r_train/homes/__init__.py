"""Furnished homes with exact truth."""
