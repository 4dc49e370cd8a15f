"""What a pipeline class of diffusers hands to its scheduler, found by running those lines of its source that say so."""

from __future__ import annotations
import __future__

import ast
import inspect
import math
import re
from functools import cache
from pathlib import Path
from types import CodeType, SimpleNamespace

import diffusers
import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

FOLDER = Path(diffusers.__file__).parent / "pipelines"
HELPERS = {
    "_logit_normal_sigmas",
    "_resolution_aware_mu",
    "calculate_shift",
    "compute_empirical_mu",
    "get_default_z_image_sigmas",
    "get_original_sigmas",
    "linear_quadratic_schedule",
    "retrieve_timesteps",
}
SIZE_IN_LATENTS = "_, _, height, width = latents.shape"  # of Stable Diffusion 3
ANNOTATIONS = __future__.annotations.compiler_flag


@cache
def sources() -> dict[str, tuple[str, str]]:
    """Every pipeline class of diffusers: its own text, and that of its module."""
    found = {}
    for file in sorted(FOLDER.rglob("pipeline_*.py")):
        if "deprecated" not in file.parts and "onnx" not in file.name:
            text = file.read_text()
            for name in re.findall(r"^class (\w+Pipeline)\((?!ConfigMixin|Onnx)", text, re.M):
                found[name] = _block(text, rf"class {name}\("), text
    return found


def _block(text: str, start: str) -> str:
    """The class or function that begins with `start`, which is not indented, as far as the next."""
    found = re.search(rf"^{start}.*?(?=^(?:@|class |def |[A-Z_]+ = )|\Z)", text, re.M | re.S)
    return found[0] if found else ""


@cache
def method(name: str) -> ast.FunctionDef:
    """The ``__call__`` of the class `name`."""
    found = re.search(r"^    def __call__\(.*?(?=^    [@\w]|\Z)", sources()[name][0], re.M | re.S)
    assert found, f"{name} has no __call__"
    return ast.parse("class _:\n" + found[0]).body[0].body[0]  # type: ignore[attr-defined]


class HandedOver(Exception):
    """Raised with the arguments of the first ``set_timesteps``; what a pipeline does afterwards does not matter."""


class Recorder(FlowMatchEulerDiscreteScheduler):
    def set_timesteps(self, num_inference_steps=None, device=None, sigmas=None, mu=None, timesteps=None, **more):
        raise HandedOver(sigmas, timesteps, mu)


def handed_over(name: str, scheduler: Recorder, given: dict, attributes: dict) -> tuple:
    """Run the lines of ``__call__`` that set the scheduler, with `given` sizes and the `attributes` of the pipeline.

    Returns:
        Sigmas, timesteps and mu.
    """
    code, space = _lines(name, frozenset(given))
    try:
        exec(code, {**space, **given, "self": SimpleNamespace(scheduler=scheduler, **attributes)})
    except HandedOver as handed:
        return handed.args
    raise AssertionError(f"{name} sets no scheduler")


@cache
def _lines(name: str, given: frozenset[str]) -> tuple[CodeType, dict]:
    """The lines that set the scheduler, compiled, and what they name."""
    call, space = method(name), _functions(name)
    defaults = [*[None] * (len(call.args.args) - len(call.args.defaults)), *call.args.defaults]
    for argument, default in zip(call.args.args, defaults, strict=True):
        space[argument.arg] = None if default is None else _constant(default)
    needed: set[str] = set()
    while True:
        body = _slice(call.body, needed - given)
        more = {name for statement in body for name in _names(statement, ast.Load)}
        if more <= needed:
            break
        needed |= more
    module = ast.fix_missing_locations(ast.Module(body=body, type_ignores=[]))
    return compile(module, name, "exec", flags=ANNOTATIONS), space


def _constant(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _functions(name: str) -> dict:
    """The functions of the class's module, and what they and the pipelines name."""
    logger = SimpleNamespace(warning=lambda *_: None, info=lambda *_: None)
    space = {"np": np, "torch": torch, "math": math, "inspect": inspect, "logger": logger, "XLA_AVAILABLE": False}
    space |= {key: getattr(diffusers, key) for key in dir(diffusers) if key.endswith("Scheduler")}
    for text in (sources()["FluxPipeline"][1], sources()[name][1]):  # some import those of Flux
        for helper in HELPERS:
            exec(compile(_block(text, rf"def {helper}\("), name, "exec", flags=ANNOTATIONS), space)
    return space


@cache
def _names(node: ast.AST, context: type) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


@cache
def _assigned(statement: ast.stmt) -> set[str]:
    """The names that a statement assigns, or an entry of which it assigns."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", statement)]
    entries = {ast.unparse(target.value) for target in targets if isinstance(target, ast.Subscript)}
    return _names(statement, ast.Store) | entries


def _slice(body: list[ast.stmt], needed: set[str]) -> list[ast.stmt]:
    """The statements that set the scheduler or assign a name that is needed; a loop is run once."""
    kept: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, (ast.With, ast.For)):
            kept += _slice(statement.body, needed)
        elif isinstance(statement, ast.If):
            then, other = _slice(statement.body, needed), _slice(statement.orelse, needed)
            if then or other:
                kept.append(ast.If(statement.test, then or [ast.Pass()], other))
        elif (
            isinstance(statement, (ast.Assign, ast.AugAssign))
            and (_assigned(statement) & needed or ast.unparse(statement) == SIZE_IN_LATENTS)
        ) or _sets_the_scheduler(statement):
            kept.append(statement)
    return kept


@cache
def _sets_the_scheduler(statement: ast.stmt) -> bool:
    for call in ast.walk(statement):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "retrieve_timesteps":
            return ast.unparse(call.args[0]) == "self.scheduler"
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "set_timesteps":
            return ast.unparse(call.func) == "self.scheduler.set_timesteps"
    return False
