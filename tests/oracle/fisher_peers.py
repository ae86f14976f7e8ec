"""The Fisher of other libraries on the network of fisher.py: Avalanche's, with batches of one and of four, and BackPACK's.

Avalanche squares the gradient of a batch's mean loss. With batches of one that is the empirical Fisher; with larger ones it is
smaller by about their size and is no Fisher. BackPACK's DiagGGNExact of a linear layer under softmax is the exact one.

Run after fisher.py: python tests/oracle/fisher_peers.py   (packages: peers.txt beside this file)
Writes tests/golden/objective/fisher-peers.safetensors, which the trainer's tests read.
"""

from pathlib import Path

import torch
from avalanche.training.plugins import EWCPlugin
from backpack import backpack, extend
from backpack.extensions import DiagGGNExact
from safetensors.torch import load_file, save_file

FOLDER = Path(__file__).resolve().parent.parent / "golden" / "objective"
torch.set_default_dtype(torch.float64)


class Network(torch.nn.Module):
    """fisher.py's network for padded batches; what is added to the frozen weights are parameters."""

    def __init__(self, given):
        super().__init__()
        self.given = given
        for name in ["delta1", "delta2", "weight", "bias"]:
            self.register_parameter(name, torch.nn.Parameter(given[name].clone()))

    def forward(self, padded):
        x, mask = padded[..., :-1], padded[..., -1:]
        first = torch.tanh(x @ (self.given["frozen1"] + self.delta1).T)
        second = torch.tanh(first @ (self.given["frozen2"] + self.delta2).T)
        pooled = (second * mask).sum(1) / mask.sum(1)
        return pooled @ self.weight.T + self.bias


class Examples(torch.utils.data.Dataset):
    """Avalanche's triples of input, label and task."""

    def __init__(self, given):
        self.inputs = torch.cat([given["x"], given["mask"].double().unsqueeze(-1)], dim=-1)
        self.labels = given["labels"]

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, place):
        return self.inputs[place], self.labels[place], 0


def avalanche(given, batch):
    model = Network(given)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = EWCPlugin(1.0).compute_importances(
        model, torch.nn.functional.cross_entropy, optimizer, Examples(given), "cpu", batch)
    names = dict(delta1="first", delta2="second", weight="classifier.weight", bias="classifier.bias")
    return {f"avalanche.{batch}/{names[name]}": importance.data for name, importance in found.items()}


def backpacked():
    torch.manual_seed(23)
    x, labels = torch.randn(6, 4), torch.randint(0, 3, (6,))
    layer = extend(torch.nn.Linear(4, 3))
    loss = extend(torch.nn.CrossEntropyLoss())
    with backpack(DiagGGNExact()):
        loss(layer(x), labels).backward()
    tensors = dict(x=x, weight=layer.weight, bias=layer.bias)
    fisher = {"fisher/classifier.weight": layer.weight.diag_ggn_exact, "fisher/classifier.bias": layer.bias.diag_ggn_exact}
    return {f"backpack/{name}": tensor.detach() for name, tensor in (tensors | fisher).items()}


if __name__ == "__main__":
    given = load_file(FOLDER / "fisher.safetensors")
    tensors = avalanche(given, 1) | avalanche(given, 4) | backpacked()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, FOLDER / "fisher-peers.safetensors")
