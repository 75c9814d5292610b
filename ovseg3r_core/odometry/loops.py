"""Loops: keyframes that saw the same place at different times, and the poses that all of them agree on.

keyframes ─► pairs that ought to see the same ─► looks, then shape ─► edges ─► pose graph ─► new poses
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import open3d as o3d
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.geometry import invert, nearest_rigid, pose_distance, rotation_angle
from ovseg3r_core.odometry.features import see
from ovseg3r_core.odometry.shape import fit
from ovseg3r_core.odometry.tracker import OdometryKeyframe

o3r = o3d.pipelines.registration

FEWEST_MATCHES = 30
"""Of looks, for a pair to be a loop."""
_APART = 3  # keyframes between them at least: nearer ones know of each other
_TRIED = 4  # pairs a keyframe
_REACH_M, _REACH_RAD = 2.0, 1.0  # a pair further apart sees little in common, or is not where it seems to be
_AHEAD_M = 1.5  # two cameras look at the same place when the points so far ahead of them are close
_FITS = 0.4  # overlap that makes a loop exact
_SLACK_M, _SLACK_RAD = 0.1, 0.1  # shape may move a loop by so much from where looks put it


def close_loops(keyframes: Sequence[OdometryKeyframe]) -> tuple[list[Float64[ndarray, "4 4"]], int]:
    """Poses of the keyframes that tracking and loops agree on, the first one where it was; and how many loops held."""
    poses = [key.T_map_camera for key in keyframes]
    loops = [(a, b, T) for a, b in _candidates(poses) if (T := _loop(keyframes[a], keyframes[b])) is not None]
    if not loops:
        return poses, 0
    graph = o3r.PoseGraph()
    graph.nodes.extend([o3r.PoseGraphNode(pose) for pose in poses])
    for a, (T_a, T_b) in enumerate(pairwise(poses)):
        graph.edges.append(_edge(a, a + 1, invert(T_a) @ T_b, uncertain=False))
    for a, b, T in loops:
        graph.edges.append(_edge(a, b, T, uncertain=True))
    o3r.global_optimization(
        graph,
        o3r.GlobalOptimizationLevenbergMarquardt(),
        o3r.GlobalOptimizationConvergenceCriteria(),
        o3r.GlobalOptimizationOption(max_correspondence_distance=0.03, edge_prune_threshold=0.25, reference_node=0),
    )
    held = sum(edge.uncertain for edge in graph.edges)
    closed = [nearest_rigid(np.asarray(node.pose)) for node in graph.nodes]
    T_map_graph = poses[0] @ invert(closed[0])  # Open3D turns the first pose to the identity
    return [poses[0], *(T_map_graph @ pose for pose in closed[1:])], held


def _candidates(poses: Sequence[Float64[ndarray, "4 4"]]) -> Iterator[tuple[int, int]]:
    """Of each keyframe the earlier ones that most likely see what it sees."""
    ahead = np.array([pose[:3, 3] + _AHEAD_M * pose[:3, 2] for pose in poses])
    for b, pose in enumerate(poses):
        close: list[tuple[float, int]] = []
        for a in range(b - _APART):
            apart_m = float(np.linalg.norm(ahead[a] - ahead[b]))
            turned = rotation_angle(poses[a][:3, :3].T @ pose[:3, :3])
            if apart_m < _REACH_M and turned < _REACH_RAD:
                close.append((apart_m + turned, a))
        for _, a in sorted(close)[:_TRIED]:
            yield a, b


def _loop(a: OdometryKeyframe, b: OdometryKeyframe) -> Float64[ndarray, "4 4"] | None:
    """T_a_b where both saw the same, exact where the shapes tell."""
    seen = see(a.features, b.features)
    if seen is None or seen.matches < FEWEST_MATCHES:
        return None
    exact = fit(a.shape, b.shape, seen.T_a_b)
    off_m, turned = pose_distance(seen.T_a_b, exact.T_a_b)
    near = off_m < _SLACK_M and turned < _SLACK_RAD
    return exact.T_a_b if near and exact.overlap >= _FITS else seen.T_a_b


def _edge(
    a: int, b: int, T_a_b: Float64[ndarray, "4 4"], *, uncertain: bool
) -> o3d.pipelines.registration.PoseGraphEdge:
    """Open3D names b the source, which its transform takes into a, the target."""
    return o3r.PoseGraphEdge(b, a, T_a_b, np.eye(6) * 100.0, uncertain=uncertain)
