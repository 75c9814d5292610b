"""Two reconstructions of one place brought together: by a rigid transform or a similarity, robust to wrong pairs.

The fit is Umeyama's (1991), in closed form. Against outliers it is tried on triples, and fitted again to what agrees
with the best of them (RANSAC, Fischler and Bolles 1981). Which way is up is `upright`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy import ndarray

from ovseg3r_core.geometry import invert, nearest_rotation, transform, turn_up
from ovseg3r_core.mapping.structure import up_by_surfaces

_FLAT = 1e-4  # a line or a point, when the second longest axis of the points is this short against the longest
_JUDGES = 1000  # pairs that a guess is judged by, where there are more
_ROUNDS = 50  # of fitting again to what agrees, at most: it creeps where the first guess was poor


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Takes coordinates in frame a to frame b: stretched by `scale`, then moved by a rigid transform."""

    scale: float
    T_b_a: Float64[ndarray, "4 4"]
    """The rigid part."""

    def points(self, xyz_a: Float[ndarray, "*shape 3"]) -> Float[ndarray, "*shape 3"]:
        """Coordinates in frame a, taken to frame b; keeps the dtype of the points."""
        return transform(self.T_b_a, xyz_a * xyz_a.dtype.type(self.scale))

    def pose(self, T_a_camera: Float64[ndarray, "4 4"]) -> Float64[ndarray, "4 4"]:
        """T_b_camera of a camera whose pose in a is known; what it measures must be stretched by `scale` as well."""
        stretched = T_a_camera.copy()
        stretched[:3, 3] *= self.scale
        return self.T_b_a @ stretched

    def inverse(self) -> "Similarity":
        """From frame b to frame a."""
        T_a_b = invert(self.T_b_a)
        T_a_b[:3, 3] /= self.scale
        return Similarity(scale=1 / self.scale, T_b_a=T_a_b)

    def after(self, first: "Similarity") -> "Similarity":
        """From where `first` begins to frame b, when `first` leads to frame a."""
        return Similarity(scale=self.scale * first.scale, T_b_a=self.pose(first.T_b_a))


IDENTITY = Similarity(scale=1.0, T_b_a=np.eye(4))


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A similarity, and which pairs it holds for."""

    similarity: Similarity
    agree: Bool[ndarray, " pairs"]
    rms: float
    """Distance in frame b that is left between the pairs that agree, root mean square."""


def fit(
    a: Float64[ndarray, "pairs 3"], b: Float64[ndarray, "pairs 3"], *, scaled: bool, ambiguous: bool = False
) -> Similarity:
    """The similarity that brings points a closest to points b, in the least squares.

    Args:
        scaled: whether the scale is sought; else it is 1.
        ambiguous: whether points in a line, or at one place, will do: they leave a turn open, and one of the many
            equally close fits is returned.

    Raises:
        ValueError: fewer than three pairs; points that are not finite, or that leave the transform open.
    """
    _check_pairs(a, b)
    if not ambiguous:
        _check_spread(a, "first")
        _check_spread(b, "second")
    scale, R, t = _umeyama(a, b, scaled=scaled)
    if not scale > 0:
        raise ValueError(f"no scale brings {len(a)} points together: those of one side are at one place, or mirrored")
    T_b_a = np.eye(4)
    T_b_a[:3, :3], T_b_a[:3, 3] = R, t
    return Similarity(scale=float(scale), T_b_a=T_b_a)


def fit_most(
    a: Float64[ndarray, "pairs 3"],
    b: Float64[ndarray, "pairs 3"],
    *,
    scaled: bool,
    within: float,
    fewest: int = 3,
    tries: int = 500,
) -> Agreement:
    """The same fit to the largest set of pairs that agree on one: any share of the others may be wrong.

    The same pairs give the same answer. 500 tries of three pairs overcome 70 % of outliers.

    Args:
        within: how far apart an agreeing pair may lie in frame b after the transform, in b's unit.
        fewest: pairs that must agree.

    Raises:
        ValueError: as `fit` does, of all pairs; or fewer agree than must.
    """
    _check_pairs(a, b)
    _check_spread(a, "first")
    _check_spread(b, "second")
    agree = _best_guess(a, b, scaled=scaled, within=within, tries=tries)
    similarity = None
    for _ in range(_ROUNDS):
        if np.count_nonzero(agree) < max(fewest, 3):
            break
        similarity = fit(a[agree], b[agree], scaled=scaled)
        before, agree = agree, np.linalg.norm(similarity.points(a) - b, axis=1) <= within
        if np.array_equal(agree, before):
            break
    count = int(np.count_nonzero(agree))
    if similarity is None or count < max(fewest, 3):
        raise ValueError(
            f"only {count} of {len(a)} pairs agree on a transform within {within:g}; {max(fewest, 3)} must: give pairs "
            "of the same points, or allow them to lie further apart"
        )
    off = similarity.points(a[agree]) - b[agree]
    return Agreement(similarity=similarity, agree=agree, rms=float(np.sqrt(np.mean(np.sum(off**2, axis=1)))))


def upright(normals: Float[ndarray, "points 3"], camera_up: Float64[ndarray, "views 3"]) -> Float64[ndarray, "4 4"]:
    """T_level_map, the turn that makes up z: where the tops of the images point, corrected by what faces that way.

    Args:
        normals: of the scene's points, towards the cameras that saw them: floors and table tops tell the vertical.
        camera_up: the direction of each image's top (-y of the camera), both in the map as it is.
    """
    return turn_up(up_by_surfaces(normals.astype(np.float32), camera_up))


def _umeyama(
    a: Float64[ndarray, "*tries pairs 3"], b: Float64[ndarray, "*tries pairs 3"], *, scaled: bool
) -> tuple[Float64[ndarray, "*tries"], Float64[ndarray, "*tries 3 3"], Float64[ndarray, "*tries 3"]]:
    """Scale, rotation and translation of the best fit, of one set of pairs or of many at once."""
    centre_a, centre_b = a.mean(axis=-2), b.mean(axis=-2)
    from_a, from_b = a - centre_a[..., None, :], b - centre_b[..., None, :]
    R = nearest_rotation(from_b.swapaxes(-1, -2) @ from_a)
    size = np.asarray(np.sum(from_a**2, axis=(-1, -2)))
    scale = np.ones_like(size)
    if scaled:
        along = np.sum(from_b * (from_a @ R.swapaxes(-1, -2)), axis=(-1, -2))
        scale = np.asarray(along / np.where(size > 0, size, np.inf))
    return scale, R, centre_b - scale[..., None] * (R @ centre_a[..., None])[..., 0]


def _best_guess(
    a: Float64[ndarray, "pairs 3"], b: Float64[ndarray, "pairs 3"], *, scaled: bool, within: float, tries: int
) -> Bool[ndarray, " pairs"]:
    """The pairs that agree with the best of many fits to three pairs each."""
    rng = np.random.default_rng(0)
    triples = np.stack([rng.choice(len(a), 3, replace=False) for _ in range(tries)])
    triples = triples[_spread(a[triples]) & _spread(b[triples])]
    if not len(triples):
        return np.zeros(len(a), bool)
    scale, R, t = _umeyama(a[triples], b[triples], scaled=scaled)
    judges = rng.choice(len(a), min(len(a), _JUDGES), replace=False)
    moved = a[judges] @ (scale[:, None, None] * R.swapaxes(1, 2)) + t[:, None]
    best = int(np.count_nonzero(np.linalg.norm(moved - b[judges], axis=2) <= within, axis=1).argmax())
    return np.linalg.norm(scale[best] * a @ R[best].T + t[best] - b, axis=1) <= within


def _spread(xyz: Float64[ndarray, "tries 3 3"]) -> Bool[ndarray, " tries"]:
    """Of triples of points, which are not in a line."""
    axes = np.linalg.svd(xyz - xyz.mean(axis=1, keepdims=True), compute_uv=False)
    return axes[:, 1] > _FLAT * axes[:, 0]


def _check_pairs(a: Float64[ndarray, "pairs 3"], b: Float64[ndarray, "pairs 3"]) -> None:
    if len(a) < 3:
        raise ValueError(f"{len(a)} pairs of points do not tell a transform: give three or more")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("points that are not finite cannot be aligned")


def _check_spread(xyz: Float64[ndarray, "points 3"], which: str) -> None:
    axes = np.linalg.svd(xyz - xyz.mean(axis=0), compute_uv=False)
    one_place = axes[0] <= 1e-9 * float(np.abs(xyz).max())
    if one_place or axes[1] <= _FLAT * axes[0]:
        how = "at one place" if one_place else "in a line"
        raise ValueError(
            f"the {len(xyz)} points of the {which} side lie {how} (axes {axes[0]:.3g}, {axes[1]:.3g}): they leave the "
            "turn open; give points that span a plane"
        )
