"""Camera poses from colour and depth alone: a tracker for every frame, and a pose graph of its keyframes.

Start at `tracker.py`. Files: `shape.py` and `features.py` are the two things that frames are compared by.
"""
