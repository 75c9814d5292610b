"""The default text encoder in a process of its own, for questions that are asked while this process is busy.

Here it would wait for Python's lock beside the threads that map a scene, at a moment when somebody waits for an answer.
"""

from collections.abc import Callable, Sequence

from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core import models
from ovseg3r_core.child import Child
from ovseg3r_core.language.encoder import EmbeddingMemory
from ovseg3r_core.language.minilm import MiniLm

_CHANNELS = 384


class MiniLmAside:
    """`MiniLm` in a child process, which ends with this one; safe to share between threads.

    Raises:
        MissingModel, DamagedModel: the cache lacks the model.
        ChildProcessError: the child died twice over one request.
    """

    name = MiniLm.name

    def __init__(self) -> None:
        models.find(self.name)  # tells here what is missing, and not in the child
        self._child = Child(__name__)
        self._memory = EmbeddingMemory(lambda texts: self._child.ask(list(texts)), channels=_CHANNELS)

    def embed(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        """One unit row a text, 384 channels."""
        return self._memory.embed(texts)

    def close(self) -> None:
        """End the child."""
        self._child.close()


def answers() -> Callable[[Sequence[str]], Float32[ndarray, "texts channels"]]:
    """The child's side."""
    return MiniLm().embed
