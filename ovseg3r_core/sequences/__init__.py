"""Sources of frames: recorded RGB-D folders and rosbags, all read into the same `Frame`.

Start at `sequence.py` (`open_sequence`); each format is one file beside it.
"""
