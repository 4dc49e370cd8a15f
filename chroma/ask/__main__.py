"""The command line ``python -m chroma.ask QUESTION MODEL``."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

from chroma import ask
from chroma._terminal import CommandLine, number, one_sentence, print_text, whole_number
from chroma.ask import Answer, Model
from chroma.schedulers.curves import CURVES, DEFAULT_CURVE
from chroma.schedulers.published import PUBLISHED

_EPILOG = """examples:
  python -m chroma.ask experts wan22 --steps 20 --shift 8
  python -m chroma.ask shift sd3 --scale 1.5
  python -m chroma.ask strength flux-dev --keep 32x32
  python -m chroma.ask window sdxl --sigmas 5.42 0.28
"""


def _strength(model: Model, args: Namespace) -> Answer:
    if (args.keep is None) == (args.strength is None):
        raise ValueError("give either --keep RESOLUTION or --strength NUMBER: each answers the other")
    return ask.strength_for(model, args.keep) if args.strength is None else ask.keep_of(model, args.strength)


def _window(model: Model, args: Namespace) -> Answer:
    if args.sigmas is None:
        return ask.window(model, args.start, args.stop)
    if args.start is not None or args.stop is not None:
        raise ValueError("--sigmas must be alone: it replaces --from and --until")
    return ask.window_of_sigmas(model, *args.sigmas)


def _resolution(parser: ArgumentParser, name: str, words: str, required: bool = True, **options: str) -> None:
    parser.add_argument(name, required=required, metavar="16x16", help=words, **options)


def _experts(parser: ArgumentParser) -> None:
    parser.add_argument("--ratio", type=number, help="diffusers' boundary_ratio (the model's own)")


def _shift(parser: ArgumentParser) -> None:
    parser.add_argument("--scale", type=number, default=1.0, help="how many times the side becomes (1)")
    parser.add_argument("--frames-scale", type=number, default=1.0, help="how many times the frames become (1)")


def _strengths(parser: ArgumentParser) -> None:
    _resolution(parser, "--keep", "the resolution of which half is to be kept", required=False)
    parser.add_argument("--strength", type=number, help="of image-to-image, to find what it keeps")


def _restart(parser: ArgumentParser) -> None:
    parser.add_argument("--scale", type=number, default=2.0, help="how many times the side has become (2)")


def _switch(parser: ArgumentParser) -> None:
    _resolution(parser, "--at", "where half of it is generated, the second prompt takes over")


def _windows(parser: ArgumentParser) -> None:
    _resolution(parser, "--from", "opens where half of it is generated (the start)", required=False, dest="start")
    _resolution(parser, "--until", "closes where half of it is generated (the end)", required=False, dest="stop")
    parser.add_argument("--sigmas", type=number, nargs=2, metavar="S", help="an interval, high and low, instead")


def _detail(parser: ArgumentParser) -> None:
    _resolution(parser, "--keep", "the finest resolution that must not move")
    parser.add_argument("--amount", type=number, default=0.1, help="share by which sigmas are lowered (0.1)")


def _train(parser: ArgumentParser) -> None:
    _resolution(parser, "--from", "the coarsest resolution to train", dest="start")
    _resolution(parser, "--until", "the finest one", dest="stop")


def _refiner(parser: ArgumentParser) -> None:
    parser.add_argument("--denoising-end", type=number, default=0.8, help="as in SDXL's pipeline (0.8)")


def _grow(parser: ArgumentParser) -> None:
    parser.add_argument("--scales", type=number, nargs="+", default=[0.5], help="smaller sides, as shares (0.5)")
    parser.add_argument("--delta", type=number, default=0.05, help="of the missing band, when the size grows (0.05)")


_QUESTIONS: dict[str, tuple[str, Callable[[ArgumentParser], None], Callable[[Model, Namespace], Answer]]] = {
    "experts": ("at which step do two experts change?", _experts, lambda m, a: ask.experts(m, a.ratio)),
    "shift": (
        "which shift for larger images or videos?",
        _shift,
        lambda m, a: ask.shift_for(m, a.scale, a.frames_scale),
    ),
    "strength": ("which strength keeps which resolution in image-to-image?", _strengths, _strength),
    "restart": ("from which sigma to restart after an upscale?", _restart, lambda m, a: ask.restart(m, a.scale)),
    "switch": ("when to switch a prompt?", _switch, lambda m, a: ask.switch(m, a.at)),
    "window": ("which steps for a LoRA, ControlNet or guidance?", _windows, _window),
    "detail": (
        "which steps add detail and keep the composition?",
        _detail,
        lambda m, a: ask.detail(m, a.keep, a.amount),
    ),
    "train": (
        "which timesteps train layout, style, detail?",
        _train,
        lambda m, a: ask.training_timesteps(m, a.start, a.stop),
    ),
    "refiner": ("what is left for a refiner?", _refiner, lambda m, a: ask.refiner(m, a.denoising_end)),
    "grow": ("how long may sampling stay small?", _grow, lambda m, a: ask.grow(m, a.scales, a.delta)),
}


def _parser() -> CommandLine:
    from argparse import RawDescriptionHelpFormatter

    words = "Answer a question about the steps of a diffusion model: which resolution is settled when."
    parser = CommandLine(
        prog="python -m chroma.ask", description=words, epilog=_EPILOG, formatter_class=RawDescriptionHelpFormatter
    )
    questions = parser.add_subparsers(dest="question", required=True, metavar="QUESTION")
    for name, (words, own, _) in _QUESTIONS.items():
        sub = questions.add_parser(name, help=words, description=words[0].upper() + words[1:])
        listed = ", ".join(PUBLISHED)
        sub.add_argument(
            "model", metavar="MODEL", help=f"one of {listed}, a folder, a scheduler_config.json, a hub's name"
        )
        own(sub)
        sub.set_defaults(parser=sub)
        add = sub.add_argument
        add("--steps", type=whole_number, default=30, help="of the inference (30)")
        add("--size", type=whole_number, help="side of the images in pixels, or their height, unless known")
        add("--shift", type=number, help="of a flow, in place of the model's own")
        add("--pipeline", metavar="CLASS", help="class of diffusers that runs the model, unless known")
        add("--latent-factor", type=whole_number, help="pixels that a latent spans, unless known")
        add("--curve", choices=CURVES, default=DEFAULT_CURVE, help=f"when a resolution is settled ({DEFAULT_CURVE})")
        add("--json", action="store_true", help="print the answer as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line of ``python -m chroma.ask``.

    Args:
        arguments: of the command line, ``sys.argv`` by default.
    """
    args = _parser().parse_args(arguments)
    with one_sentence(args.parser):
        model = ask.find_model(
            args.model,
            args.steps,
            args.size,
            args.shift,
            args.curve,
            pipeline=args.pipeline,
            latent_factor=args.latent_factor,
        )
        answer = _QUESTIONS[args.question][2](model, args)
    for note in model.inference.notes:
        print(f"Note: {note}", file=sys.stderr)
    print_text(json.dumps(answer.as_json(), indent=1) if args.json else answer.as_text())


if __name__ == "__main__":
    main()
