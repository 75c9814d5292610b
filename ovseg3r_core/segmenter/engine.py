"""Inference on a GPU at its own speed: the whole way from points to instances as one CUDA graph.

In plain torch the network is some thousand small launches, and the host cannot keep up with the GPU. Here each size of
input is captured once, with room to spare, and replayed: one launch, and no question to the host until the result is
read. Sizes come in steps (16384, 20480, 24576, 28672, 32768, ...), so a growing map meets a new one seldom.
"""

import logging
from collections import OrderedDict
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float32, Int16, Int32
from torch import Tensor

from ovseg3r_core.segmenter.boxes import Boxes
from ovseg3r_core.segmenter.decoder import ImageObjects, Superpoints
from ovseg3r_core.segmenter.fused import FusedUNet
from ovseg3r_core.segmenter.heads import Prediction
from ovseg3r_core.segmenter.inputs import Batch
from ovseg3r_core.segmenter.means_gpu import superpoint_means, voxel_means
from ovseg3r_core.segmenter.position import SceneBounds
from ovseg3r_core.segmenter.postprocess import FoundOnSuperpoints, PostprocessConfig, find_instances
from ovseg3r_core.segmenter.segmenter import Segmenter
from ovseg3r_core.segmenter.voxels_gpu import PaddedPyramid, build_padded

logger = logging.getLogger(__name__)

_SMALLEST_LEVEL = 1024
_MAX_GRAPHS = 16  # sizes that are remembered; all share the memory of the largest
_WARM_UP = 2  # runs before a capture: kernels are compiled, libraries make their handles


@dataclass(frozen=True, kw_only=True)
class Room:
    """The sizes that one graph is captured for."""

    points: int
    superpoints: int
    objects: int
    texts: int
    scattered: bool = False
    """Whether every level of the pyramid has room for as many voxels as there are points. Surfaces need half of that
    on each coarser level at most; dust does not."""

    @classmethod
    def of(cls, batch: Batch, texts: Float[Tensor, "texts text_channels"]) -> "Room":
        """The smallest steps that a scene fits in."""
        objects = 0 if batch.objects is None else size_step(batch.objects.features.shape[1], smallest=64)
        return cls(
            points=size_step(len(batch.xyz), smallest=_SMALLEST_LEVEL),
            superpoints=size_step(batch.most_superpoints, smallest=256),
            objects=objects,
            texts=len(texts),
        )

    def levels(self, count: int) -> tuple[int, ...]:
        """Voxels that each level of a pyramid has room for."""
        return tuple(
            self.points if self.scattered else max(self.points >> level, _SMALLEST_LEVEL) for level in range(count)
        )


class SegmenterEngine:
    """A frozen copy of a segmenter on a GPU, for one scene at a time; not to be shared between threads.

    Args:
        dtype: of features and matrices; coordinates, sums and scores are float32 anyway.
    """

    def __init__(
        self, segmenter: Segmenter, dtype: torch.dtype = torch.float16, post: PostprocessConfig | None = None
    ) -> None:
        self.config, self.dtype, self.post = segmenter.config, dtype, post or PostprocessConfig()
        self.device = next(segmenter.parameters()).device
        self._unet = FusedUNet(segmenter.backbone, dtype)
        self._decoder = deepcopy(segmenter.decoder).to(dtype).eval()
        self._graphs: OrderedDict[Room, _Captured] = OrderedDict()
        self.pool_of_graphs = torch.cuda.graph_pool_handle() if self.device.type == "cuda" else None

    @torch.inference_mode()
    def __call__(self, batch: Batch, texts: Float32[Tensor, "texts text_channels"]) -> FoundOnSuperpoints:
        """The instances of a batch of one scene, best first; `kept` tells which count.

        Raises:
            ValueError: the batch holds several scenes.
        """
        if batch.scenes != 1:
            raise ValueError(f"the engine takes one scene at a time, not {batch.scenes}")
        room = Room.of(batch, texts)
        found, voxels = self._replay(room, batch, texts)
        if any(there > fits for there, fits in zip(voxels, room.levels(self.config.levels), strict=True)):
            logger.info("%s voxels on the levels of the pyramid: scattered points, given more room", voxels)
            found, _ = self._replay(replace(room, scattered=True), batch, texts)
        return found

    def compute(self, given: "Given", room: Room) -> tuple[FoundOnSuperpoints, Int32[Tensor, " levels"]]:
        """What is captured; the second part is how many voxels each level has."""
        pyramid = self.pyramid(given, room)
        pooled, points = self.pool(given, pyramid, self.backbone(given, pyramid))
        return self.choose(self.decode(given, pooled), pooled, points), pyramid.counts

    def pyramid(self, given: "Given", room: Room) -> PaddedPyramid:
        """Index maps."""
        levels = room.levels(self.config.levels)
        return build_padded(given.xyz, given.count, voxel_size_m=self.config.voxel_size_m, room=levels)

    def backbone(self, given: "Given", pyramid: PaddedPyramid) -> Float[Tensor, "voxels channels"]:
        """Features of voxels."""
        return self._unet(voxel_means(given.features, pyramid.order, pyramid.start, self.dtype), pyramid)

    def pool(
        self, given: "Given", pyramid: PaddedPyramid, voxels: Float[Tensor, "voxels channels"]
    ) -> tuple[Superpoints, Float[Tensor, " superpoints"]]:
        """Superpoints, and how many points each has."""
        features, centre, points = superpoint_means(
            voxels, pyramid.voxel_of_point, given.xyz, given.superpoint, given.superpoints
        )
        real = (points > 0)[None]
        return Superpoints(features=features[None], centre=centre[None], real=real, bounds=given.bounds), points

    def decode(self, given: "Given", pooled: Superpoints) -> Prediction:
        """What every superpoint says as a query."""
        (said,) = self._decoder(pooled, given.texts, None, given.objects)
        return said

    def choose(
        self, said: Prediction, pooled: Superpoints, points: Float[Tensor, " superpoints"]
    ) -> FoundOnSuperpoints:
        """The instances."""
        return find_instances(said, 0, pooled.centre[0], points, self.post)

    def _replay(
        self, room: Room, batch: Batch, texts: Float[Tensor, "texts text_channels"]
    ) -> tuple[FoundOnSuperpoints, list[int]]:
        if room not in self._graphs:
            try:
                self._graphs[room] = _Captured(self, room, batch, texts)
            except RuntimeError:  # its memory stays marked as being captured into: the next one takes other memory
                self.pool_of_graphs = torch.cuda.graph_pool_handle()
                raise
            while len(self._graphs) > _MAX_GRAPHS:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(room)
        return self._graphs[room].run(batch, texts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """A scene in arrays with room to spare: what a graph reads."""

    xyz: Float32[Tensor, "points 3"]
    features: Float32[Tensor, "points channels"]
    superpoint: Int16[Tensor, " points"]
    """The room for superpoints, one row too many, where a point is padding."""
    superpoints: int
    """Room for them."""
    count: Int32[Tensor, "1"]
    """Points that there are."""
    bounds: SceneBounds
    texts: Float[Tensor, "texts text_channels"]
    objects: ImageObjects | None

    @classmethod
    def make(cls, room: Room, batch: Batch, texts: Float[Tensor, "texts text_channels"], dtype: torch.dtype) -> "Given":
        """Room for a scene like this one, and the scene in it."""
        device = texts.device
        objects = batch.objects and ImageObjects(
            features=torch.zeros(1, room.objects, batch.objects.features.shape[2], device=device, dtype=dtype),
            centre=torch.zeros(1, room.objects, 3, device=device),
            real=torch.zeros(1, room.objects, device=device, dtype=torch.bool),
        )
        given = cls(
            xyz=torch.zeros(room.points, 3, device=device),
            features=torch.zeros(room.points, batch.features.shape[1], device=device),
            superpoint=torch.full((room.points,), room.superpoints, device=device, dtype=torch.int16),
            superpoints=room.superpoints,
            count=torch.zeros(1, dtype=torch.int32, device=device),
            bounds=SceneBounds(torch.zeros(1, 3, device=device), torch.zeros(1, 3, device=device)),
            texts=torch.zeros_like(texts, dtype=dtype),
            objects=objects,
        )
        given.fill(batch, texts)
        return given

    def fill(self, batch: Batch, texts: Float[Tensor, "texts text_channels"]) -> None:
        """Put another scene in; what was there before is gone."""
        points = len(batch.xyz)
        self.xyz[:points], self.features[:points] = batch.xyz, batch.features
        self.superpoint[:points], self.superpoint[points:] = batch.superpoint, self.superpoints
        self.count.fill_(points)
        self.bounds.low.copy_(batch.bounds.low)
        self.bounds.high.copy_(batch.bounds.high)
        self.texts.copy_(texts)
        if self.objects is not None and batch.objects is not None:
            objects = batch.objects.features.shape[1]
            self.objects.features[:, :objects], self.objects.centre[:, :objects] = (
                batch.objects.features,
                batch.objects.centre,
            )
            self.objects.real.zero_()
            self.objects.real[:, :objects] = batch.objects.real


class _Captured:
    """One graph with the arrays that it reads and writes."""

    def __init__(
        self, engine: SegmenterEngine, room: Room, batch: Batch, texts: Float[Tensor, "texts text_channels"]
    ) -> None:
        self._given = Given.make(room, batch, texts, engine.dtype)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                engine.compute(self._given, room)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads use the GPU meanwhile: in a live map SAM looks at a keyframe. In the default mode whatever they
        # ask of it fails, and the capture too.
        with torch.cuda.graph(self._graph, pool=engine.pool_of_graphs, capture_error_mode="thread_local"):
            self._found, self._voxels = engine.compute(self._given, room)

    def run(self, batch: Batch, texts: Float[Tensor, "texts text_channels"]) -> tuple[FoundOnSuperpoints, list[int]]:
        """The instances, in arrays of their own, and the voxels of each level; waits for the GPU."""
        self._given.fill(batch, texts)
        self._graph.replay()
        found = FoundOnSuperpoints(
            masks=self._found.masks[:, : batch.most_superpoints].clone(),
            text=self._found.text.clone(),
            score=self._found.score.clone(),
            boxes=Boxes(self._found.boxes.centre.clone(), self._found.boxes.size.clone()),
            kept=self._found.kept.clone(),
        )
        return found, self._voxels.tolist()


def size_step(count: int, smallest: int) -> int:
    """The next of 8, 10, 12, 14, 16, 20, 24, ... that is at least `count`, and at least `smallest`: a power of 2."""
    count = max(count, smallest)
    quarter = max(1 << (count - 1).bit_length() >> 3, 1)
    return -(-count // quarter) * quarter
