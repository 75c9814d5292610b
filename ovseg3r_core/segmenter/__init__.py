"""The 3D segmenter: a sparse U-Net over voxels, pooled to superpoints, and a decoder whose queries are superpoints."""
