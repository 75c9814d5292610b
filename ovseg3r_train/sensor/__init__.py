"""A camera carried through a home: where it goes, what it sees, and what a real sensor makes of that."""
