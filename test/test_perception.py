"""The whole method on an analytic room with exact masks: frames in, the true objects out."""

import numpy as np
import pytest
import scenes

from ovseg3r_core.checks import Rejected
from ovseg3r_core.perception import Perception, PerceptionConfig
