"""All attacks."""

from __future__ import annotations

from .attack import Attack
from .attacks.exhaustion import BOMBS, CPU, DESCRIPTORS, DISK, MEMORY
from .attacks.files import FILES
from .attacks.language import LANGUAGE
from .attacks.network import NETWORK
from .attacks.persistence import OUTLIVING, PERSISTENCE
from .attacks.processes import PROCESSES, SIGNALS
from .attacks.results import CHANNEL
from .attacks.secrets import SECRETS

FAMILIES = (
    LANGUAGE, FILES, SECRETS, PROCESSES, SIGNALS, NETWORK, MEMORY, CPU, BOMBS, DISK, DESCRIPTORS, CHANNEL,
    PERSISTENCE, OUTLIVING,
)  # fmt: skip

CATALOGUE: tuple[Attack, ...] = tuple(attack for family in FAMILIES for attack in family.attacks)
"""Every attack, in the order in which they are run."""

BY_NAME = {attack.name: attack for attack in CATALOGUE}
assert len(BY_NAME) == len(CATALOGUE), "two attacks have one name"
