"""A tiny OpenCLIP model with random weights: it has the shapes of a real one, and sees and understands nothing."""

import json
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file


def write_tiny_clip(folder: Path, seed: int = 0) -> Path:
    """Register the architecture "tiny" with open_clip, and write weights for it to `tiny.safetensors`."""
    tower = {"width": 16, "layers": 1}
    config = {
        "embed_dim": 12,
        "vision_cfg": {**tower, "image_size": 32, "patch_size": 8, "head_width": 8},
        "text_cfg": {**tower, "context_length": 16, "vocab_size": 49408, "heads": 2},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "tiny.json")
    torch.manual_seed(seed)
    save_file(open_clip.create_model("tiny").state_dict(), folder / "tiny.safetensors")
    return folder / "tiny.safetensors"
