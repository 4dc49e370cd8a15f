"""Export a bundled text-to-image model for the page that samples live: ``python book/_tools/export_onnx.py``.

Writes ``book/_assets/network/photos-32.onnx``, which onnxruntime-web reads, and ``chroma/explorer/network.json``: its
size and checksum, the token ids of its prompts, the log-SNRs of its training times, and its error on held-out images
beside that of the weights in full precision. Needs onnx, onnxscript and onnxruntime, which the package and the book do
not.

The graph holds the text encoder and the UNet, so that a prompt is a row of token ids. Large weights are stored as
bytes, with one scale per output channel, and become float32 when the graph is loaded.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chroma import data, models
from chroma.process import add_noise, eps_from_velocity, predict_x0
from chroma.schedulers.config import from_scheduler

NAME = "photos-32"
ROOT = Path(__file__).parents[2]
NETWORK = ROOT / f"book/_assets/network/{NAME}.onnx"  # becomes a file of the site
RECORD = ROOT / "chroma/explorer/network.json"
OPSET = 18
SMALLEST = 1024  # weights; smaller tensors stay in float32
LOG_SNRS = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0)  # of the held-out error
CROPS = 2  # per held-out photograph and style
TOLERANCE = 0.01  # of the held-out error


class Conditioned(torch.nn.Module):
    """The text encoder and the UNet of an IF pipeline as one module, without the learned variance."""

    def __init__(self, pipe: Any):
        super().__init__()
        self.text_encoder, self.unet = pipe.text_encoder, pipe.unet

    def forward(self, x: torch.Tensor, time: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Predict the velocity.

        Args:
            x: noised images, (B, 3, H, W).
            time: of the training, (B,).
            ids: tokens, (B, 77), padded with 0.

        Returns:
            (B, 3, H, W).
        """
        words = self.text_encoder(input_ids=ids, attention_mask=(ids != 0).long())[0]
        return self.unet(x, time, encoder_hidden_states=words).sample[:, :3]


def token_ids(pipe: Any, prompts: list[str]) -> np.ndarray:
    """Return the token ids of prompts as the pipeline makes them, (prompts, 77) int64, padded with 0."""
    texts = pipe._text_preprocessing(prompts)
    encoded = pipe.tokenizer(texts, padding="max_length", max_length=77, truncation=True, add_special_tokens=True)
    return np.array(encoded["input_ids"], np.int64)


def export(module: torch.nn.Module, size: int, file: Path) -> None:
    """Write the module as a float32 ONNX graph for a batch of two: with and without the prompt."""
    example = (torch.zeros(2, 3, size, size), torch.zeros(2), torch.ones(2, 77, dtype=torch.int64))
    torch.onnx.export(
        module,
        example,
        str(file),
        input_names=["x", "time", "ids"],
        output_names=["velocity"],
        dynamo=True,
        opset_version=OPSET,
        external_data=False,
    )


def as_bytes(weight: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Round a weight to whole multiples of a scale per output channel.

    Args:
        weight: any shape of at least two dimensions.
        axis: of the output channels.

    Returns:
        The multiples, int8, and the scales, float32, which broadcast against them.
    """
    axes = tuple(i for i in range(weight.ndim) if i != axis)
    scale = (np.maximum(np.abs(weight).max(axes, keepdims=True), 1e-12) / 127).astype(np.float32)
    return np.rint(weight / scale).astype(np.int8), scale


def store_as_bytes(graph: Any) -> None:
    """Replace each large weight of an ONNX graph by int8 values, one scale per row, and the product of both."""
    from onnx import TensorProto, helper, numpy_helper

    transposed = {node.input[1] for node in graph.node if node.op_type == "MatMul"}
    nodes = []
    for tensor in list(graph.initializer):
        weight = numpy_helper.to_array(tensor)
        if weight.dtype != np.float32 or weight.size < SMALLEST or weight.ndim < 2:
            continue
        # MatMul's matrices are (in, out); all others are (out, in, ...), as in PyTorch
        stored, scale = as_bytes(weight, axis=weight.ndim - 1 if tensor.name in transposed else 0)
        name = tensor.name
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(stored, f"{name}_bytes"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        nodes.append(helper.make_node("Cast", [f"{name}_bytes"], [f"{name}_cast"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name]))
    others = list(graph.node)
    for node in others:  # the exporter writes where each node comes from: a seventh of the file
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.node[:]
    graph.node.extend(nodes + others)
    del graph.value_info[:]


def held_out_error(predict: Any, pipe: Any, size: int) -> np.ndarray:
    """Measure E|x0_hat - x0|^2 per pixel on held-out images at `LOG_SNRS`, the same noise for every network.

    Args:
        predict: a function of x (2, 3, H, W), time (2,) and ids (2, 77) that returns the velocity, all NumPy arrays.
        pipe: the pipeline that it was exported from.
        size: the side of the images.

    Returns:
        (log-SNRs,).
    """
    scenes = data.scenes(size, CROPS, split="held-out")
    schedule, ids = from_scheduler(pipe.scheduler), token_ids(pipe, scenes.prompts)
    images = torch.from_numpy(scenes.images.astype(np.float32))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    errors = np.zeros(len(LOG_SNRS))
    for row, z in enumerate(LOG_SNRS):
        time = np.full(2, schedule.time(z), np.float32)
        for start in range(0, len(images) - 1, 2):
            pair = slice(start, start + 2)
            x = add_noise(images[pair], noise[pair], z)
            velocity = torch.from_numpy(predict(x.numpy(), time, ids[pair]))
            x0 = predict_x0(x, eps_from_velocity(x, velocity, z), z)
            errors[row] += float((x0 - images[pair]).square().sum())
    return errors / images.numel()


def of_session(file: Path) -> Any:
    """Return the function that evaluates an ONNX file on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda x, time, ids: session.run(None, {"x": x, "time": time, "ids": ids})[0]


def main() -> None:
    """Write the network and its record, and refuse a file whose held-out error is off by more than `TOLERANCE`."""
    import onnx

    pipe = models.load(NAME)
    size, schedule = models.Pipeline(pipe).image_size, from_scheduler(pipe.scheduler)
    NETWORK.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        full = Path(scratch) / "full.onnx"
        export(Conditioned(pipe).eval(), size, full)
        model = onnx.load(full)
        store_as_bytes(model.graph)
        onnx.save(model, NETWORK)
        errors, references = (held_out_error(of_session(file), pipe, size) for file in (NETWORK, full))
    excess = errors / references - 1
    if np.abs(excess).max() > TOLERANCE:
        raise SystemExit(f"the held-out error differs by {np.abs(excess).max():.2%}, more than {TOLERANCE:.0%}")
    subjects = list(dict.fromkeys(data.subjects().values()))
    prompts = [data.prompt(style, subject) for style in (None, *data.SCENE_STYLES) for subject in (None, *subjects)]
    record = {
        "file": NETWORK.name,
        "bytes": NETWORK.stat().st_size,
        "sha256": hashlib.sha256(NETWORK.read_bytes()).hexdigest(),
        "weights": models.Pipeline(pipe).fingerprint,
        "held_out_error": {
            "log_snr": LOG_SNRS,
            "bytes": errors.round(6).tolist(),
            "float32": references.round(6).tolist(),
        },
        "log_snrs": schedule.log_snr(np.arange(schedule.domain[1] + 1)).round(6).tolist(),
        "styles": data.SCENE_STYLES,
        "subjects": subjects,
        "ids": {text: row[row != 0].tolist() for text, row in zip(prompts, token_ids(pipe, prompts), strict=True)},
    }
    RECORD.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{record['bytes'] / 1e6:.1f} MB; held-out error off by", ", ".join(f"{value:+.3%}" for value in excess))


if __name__ == "__main__":
    main()
