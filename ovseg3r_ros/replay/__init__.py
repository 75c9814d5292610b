"""A recorded bag through the live node, and the verdict on what came of it."""
