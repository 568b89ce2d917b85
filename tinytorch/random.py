"""`torch.random` under this name: the default generator's seed and state."""

from tinytorch.frontend.functions.random import manual_seed
from tinytorch.frontend.legacy import get_rng_state, initial_seed, seed, set_rng_state

__all__ = ["get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]
