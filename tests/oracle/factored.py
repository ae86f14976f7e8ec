"""Reference values of the EWC penalty whose Fisher is kept by its row and column sums, by PyTorch's autograd in float64 on the whole matrices.

Run: python tests/oracle/factored.py   (packages: requirements.txt beside this file)
Writes tests/golden/objective/factored.safetensors, which the trainer's tests read.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parent.parent / "golden" / "objective"
torch.set_default_dtype(torch.float64)


def main():
    torch.manual_seed(31)
    scaling, strength, rank = 1.5, 7.0, 2
    tensors = dict(scaling=torch.tensor(scaling), strength=torch.tensor(strength))
    total, parameters = torch.zeros(()), {}
    # The second one has its parent's update beside it, and each has an anchor of another rank than its own.
    for name, out, inner, is_beside, anchor_rank in [("first", 5, 4, False, 3), ("second", 3, 6, True, 4)]:
        a, b = torch.randn(rank, inner).requires_grad_(), torch.randn(out, rank).requires_grad_()
        rows, columns = torch.rand(out), torch.rand(inner)
        columns = columns * rows.sum() / columns.sum()
        left, right = torch.randn(out, anchor_rank), torch.randn(anchor_rank, inner)
        product = scaling * b @ a
        if is_beside:
            parent_a, parent_b = torch.randn(rank, inner), torch.randn(out, rank)
            product = product + scaling * parent_b @ parent_a
            tensors |= {f"parent_a/{name}": parent_a, f"parent_b/{name}": parent_b}
        fisher = torch.outer(rows, columns) / rows.sum()
        total = total + (fisher * (product - left @ right) ** 2).sum()
        parameters |= {f"{name}.a": a, f"{name}.b": b}
        tensors |= {f"rows/{name}": rows, f"columns/{name}": columns, f"left/{name}": left, f"right/{name}": right, f"fisher/{name}": fisher}
    value = strength / 2 * total
    value.backward()
    tensors["value"] = value
    for name, parameter in parameters.items():
        tensors |= {f"parameter/{name}": parameter, f"gradient/{name}": parameter.grad}
    save_file({name: t.detach().contiguous() for name, t in tensors.items()}, OUT / "factored.safetensors")


if __name__ == "__main__":
    main()
