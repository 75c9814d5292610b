"""What a person looks at: the picture and the viewer recording of a map."""
