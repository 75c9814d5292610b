"""Published ways to join the masks of many views, on the same masks as ours: every number gets a neighbour."""
