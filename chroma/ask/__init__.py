"""Questions of people who run diffusion models, each answered by "which resolution is settled at which noise level".

::

    python -m chroma.ask experts wan22 --steps 20 --shift 8
    python -m chroma.ask shift sd3 --scale 1.5
    python -m chroma.ask strength flux-dev --keep 32x32

>>> print(switch(find_model("sdxl", steps=30), "32x32").answer)
Switch at step 7 of 30: the first prompt has the steps 0 to 6, the second begins with step 7.
"""

from chroma.ask.answers import Answer
from chroma.ask.levels import Model, NoiseLevel, find_model
from chroma.ask.sizes import grow, keep_of, restart, shift_for, strength_for
from chroma.ask.steps import detail, experts, refiner, switch, training_timesteps, window, window_of_sigmas

__all__ = [
    "Answer",
    "Model",
    "NoiseLevel",
    "detail",
    "experts",
    "find_model",
    "grow",
    "keep_of",
    "refiner",
    "restart",
    "shift_for",
    "strength_for",
    "switch",
    "training_timesteps",
    "window",
    "window_of_sigmas",
]
