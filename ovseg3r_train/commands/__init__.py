"""The verbs of `ovseg3r-train`, a file each or two that belong together: thin shells round the package.

What a verb needs is imported when it runs: `ovseg3r-train show` must not wait for what `ovseg3r-train scenes` loads.
`cli.py` puts them together.
"""
