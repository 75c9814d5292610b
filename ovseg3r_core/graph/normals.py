"""Which way the surface faces at each point: a plane through the neighbours, or what the cloud itself says."""

from typing import Literal, no_type_check

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray

from ovseg3r_core.compiled import compiled, in_chunks
from ovseg3r_core.graph.edges import Edges
from ovseg3r_core.graph.neighbours import NOBODY
from ovseg3r_core.graph.sides import orient

_FLAT = 1e-4  # of the largest spread: points that spread less than this across it lie on a line


def unit_or_zero(normal: Float32[ndarray, "points 3"]) -> Float32[ndarray, "points 3"]:
    """Unit vectors; zero where there was no direction, or no number."""
    unit = np.zeros_like(normal)
    in_chunks(_unit, len(normal), normal, unit)
    return unit


def surface_normals(
    xyz: Float32[ndarray, "nodes 3"],
    given: Float32[ndarray, "nodes 3"],
    count: Int64[ndarray, " nodes"],
    near: Int32[ndarray, "nodes k"],
    edges: Edges,
    source: Literal["fitted", "given"],
) -> Float32[ndarray, "nodes 3"]:
    """The normal of each node: that of a plane through it and its nearest, on the side of the given one.

    Where the plane is not certain it is the given one, and zero where there is neither. Where the cloud gives none, the
    side is that of the neighbours (`orient`).

    Args:
        given: what the cloud says, unit vectors; zero where it says nothing.
        count: how many points each node stands for.
        near: the nearest others of each node.
        source: "given" fits only where the cloud says nothing.
    """
    known = (given != 0).any(axis=1)
    if source == "given" and known.all():
        return given
    normal = np.zeros_like(xyz)
    in_chunks(_fit, len(xyz), xyz, count, near, given, normal)
    if source == "given":
        normal = np.where(known[:, None], given, normal)
    return orient(normal, known, edges)


@compiled
@no_type_check
def _unit(start, stop, normal, unit):
    for i in range(start, stop):
        x, y, z = np.float64(normal[i, 0]), np.float64(normal[i, 1]), np.float64(normal[i, 2])
        length = np.sqrt(x * x + y * y + z * z)
        if 0 < length < np.inf:
            unit[i, 0], unit[i, 1], unit[i, 2] = x / length, y / length, z / length


@compiled
@no_type_check
def _fit(start, stop, xyz, count, near, given, normal):
    k = near.shape[1]
    for i in range(start, stop):
        total = sx = sy = sz = xx = xy = xz = yy = yz = zz = 0.0
        for step in range(-1, k):
            other = i if step < 0 else near[i, step]
            if other == NOBODY:
                break
            w = np.float64(count[other])
            x, y, z = xyz[other, 0] - xyz[i, 0], xyz[other, 1] - xyz[i, 1], xyz[other, 2] - xyz[i, 2]
            x, y, z = np.float64(x), np.float64(y), np.float64(z)
            total += w
            sx, sy, sz = sx + w * x, sy + w * y, sz + w * z
            xx, xy, xz = xx + w * x * x, xy + w * x * y, xz + w * x * z
            yy, yz, zz = yy + w * y * y, yz + w * y * z, zz + w * z * z
        sx, sy, sz = sx / total, sy / total, sz / total
        nx, ny, nz = _thinnest(
            xx / total - sx * sx,
            xy / total - sx * sy,
            xz / total - sx * sz,
            yy / total - sy * sy,
            yz / total - sy * sz,
            zz / total - sz * sz,
        )
        side = nx * given[i, 0] + ny * given[i, 1] + nz * given[i, 2]
        if side < 0:
            nx, ny, nz = -nx, -ny, -nz
        if nx == 0 and ny == 0 and nz == 0:
            nx, ny, nz = np.float64(given[i, 0]), np.float64(given[i, 1]), np.float64(given[i, 2])
        normal[i, 0], normal[i, 1], normal[i, 2] = nx, ny, nz


@compiled
@no_type_check
def _thinnest(xx, xy, xz, yy, yz, zz):
    """The unit eigenvector of the smallest eigenvalue of a symmetric matrix, in closed form; zero if it is not one."""
    mean = (xx + yy + zz) / 3
    if mean <= 0:
        return 0.0, 0.0, 0.0
    xx, xy, xz, yy, yz, zz = xx / mean, xy / mean, xz / mean, yy / mean, yz / mean, zz / mean
    ax, ay, az = xx - 1, yy - 1, zz - 1
    spread = np.sqrt((ax * ax + ay * ay + az * az + 2 * (xy * xy + xz * xz + yz * yz)) / 6)
    if spread < _FLAT:
        return 0.0, 0.0, 0.0
    half = (ax * (ay * az - yz * yz) - xy * (xy * az - yz * xz) + xz * (xy * yz - ay * xz)) / (2 * spread**3)
    angle = np.arccos(min(1.0, max(-1.0, half))) / 3
    largest = 1 + 2 * spread * np.cos(angle)
    smallest = 1 + 2 * spread * np.cos(angle + 2 * np.pi / 3)
    if 3 - largest - smallest < _FLAT * largest:
        return 0.0, 0.0, 0.0
    ax, ay, az = xx - smallest, yy - smallest, zz - smallest
    best = bx = by = bz = 0.0
    for rows in range(3):  # the rows span the other two directions: the longest product of two of them is the safest
        if rows == 0:
            px, py, pz = xy * yz - xz * ay, xz * xy - ax * yz, ax * ay - xy * xy
        elif rows == 1:
            px, py, pz = xy * az - xz * yz, xz * xz - ax * az, ax * yz - xy * xz
        else:
            px, py, pz = ay * az - yz * yz, yz * xz - xy * az, xy * yz - ay * xz
        length = px * px + py * py + pz * pz
        if length > best:
            best, bx, by, bz = length, px, py, pz
    if best <= 0:
        return 0.0, 0.0, 0.0
    best = np.sqrt(best)
    return bx / best, by / best, bz / best
