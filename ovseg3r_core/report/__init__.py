"""One page of a run that opens in any browser: `ovseg3r report`."""
