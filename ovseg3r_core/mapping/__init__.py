"""The object map: which partial labels are the same thing, what it is called, and how to ask for it."""
