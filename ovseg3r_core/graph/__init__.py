"""The neighbourhood graph of a cloud: points in a lasting order, their neighbours, normals, and clusters.

No mesh is needed. The inner loops are compiled by numba.
"""
