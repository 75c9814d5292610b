"""What the player tells whoever started it: one JSON object a line."""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

State = Literal["waiting", "playing", "played", "failed"]


@dataclass(frozen=True, kw_only=True)
class PlayerEvent:
    """How far the player is."""

    state: State
    bag_s: float = 0.0
    """Bag seconds since the first message of the part that is played."""
    published: dict[str, int] = field(default_factory=dict)
    """Messages by the topic they were published on."""
    late_p99_s: float | None = None
    """How late messages went out, by the bag's time and the rate; known at the end."""
    unacknowledged: list[str] = field(default_factory=list)
    """Topics with messages that a subscriber did not acknowledge before the player's patience ended."""
    damage: str | None = None
    """What keeps the bag from being read to its end."""
    problem: str = ""
    """Why it failed."""

    def line(self) -> str:
        """The event as one line of text."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of(cls, line: str) -> "PlayerEvent":
        """The event of a line; raises ValueError where it is none."""
        try:
            return cls(**json.loads(line))
        except TypeError as error:
            raise ValueError(f"{line.strip()[:200]!r} is no event of the player") from error
