"""`python -m ovseg3r_core` is `ovseg3r`."""

from ovseg3r_core.cli import main

main()
