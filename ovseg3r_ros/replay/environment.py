"""Where the programs of this package are, and the surroundings that they are started in."""

import os
import random
import socket
from pathlib import Path

from ovseg3r_ros.prefixes import prefixes

_PACKAGE = "ovseg3r_ros"
_DOMAINS = range(1, 102)  # above, the ports of DDS collide with those of outgoing connections


def free_domain() -> int:
    """A DDS domain in which no node of this machine runs; raises OSError where there is none."""
    for domain in random.sample(_DOMAINS, len(_DOMAINS)):
        if _is_free(domain):
            return domain
    raise OSError(f"every DDS domain from {_DOMAINS[0]} to {_DOMAINS[-1]} is in use: give one with --domain")


def user_environment(domain: int | None) -> dict[str, str]:
    """The variables for programs that meet the user's own nodes: as the user set them, the domain unless given."""
    return dict(os.environ) | ({} if domain is None else {"ROS_DOMAIN_ID": str(domain)})


def own_environment(domain: int) -> dict[str, str]:
    """The variables for programs that meet nobody else: this machine only, and shared memory for the images."""
    variables = user_environment(domain) | {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    profile = find_shared("config/fastdds_shm.xml")
    if profile is not None and not variables.get("FASTRTPS_DEFAULT_PROFILES_FILE"):
        variables["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(profile)
    return variables


def find_program(name: str) -> Path:
    """An installed executable of this package; raises FileNotFoundError with where it was looked for."""
    places = [prefix / "lib" / _PACKAGE / name for prefix in prefixes(os.environ)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        looked = ", ".join(map(str, places))
        raise FileNotFoundError(f"the program {name} is not installed (looked for {looked}): install the package")
    return found


def find_shared(name: str) -> Path | None:
    """An installed file of this package's share folder, None where it is not there."""
    places = (prefix / "share" / _PACKAGE / name for prefix in prefixes(os.environ))
    return next((place for place in places if place.is_file()), None)


def _is_free(domain: int) -> bool:
    """Whether the port that the first node of a domain takes for its discovery is free (DDSI-RTPS 9.6.1)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7400 + 250 * domain + 10))
        except OSError:
            return False
    return True
