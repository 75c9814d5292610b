"""What the node publishes: pure functions from the map to messages, one file a topic."""
