"""Any configuration of any scheduler ends in diffusers' own steps, or in one sentence; so does any schedule."""

import inspect
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_schedulers_settings import CLASSES, OTHER_VALUES, log_snrs_by_its_own_numbers

from chroma import from_scheduler
from chroma.schedulers.handover import plan_steps
from chroma.schedules import Discrete, RectifiedFlow

SLOW = {"KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler"}  # half a second per thousand training timesteps
PARAMETERS = {name: dict(inspect.signature(kind.__init__).parameters) for name, kind in CLASSES.items()}
NUMBERS = st.one_of(st.integers(-2, 60), st.floats(-1, 30), st.floats(1e-4, 0.5))
TEXTS = st.sampled_from(
    [
        *("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace", "exp"),
        *("linspace", "leading", "trailing", "epsilon", "sample", "v_prediction", "flow_prediction"),
        *("karras", "exponential", "sigma_min", "zero", "continuous", "log_linear", "unknown"),
        *("midpoint", "heun", "logrho", "bh1", "dpmsolver", "dpmsolver++", "sde-dpmsolver++", "deis"),
    ]
)


def values(key, default):
    """Mostly values of the right kind, some of any kind."""
    other = st.just(OTHER_VALUES[key]) if key in OTHER_VALUES else st.nothing()
    anything = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.lists(st.floats(1e-4, 0.9), max_size=4))
    if isinstance(default, bool):
        return st.one_of(st.booleans(), st.booleans(), st.booleans(), anything)
    if isinstance(default, str):
        return st.one_of(other, TEXTS, TEXTS, anything)
    if key == "num_train_timesteps":
        return st.one_of(st.integers(20, 1200), st.integers(20, 1200), anything)
    if isinstance(default, (int, float)):
        return st.one_of(
            other, NUMBERS, NUMBERS.map(lambda n: abs(n) * (abs(default) if abs(default) < 1e9 else 1)), anything
        )
    return st.one_of(other, st.none(), anything)


@st.composite
def configurations(draw):
    name = draw(st.sampled_from(sorted(CLASSES)))
    own = [key for key, one in PARAMETERS[name].items() if key not in ("self", "kwargs")]
    needed = [key for key in own if PARAMETERS[name][key].default is inspect.Parameter.empty]
    keys = draw(st.lists(st.sampled_from(own), max_size=4, unique=True))
    other = draw(st.sampled_from(sorted(CLASSES)))  # settings left over from another class
    left = [key for key in PARAMETERS[other] if key not in ("self", "kwargs", *own)]
    keys += draw(st.lists(st.sampled_from(left), max_size=2, unique=True)) if left else []
    config = {"_class_name": name, **{key: OTHER_VALUES[key] for key in needed}}
    for key in keys:
        one = PARAMETERS[name].get(key) or PARAMETERS[other][key]
        config[key] = draw(values(key, one.default))
    if name in SLOW:
        config["num_train_timesteps"] = 60
    return config


def set_by_diffusers_too(scheduler, steps, mu, lists):
    accepted = inspect.signature(scheduler.set_timesteps).parameters
    dynamic = (
        scheduler.config.get("use_dynamic_shifting") and "use_dynamic_shifting" in PARAMETERS[type(scheduler).__name__]
    )
    arguments = {"mu": mu} if dynamic and "mu" in accepted else {}
    if lists:
        scheduler.set_timesteps(**{key: np.array(one) for key, one in lists.items()}, **arguments)
    else:
        scheduler.set_timesteps(steps, **arguments)


LISTS = st.one_of(
    st.none(),
    st.none(),
    st.builds(
        lambda key, scale, numbers: {key: sorted({round(scale * number, 4) for number in numbers}, reverse=True)},
        st.sampled_from(["sigmas", "timesteps"]),
        st.sampled_from([1.0, 14.0, 999.0]),
        st.lists(st.floats(0.001, 1), min_size=1, max_size=12),
    ),
)


@pytest.mark.slow
@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(configurations(), st.integers(1, 40), st.floats(-1, 3), LISTS)
def test_any_configuration_steps_as_in_diffusers_or_is_refused(config, steps, mu, lists):
    dynamic = "use_dynamic_shifting" in PARAMETERS[config["_class_name"]] and config.get("use_dynamic_shifting")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            planned = plan_steps(config, None if lists else steps, mu=mu if dynamic else None, **(lists or {}))
        except ValueError as error:
            assert "\n" not in str(error)
            return
        scheduler = CLASSES[config["_class_name"]].from_config(config)
        set_by_diffusers_too(scheduler, steps, mu, lists)
        expected = log_snrs_by_its_own_numbers(config, scheduler)
    distinct = np.append(True, np.diff(expected) > 1e-4)
    np.testing.assert_allclose(planned.log_snrs, expected[distinct], atol=1e-2, rtol=1e-3)
    times = np.asarray(scheduler.timesteps, dtype=float)[: len(expected)][distinct]
    np.testing.assert_allclose(planned.timesteps, times, atol=2e-2, rtol=1e-4)


@pytest.mark.slow
@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(configurations(), st.one_of(st.none(), st.integers(16, 16384)))
def test_any_scheduler_has_the_schedule_of_its_own_numbers_or_is_refused(config, tokens):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            scheduler = CLASSES[config["_class_name"]].from_config(config)
        except Exception:  # diffusers' own refusal
            return
        try:
            schedule = from_scheduler(scheduler, tokens)
        except ValueError as error:
            assert "\n" not in str(error)
            return
    if isinstance(schedule, Discrete):
        alphas = np.asarray(scheduler.alphas_cumprod, dtype=float)
        np.testing.assert_allclose(schedule.alpha(np.arange(len(alphas))), alphas, atol=1e-6)
    elif isinstance(schedule, RectifiedFlow) and not scheduler.config.get("use_dynamic_shifting"):
        key = "flow_shift" if "flow_shift" in PARAMETERS[config["_class_name"]] else "shift"
        assert schedule.shift == pytest.approx(float(scheduler.config[key]))
