"""From folders of labelled scenes to a checkpoint: examples, lessons, the training loop, validation, ablations."""
