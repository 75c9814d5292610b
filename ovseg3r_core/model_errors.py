"""What may be wrong with weights; each text says what to do about it."""


class MissingModel(FileNotFoundError):
    """Weights are not where they should be: in the cache, or inside this package."""


class DamagedModel(ValueError):
    """A cached, fetched or shipped file is not the one that it should be."""


class FetchFailed(RuntimeError):
    """A registry client could not deliver a package."""
