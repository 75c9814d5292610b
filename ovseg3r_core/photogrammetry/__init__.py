"""From plain images to frames with depth and poses, as if a depth camera had taken them.

images ─► selection ─► structure from motion ─► scale and level ─► plane sweep ─► what neighbours confirm ─► frames

Start at `from_color.py`. One file a step: `selection.py`, `sparse.py`, `metric.py`, `sweep.py`, `dense.py`.
"""
