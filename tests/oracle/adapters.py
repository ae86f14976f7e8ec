"""A new low-rank adapter beside its parent's: the sum cut to one rank, by numpy's SVD of the whole product; the orthogonality loss of
O-LoRA and the penalty of EWC on what the new one adds, by PyTorch's autograd. All in float64.

Run: python tests/oracle/adapters.py   (packages: requirements.txt beside this file)
Writes tests/golden/objective/adapters.safetensors, which the trainer's tests read.
"""

from pathlib import Path

import numpy
import torch
from safetensors.numpy import save_file

FILE = Path(__file__).resolve().parent.parent / "golden" / "objective" / "adapters.safetensors"
SCALING, LAMBDA, STRENGTH = 1.5, 0.7, 7.0


def main():
    rng = numpy.random.default_rng(8)
    tensors = {"scaling": SCALING, "lambda": LAMBDA, "strength": STRENGTH}

    # Two layers, one wider than high and one higher than wide, each with a parent's factors and new ones of rank 3.
    layers = dict(wide=(7, 12), high=(13, 6))
    squares = {}
    for name, (out, inner) in layers.items():
        factors = {part: rng.normal(size=shape) for part, shape in
                   {"parent.b": (out, 3), "parent.a": (3, inner), "b": (out, 3), "a": (3, inner)}.items()}
        tensors |= {f"{name}.{part}": factor for part, factor in factors.items()}
        whole = SCALING * (factors["parent.b"] @ factors["parent.a"] + factors["b"] @ factors["a"])
        left, values, right = numpy.linalg.svd(whole, full_matrices=False)
        for rank in (3, 5, 6):
            cut = left[:, :rank] * values[:rank] @ right[:rank]
            tensors[f"{name}.{rank}.product"] = cut
            tensors[f"{name}.{rank}.error"] = numpy.linalg.norm(whole - cut) / numpy.linalg.norm(whole)
        cut = tensors[f"{name}.3.product"]
        squares[name] = numpy.linalg.norm(whole - cut) ** 2, numpy.linalg.norm(whole) ** 2
    lost, all_of_it = (sum(part) for part in zip(*squares.values()))
    tensors["3.error"] = numpy.sqrt(lost / all_of_it)

    # Orthogonality, and EWC: the anchor is the parent's product, so that what has moved is the new one's.
    leaves = {f"{name}.{part}": torch.tensor(tensors[f"{name}.{part}"]).requires_grad_() for name in layers for part in ("a", "b")}
    overlap = sum((torch.tensor(tensors[f"{name}.parent.a"]) @ leaves[f"{name}.a"].T).square().sum() for name in layers)
    value = LAMBDA * overlap
    value.backward()
    tensors["orthogonal.value"] = value.item()
    tensors |= {f"orthogonal.gradient/{name}.a": leaves[f"{name}.a"].grad.numpy().copy() for name in layers}

    total = 0.0
    for name, (out, inner) in layers.items():
        leaves[f"{name}.a"].grad = None
        fisher = rng.uniform(size=(out, inner))
        tensors[f"ewc.fisher/{name}"] = fisher
        tensors[f"ewc.anchor/{name}"] = SCALING * tensors[f"{name}.parent.b"] @ tensors[f"{name}.parent.a"]
        moved = SCALING * leaves[f"{name}.b"] @ leaves[f"{name}.a"]
        total = total + (torch.tensor(fisher) * moved.square()).sum()
    value = STRENGTH / 2 * total
    value.backward()
    tensors["ewc.value"] = value.item()
    tensors |= {f"ewc.gradient/{leaf}": tensor.grad.numpy() for leaf, tensor in leaves.items()}

    save_file({name: numpy.ascontiguousarray(tensor, dtype=numpy.float64) for name, tensor in tensors.items()}, FILE)
    FILE.chmod(0o644)


if __name__ == "__main__":
    main()
