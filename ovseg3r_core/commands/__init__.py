"""The verbs of `ovseg3r`, a file each or a few that belong together: thin shells round the core.

What a verb needs is imported when it runs: `ovseg3r query` must not wait for what `ovseg3r segment` loads. `cli.py`
puts them together.
"""
