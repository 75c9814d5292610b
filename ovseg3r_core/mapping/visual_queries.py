"""Texts held against what the objects look like, for maps whose masks were embedded by an image-text encoder.

A cosine of a text and an image says little by itself: some objects are near to every text. LERF (Kerr et al., ICCV
2023) asks instead whether an object is nearer to the text than to phrases that fit anything. Its relevancy is the
least, over those phrases, of `softmax(logit_scale * [cos(object, text), cos(object, phrase)])[0]`: 0.5 where the text
says no more than "object" does, 1 where it says far more. The score is `2 * relevancy - 1`, no less than 0: a relevancy
of 0.75, odds of 3 to 1, is then the 0.5 from which names count as found, and 0.65 the 0.3 below which they count as
nothing.

LERF scales by 10. We take 100, the scale that CLIP models are trained to. None of these numbers was calibrated on a
real checkpoint, because none ships with this package: verdicts that rest on them are plausible, not measured.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from scipy.special import expit

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.encoder import TextEncoder
from ovseg3r_core.language.vocabulary import UNNAMED, Vocabulary
from ovseg3r_core.mapping.snapshot import MapSnapshot, ObjectEmbeddings

CANONICAL = ("object", "things", "stuff", "texture")
"""LERF's phrases that fit anything."""
LOGIT_SCALE = 100.0


def check_encoder(embeddings: ObjectEmbeddings, encoder: TextEncoder) -> None:
    """Raise `Rejected("other_encoder")` unless texts of the encoder can be compared with the embeddings."""
    made_by = embeddings.encoder
    if encoder.name != made_by.name:
        raise Rejected(
            "other_encoder",
            f"the map's objects were embedded by {made_by.name} (then {made_by.source}), the text encoder is "
            f"{encoder.name}: give the same architecture and weights, or make the map again",
        )


def visual_lead(
    texts: Sequence[str], embeddings: ObjectEmbeddings, encoder: TextEncoder
) -> Float32[ndarray, "texts objects"]:
    """How much nearer each object is to a text than to the nearest phrase that fits anything: a difference of cosines.

    Raises:
        Rejected: with reason `other_encoder`.
    """
    check_encoder(embeddings, encoder)
    anything = encoder.embed(CANONICAL) @ embeddings.vectors.T
    return encoder.embed(texts) @ embeddings.vectors.T - anything.max(axis=0)


def visual_score(lead: Float32[ndarray, "texts objects"]) -> Float32[ndarray, "texts objects"]:
    """The score, 0..1; the least softmax of two is the one with the nearest phrase, and a logistic of the lead."""
    relevancy = expit(LOGIT_SCALE * lead)
    return np.maximum(2 * relevancy - 1, 0).astype(np.float32)


def name_by_looks(
    snapshot: MapSnapshot, vocabulary: Vocabulary, encoder: TextEncoder, min_score: float = 0.5
) -> MapSnapshot:
    """The map where objects without a name have that of the vocabulary entry they look most like, if they do enough.

    Their confidence stays that of a thing without a name, which ranks them behind what a detector named.

    Raises:
        Rejected: with reason `other_encoder`.
    """
    names = [name for name in vocabulary.names if name != UNNAMED]
    if snapshot.embeddings is None or not names:
        return snapshot
    score = visual_score(visual_lead(names, snapshot.embeddings, encoder))
    looks = {
        int(id_): (names[best], float(at))
        for id_, best, at in zip(snapshot.embeddings.ids, score.argmax(axis=0), score.max(axis=0), strict=True)
        if at >= min_score
    }
    objects = tuple(
        replace(record, label=looks[record.id][0], name_score=looks[record.id][1])
        if record.label == UNNAMED and record.id in looks
        else record
        for record in snapshot.objects
    )
    return replace(snapshot, objects=objects)
