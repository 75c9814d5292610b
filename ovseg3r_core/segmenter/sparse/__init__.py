"""Sparse convolution: one operation on gather tables, and the flavours of code that compute it."""
