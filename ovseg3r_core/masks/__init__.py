"""2D instance masks: proposers that find the things of one frame behind one small protocol."""
