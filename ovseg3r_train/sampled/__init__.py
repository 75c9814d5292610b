"""Labelled scenes without rendering: sampled surfaces, a z-buffer of splats and fusion of its depth, on CPU or CUDA."""
