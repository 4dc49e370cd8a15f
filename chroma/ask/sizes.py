"""Questions about sizes: the shift of larger images, the strength of image-to-image, upscaling, growing.

>>> from chroma.ask.levels import find_model
>>> print(shift_for(find_model("sd3"), scale=1.5).answer)
For 1.5 times the side, use shift 4.5, which is 1.5 times 3 (mu 1.504).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log, log2, sqrt

from chroma._check import check_finite, invalid_argument
from chroma.ask.answers import Answer, certainty, check_inside, finest_done, label_of
from chroma.ask.levels import SAME, Model
from chroma.schedulers.inference import inference


def shift_for(model: Model, scale: float = 1.0, frames_scale: float = 1.0) -> Answer:
    """Answer which shift generates each resolution at the same step when images get larger (Eq 16).

    Args:
        model: at its own size.
        scale: how many times the side becomes.
        frames_scale: how many times the frames of a video become.

    Returns:
        The answer.

    Raises:
        ValueError: for frames of an image model, and where neither changes.
    """
    k, f = check_finite("scale", scale, above=0), check_finite("frames_scale", frames_scale, above=0)
    if f != 1 and not model.inference.video:
        must = f"left out: {model.inference.title} generates images, which have no frames"
        raise invalid_argument("frames_scale", frames_scale, must)
    if k == f == 1:
        raise ValueError("scale must be given: how many times the side becomes, or the frames")
    factor, own = k * sqrt(f), model.inference.shift
    values = {"factor": factor, "log_snr": -2 * log(factor), "levels": log2(k)}
    what = " and ".join(f"{n:g} times the {name}" for n, name in ((k, "side"), (f, "frames")) if n != 1)
    if own is None:
        answer = (
            f"For {what}, multiply all sigmas by {factor:g} (add {values['log_snr']:.2f} to log-SNR, or "
            f"snr_shift_scale={factor**2:g}). The scheduler has no shift."
        )
    else:
        values |= {"shift": own * factor, "own_shift": own, "mu": log(own * factor)}
        answer = (
            f"For {what}, use shift {own * factor:.4g}, which is {factor:.4g} times {own:.4g} (mu {values['mu']:.3f})."
        )
    side = model.inference.side
    own_size = _own_rule(model, k)
    notes = [
        f"Then {side}x{side} and all coarser resolutions are generated at the same steps as before; the finer ones are "
        "new."
    ]
    if own_size:
        notes.append(own_size)
    if f != 1:
        notes.append(
            f"The frames count {sqrt(f):.3g} times: averaging {f:g} frames of the same content divides the variance of "
            f"the noise by {f:g}. Where things move, less is right: between {k:g} and {factor:.3g} times."
        )
    sure = "This is Eq 16, an identity for content that stays the same while its pixels are divided."
    return Answer(answer, values=values, certainty=sure, notes=tuple(notes))


def _own_rule(model: Model, k: float) -> str:
    """What the model's own pipeline does with that size."""
    found = model.inference
    if not found.config.get("use_dynamic_shifting") or k == 1:
        return ""
    size = round(found.side * found.latent_factor * k)
    pipeline = found.pipeline if found.pipeline is None else _class_of(found.pipeline)
    try:
        larger = inference(found.config, model.steps, size, found.latent_factor, pipeline=pipeline).shift
    except ValueError:
        return ""
    if larger is None or found.shift is None:
        return ""
    times = larger / found.shift
    return f"By itself the pipeline changes its shift from {found.shift:.4g} to {larger:.4g}, {times:.3g} times."


def _class_of(pipeline: str | Mapping) -> str:
    return str(pipeline.get("_class_name")) if isinstance(pipeline, Mapping) else pipeline


def strength_for(model: Model, keep: str | int, fraction: float = 0.5) -> Answer:
    """Answer which strength of image-to-image keeps a resolution of the image, and what is generated again.

    Args:
        model: the model.
        keep: the finest resolution that is to be kept: half of it is, or `fraction`.
        fraction: of its band.

    Returns:
        The answer.

    Raises:
        ValueError: where no step is that noisy, or that clean.
    """
    z = model.half_done(keep, fraction)
    label = label_of(model, keep)
    level = model.level(z)
    check_inside(model, level.step, f"keep {label}")
    return _strength_answer(model, level.step, label)


def keep_of(model: Model, strength: float) -> Answer:
    """Answer which resolutions of the image a strength of image-to-image keeps.

    Args:
        model: the model.
        strength: as the pipelines of diffusers take it: the share of the steps that is run.

    Returns:
        The answer.

    Raises:
        ValueError: for a strength outside (0, 1], or one that leaves no step.
    """
    if not 0 < check_finite("strength", strength) <= 1:
        raise invalid_argument("strength", strength, "more than 0 and at most 1, the share of the steps that is run")
    run = int(model.steps * strength + SAME)
    start = next((step for step in range(model.steps) if model.passes(step) >= model.steps - run), model.steps)
    if start == model.steps:
        raise invalid_argument("strength", strength, f"at least {1 / model.steps:.3g}: it leaves none of the steps")
    return _strength_answer(model, start, None)


def _strength_answer(model: Model, start: int, label: str | None) -> Answer:
    run, left = model.steps - start, model.steps - model.passes(start)
    if left == 0:  # PNDM passes one step twice
        raise invalid_argument("steps", model.steps, "more: no strength of this scheduler runs its last step alone")
    z = float(model.inference.plan.log_snrs[start])
    half = finest_done(model, z)
    asked = f"strength={left}/{model.steps} ({left / model.steps:.3f})"
    if label is not None:
        answer = f"Use {asked} to keep {label}: it runs the last {run} of {model.steps} steps, from step {start} on."
    else:
        kept = f"keeps what is coarser than {half} and at least half of it" if half else "keeps nothing of the image"
        answer = f"S{asked[1:]} {kept}; the rest is generated again, in the last {run} of {model.steps} steps."
    return Answer(
        answer,
        {"start": model.level(z)},
        {"kept": model.done(z, label)},
        {"strength": left / model.steps, "start_step": start, "half_kept": half},
        model.curve,
        certainty(model, z, label),
        (
            "The strength is a share of the steps, so the same number keeps another resolution with another scheduler "
            "or shift; the sigma in the table does not. In ComfyUI, cut the sigmas there (SplitSigmas at this step).",
        ),
    )


def restart(model: Model, scale: float = 2.0, fraction: float = 0.5) -> Answer:
    """Answer from which sigma to restart after an upscale, so that new detail is made and the rest is kept.

    Args:
        model: at the larger size.
        scale: how many times the side has become.
        fraction: of the finest band that the small image has, to keep.

    Returns:
        The answer.

    Raises:
        ValueError: for a scale that leaves the small image less than one cell, or does not enlarge it.
    """
    k = check_finite("scale", scale, above=1)
    old = model.inference.side / k
    if old < 1:
        raise invalid_argument("scale", scale, f"at most {model.inference.side}, the side of what is denoised")
    variance = model.inference.band_variances(model.curve, [old])[0]
    if not 0 < check_finite("fraction", fraction) < 1:
        raise invalid_argument("fraction", fraction, "between 0 and 1, the share of a band that is kept")
    z = _log_snr_of(fraction, variance)
    level = model.level(z)
    label = f"{round(old)}x{round(old)}"
    check_inside(model, level.step, f"restart after an upscale from {label}")
    same = model.level(z + 2 * log(k))
    run = model.steps - level.step
    answer = (
        f"Restart at sigma {level.sigma:.4g}: step {level.step} of {model.steps}, the last {run} steps "
        f"(denoise {run / model.steps:.3f}). Everything coarser than {label} is kept, and half of {label} itself."
    )
    return Answer(
        answer,
        {"restart": level, "the same, in the small image": same},
        {"kept": model.done(z)},
        {"sigma": level.sigma, "sigma_before_upscale": same.sigma, "step": level.step, "denoise": run / model.steps},
        model.curve,
        certainty(model, z),
        (
            f"A lower sigma changes less and leaves the new detail blurred. A latent that is upscaled before it is "
            f"finished, at sigma {same.sigma:.4g}, goes on at sigma {level.sigma:.4g} (Eq 16: log-SNR falls by "
            f"{2 * log(k):.2f}).",
        ),
    )


def _log_snr_of(fraction: float, variance: float) -> float:
    """Where a fraction of a band is generated."""
    return log(fraction / (1 - fraction)) - log(variance)


def grow(model: Model, scales: Sequence[float] = (0.5,), delta: float = 0.05) -> Answer:
    """Answer how long sampling may stay at smaller sizes: until the bands that these lack are generated to `delta`.

    Args:
        model: at the full size.
        scales: the smaller sizes as shares of the full side, each less than 1.
        delta: the fraction of the coarsest missing band that may be generated when the size grows.

    Returns:
        The answer.

    Raises:
        ValueError: for scales that are not between 0 and 1, and sizes that are not whole latents.
    """
    if not 0 < check_finite("delta", delta) < 1:
        raise invalid_argument("delta", delta, "between 0 and 1, the share of a band that may be missing")
    levels, values, parts = {}, {}, []
    for scale in sorted(check_finite("scale", scale) for scale in scales):
        if not 0 < scale < 1:
            raise invalid_argument("scale", scale, "between 0 and 1, a share of the full side")
        side = model.inference.side * scale
        if side < 1 or abs(side - round(side)) > SAME:
            must = f"such that the smaller size has whole cells: {model.inference.side} x {scale:g} = {side:g}"
            raise invalid_argument("scale", scale, must)
        missing = min(2 * side, model.inference.side)
        variance = model.inference.band_variances(model.curve, [missing])[0]
        z = _log_snr_of(delta, variance)
        label = f"{round(side)}x{round(side)}"
        levels[f"leave {label}"] = level = model.level(z)
        small = model.level(z - 2 * log(scale))
        values[label] = {"step": level.step, "sigma": level.sigma, "sigma_of_the_small_image": small.sigma}
        begun = f"step {level.step}" if level.step else "the first step: not at all"
        parts.append(f"{label} until {begun}")
    answer = f"Of {model.steps} steps, sample at {', then at '.join(parts)}."
    return Answer(
        answer,
        levels,
        {name: model.done(level.log_snr) for name, level in levels.items()},
        values,
        model.curve,
        f"delta {delta:g} is a choice: the more steps, the smaller it must be for the same quality. "
        + certainty(model, level.log_snr),
        (
            "The table gives noise levels of the full size. The small image is less noisy at the same step: its sigma "
            "follows from Eq 16, log-SNR higher by 2 log(1/scale).",
        ),
    )
