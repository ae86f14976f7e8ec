"""Reference diagonal Fisher information by the definition: one example at a time, one label at a time, the gradient
of log p(label | example) by PyTorch's autograd in float64, squared.

The network is small but has what makes the batched computation go wrong when it is done carelessly: several tokens an
example, padding, two adapted layers that feed one another, and a head on the masked mean.

A second network answers at every token, as models that mark spans or speak do: log p of an example is the sum over its tokens.

Run: python tests/oracle/fisher.py   (packages: requirements.txt beside this file)
Writes tests/golden/objective/fisher.safetensors and fisher-tokens.safetensors, which the trainer's tests read.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parent.parent / "golden" / "objective"
torch.set_default_dtype(torch.float64)

EXAMPLES, TOKENS, INPUT, HIDDEN, LABELS = 7, 5, 4, 6, 3


def main():
    torch.manual_seed(22)
    x = torch.randn(EXAMPLES, TOKENS, INPUT)
    lengths = torch.tensor([5, 3, 1, 4, 5, 2, 3])
    mask = (torch.arange(TOKENS)[None] < lengths[:, None]).to(torch.int64)
    # What is added to the frozen weights; the Fisher is that of these products.
    delta1, delta2 = torch.randn(HIDDEN, INPUT), 0.5 * torch.randn(HIDDEN, HIDDEN)
    frozen1, frozen2 = torch.randn(HIDDEN, INPUT), 0.5 * torch.randn(HIDDEN, HIDDEN)
    weight, bias = torch.randn(LABELS, HIDDEN), torch.randn(LABELS)
    labels = torch.tensor([0, 2, 1, 1, 0, 2, 2])
    drawn = torch.tensor([1, 2, 1, 0, 0, 0, 2])
    parameters = [delta1, delta2, weight, bias]
    for parameter in parameters:
        parameter.requires_grad_()

    def log_p(i):
        tokens = x[i, : lengths[i]]
        first = torch.tanh(tokens @ (frozen1 + delta1).T)
        second = torch.tanh(first @ (frozen2 + delta2).T)
        return torch.log_softmax(second.mean(0) @ weight.T + bias, dim=0)

    def squared(i, label):
        return [g**2 for g in torch.autograd.grad(log_p(i)[label], parameters)]

    def mean(per_example):
        return [torch.stack(parts).mean(0) for parts in zip(*per_example)]

    def expected(i):
        p = log_p(i).exp().detach()
        return [sum(p[y] * part for y, part in enumerate(parts))
                for parts in zip(*(squared(i, y) for y in range(LABELS)))]

    tensors = dict(x=x, mask=mask, delta1=delta1, delta2=delta2, frozen1=frozen1, frozen2=frozen2, weight=weight,
                   bias=bias, labels=labels, drawn=drawn)
    estimates = dict(
        exact=mean(expected(i) for i in range(EXAMPLES)),
        empirical=mean(squared(i, labels[i]) for i in range(EXAMPLES)),
        sampled=mean(squared(i, drawn[i]) for i in range(EXAMPLES)),
    )
    for estimator, parts in estimates.items():
        for name, part in zip(("first", "second", "classifier.weight", "classifier.bias"), parts):
            tensors[f"{estimator}/{name}"] = part
    OUT.mkdir(parents=True, exist_ok=True)
    save_file({name: t.detach().contiguous() for name, t in tensors.items()}, OUT / "fisher.safetensors")


def by_token():
    torch.manual_seed(23)
    x = torch.randn(EXAMPLES, TOKENS, INPUT)
    lengths = torch.tensor([5, 3, 1, 4, 5, 2, 3])
    delta1, delta2 = torch.randn(HIDDEN, INPUT), 0.5 * torch.randn(HIDDEN, HIDDEN)
    frozen1, frozen2 = torch.randn(HIDDEN, INPUT), 0.5 * torch.randn(HIDDEN, HIDDEN)
    weight, bias = torch.randn(LABELS, HIDDEN), torch.randn(LABELS)
    # -1: a token that is not asked about.
    labels = torch.randint(-1, LABELS, (EXAMPLES, TOKENS))
    labels[:, 0] = torch.tensor([0, 2, 1, 1, 0, 2, 2])
    labels[torch.arange(TOKENS)[None] >= lengths[:, None]] = -1
    parameters = [delta1, delta2, weight, bias]
    for parameter in parameters:
        parameter.requires_grad_()

    def squared(i):
        first = torch.tanh(x[i, : lengths[i]] @ (frozen1 + delta1).T)
        mixed = torch.tanh(first @ (frozen2 + delta2).T).cumsum(0)
        log_p = torch.log_softmax(mixed @ weight.T + bias, dim=1)
        asked = (labels[i, : lengths[i]] >= 0).nonzero()[:, 0]
        return [g**2 for g in torch.autograd.grad(log_p[asked, labels[i, asked]].sum(), parameters)]

    answers = (labels >= 0).sum()
    mean = [torch.stack(parts).sum(0) / answers for parts in zip(*(squared(i) for i in range(EXAMPLES)))]
    tensors = dict(x=x, lengths=lengths, delta1=delta1, delta2=delta2, frozen1=frozen1, frozen2=frozen2, weight=weight, bias=bias, labels=labels)
    tensors |= dict(zip(("first", "second", "classifier.weight", "classifier.bias"), mean))
    save_file({name: t.detach().contiguous() for name, t in tensors.items()}, OUT / "fisher-tokens.safetensors")


if __name__ == "__main__":
    main()
    by_token()
