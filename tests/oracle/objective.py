"""Reference values of the training objective and of AdamW, by PyTorch's autograd in float64.

Run: python tests/oracle/objective.py   (packages: requirements.txt beside this file)
Writes tests/golden/objective/{terms,adamw}.safetensors, which the trainer's tests read.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parent.parent / "golden" / "objective"
torch.set_default_dtype(torch.float64)


def leaf(*shape):
    return torch.randn(*shape).requires_grad_()


def terms():
    torch.manual_seed(20)
    tensors = {}

    def put(name, value):
        tensors[name] = value.detach().clone().contiguous()

    # Weighted cross entropy, summed.
    logits, labels, weights = leaf(6, 5), torch.randint(0, 5, (6,)), torch.rand(6)
    value = (F.cross_entropy(logits, labels, reduction="none") * weights).sum()
    value.backward()
    for name, tensor in dict(logits=logits, labels=labels, weights=weights, value=value, gradient=logits.grad).items():
        put(f"ce.{name}", tensor)

    # Distillation: forward KL at temperature T times T^2 over the classes that the teacher knew.
    for temperature in (1.0, 2.0, 5.0):
        student, teacher = leaf(6, 7), 3 * torch.randn(6, 4)
        log_student = F.log_softmax(student[:, :4] / temperature, dim=1)
        target = F.softmax(teacher / temperature, dim=1)
        value = temperature**2 * F.kl_div(log_student, target, reduction="sum")
        value.backward()
        for name, tensor in dict(student=student, teacher=teacher, value=value, gradient=student.grad).items():
            put(f"kd.{temperature:.0f}.{name}", tensor)

    # EWC on the products s B A of two adapters and on the old rows of a grown head.
    scaling, strength = 1.5, 7.0
    total = torch.zeros(())
    parameters = {}
    for site, (out, inner) in dict(first=(5, 4), second=(3, 5)).items():
        a, b = leaf(2, inner), leaf(out, 2)
        fisher, anchor = torch.rand(out, inner), torch.randn(out, inner)
        total = total + (fisher * (scaling * b @ a - anchor) ** 2).sum()
        parameters |= {f"{site}.a": a, f"{site}.b": b}
        put(f"ewc.fisher/{site}", fisher)
        put(f"ewc.anchor/{site}", anchor)
    weight, bias = leaf(5, 3), leaf(5)
    parameters |= {"classifier.weight": weight, "classifier.bias": bias}
    for name, old in (("classifier.weight", weight[:3]), ("classifier.bias", bias[:3])):
        fisher, anchor = torch.rand(old.shape), torch.randn(old.shape)
        total = total + (fisher * (old - anchor) ** 2).sum()
        put(f"ewc.fisher/{name}", fisher)
        put(f"ewc.anchor/{name}", anchor)
    value = strength / 2 * total
    value.backward()
    put("ewc.value", value)
    for name, parameter in parameters.items():
        put(f"ewc.parameter/{name}", parameter)
        put(f"ewc.gradient/{name}", parameter.grad)
    put("ewc.scaling", torch.tensor(scaling))
    put("ewc.lambda", torch.tensor(strength))

    # DER++ after the head has grown by three classes: mean squared distance over the classes that the teacher knew.
    student, teacher = leaf(6, 7), 3 * torch.randn(6, 4)
    value = 6 * F.mse_loss(student[:, :4], teacher)
    value.backward()
    for name, tensor in dict(student=student, teacher=teacher, value=value, gradient=student.grad).items():
        put(f"der.{name}", tensor)

    # Logit adjustment: a step shows the new labels in one half and the memory in the other.
    new, replayed, learned = torch.tensor([0.0, 0, 30, 10]), torch.tensor([3.0, 5, 0, 0]), torch.tensor([50.0, 90, 30, 10])
    share = lambda counts: (counts + 0.5) / (counts + 0.5).sum()
    correction = 0.7 * ((share(new) + share(replayed)) / 2 / share(learned)).log()
    logits, labels = leaf(5, 4), torch.randint(0, 4, (5,))
    value = F.cross_entropy(logits + correction, labels, reduction="sum")
    value.backward()
    for name, tensor in dict(new=new, replayed=replayed, learned=learned, correction=correction, logits=logits,
                             labels=labels, value=value, gradient=logits.grad).items():
        put(f"prior.{name}", tensor)
    return tensors


def adamw(steps=20):
    torch.manual_seed(21)
    adapter, head, bias = (torch.randn(*shape).requires_grad_() for shape in ((3, 4), (2, 3), (2,)))
    optimizer = torch.optim.AdamW(
        [
            dict(params=[adapter], lr=3e-2, weight_decay=0.1),
            dict(params=[head], lr=1e-1, weight_decay=0.1),
            dict(params=[bias], lr=1e-1, weight_decay=0.0),
        ],
        betas=(0.9, 0.999),
        eps=1e-8,
        foreach=False,
        fused=False,
    )
    parameters = dict(adapter=adapter, head=head, bias=bias)
    tensors = {f"start/{name}": p.detach().clone() for name, p in parameters.items()}
    gradients = {name: torch.randn(steps, *p.shape) * 10.0 ** torch.randint(-3, 2, (steps,) + (1,) * p.dim())
                 for name, p in parameters.items()}
    after = {name: [] for name in parameters}
    for step in range(steps):
        # A linear schedule on top, so that the rate changes while the moments stay.
        scale = 1 - step / steps
        for group, rate in zip(optimizer.param_groups, (3e-2, 1e-1, 1e-1)):
            group["lr"] = rate * scale
        for name, parameter in parameters.items():
            parameter.grad = gradients[name][step].clone()
        optimizer.step()
        for name, parameter in parameters.items():
            after[name].append(parameter.detach().clone())
    for name in parameters:
        tensors[f"gradient/{name}"] = gradients[name]
        tensors[f"after/{name}"] = torch.stack(after[name])
    return tensors


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    save_file(terms(), OUT / "terms.safetensors")
    save_file(adamw(), OUT / "adamw.safetensors")
