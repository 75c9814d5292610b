"""Text: encoders, vocabularies, and the names and uses of the things that a detector knows."""
