"""Names as distributions over the vocabulary: who calls a sofa a couch is not as wrong as who calls it a bath.

A teacher with an open vocabulary gives one thing different names from view to view, most of them near each other in the
space of texts. A target that is spread over near names lets them stand beside each other.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def soft_names(texts: Float[Tensor, "texts channels"], softness: float) -> Float[Tensor, "names names"]:
    """What each name should be answered with: itself first, other names the less the further away their texts are.

    Args:
        texts: unit rows.
        softness: how quickly that falls with the cosine; at 0.05 a name at cosine 0.9 gets an eighth of what the right
            one gets, one at 0.7 a four-hundredth. 0 leaves the right one alone.

    Returns:
        Rows that add up to 1; "nothing" is behind the last name, and never shares.
    """
    count = len(texts)
    soft = torch.eye(count + 1, dtype=texts.dtype, device=texts.device)
    if softness > 0:
        soft[:count, :count] = (texts @ texts.T / softness).softmax(dim=1)
    return soft
