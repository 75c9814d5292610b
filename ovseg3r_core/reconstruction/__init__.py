"""From posed depth to a scene cloud and to the record of which view sees which point at which pixel."""
