"""Reference values for texts with any number of labels, in float64.

Run: python tests/oracle/multi_label.py   (packages: requirements.txt beside this file; after make_tiny.py and fisher.py)

1. The terms: transformers' loss for problem_type "multi_label_classification" with weights, and the divergence of Bernoulli
   distributions at a temperature (torch.distributions), with their gradients; the Fisher of fisher.py's small network by its
   definition, one example and one outcome of every label at a time.
   Writes tests/golden/objective/multi_label.safetensors.
2. The tiny BERT with the adapter that PEFT wrote, as transformers trains it for several labels: loss, the gradient of every LoRA
   parameter and of the head, and the Fisher of every adapted weight W + s B A and of the head, by definition.
   Writes tests/golden/trainer/multi_label/expected.safetensors.
"""

import itertools

import torch
import torch.nn.functional as F
from common import GOLDEN, read_head, save
from peft import PeftModel
from safetensors.torch import load_file
from torch.distributions import Bernoulli, kl_divergence
from transformers import BertConfig, BertForSequenceClassification

OBJECTIVE = GOLDEN.parent / "objective"


def log_likelihood(logits, outcome):
    return Bernoulli(logits=logits).log_prob(outcome).sum()


def expected_squares(logits_of, parameters, labels):
    """E[(d log p(y) / dW)^2] over all 2^labels outcomes: no use is made of the labels' independence."""
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    for outcome in itertools.product([0.0, 1.0], repeat=labels):
        outcome = torch.tensor(outcome, dtype=torch.float64)
        log_p = log_likelihood(logits_of(), outcome)
        for total, gradient in zip(sums, torch.autograd.grad(log_p, parameters)):
            total += log_p.detach().exp() * gradient**2
    return sums


def squares(logits_of, parameters, outcome):
    return [gradient**2 for gradient in torch.autograd.grad(log_likelihood(logits_of(), outcome), parameters)]


def mean(per_example):
    return [torch.stack(parts).mean(0) for parts in zip(*per_example)]


@torch.enable_grad()
def terms():
    torch.manual_seed(40)
    out = {}
    leaf = lambda *shape: torch.randn(*shape, dtype=torch.float64).requires_grad_()

    def put(name, **tensors):
        out.update({f"{name}.{key}": value.detach().clone() for key, value in tensors.items()})

    # Some far out, where exp would overflow a careless form.
    logits = (4 * leaf(6, 5)).detach()
    logits[0, 0], logits[1, 1] = 80.0, -80.0
    logits.requires_grad_()
    targets, weights = torch.randint(0, 2, (6, 5)).double(), torch.rand(6, dtype=torch.float64)
    targets[4] = torch.rand(5, dtype=torch.float64)
    value = (F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1) * weights).sum()
    value.backward()
    put("bce", logits=logits, targets=targets, weights=weights, value=value, gradient=logits.grad)

    for temperature in (1.0, 2.0, 5.0):
        student, teacher = leaf(6, 7), 3 * torch.randn(6, 4, dtype=torch.float64)
        divergence = kl_divergence(
            Bernoulli(logits=teacher / temperature), Bernoulli(logits=student[:, :4] / temperature)
        )
        value = temperature**2 * divergence.mean(1).sum()
        value.backward()
        put(f"kd.{temperature:.0f}", student=student, teacher=teacher, value=value, gradient=student.grad)

    net = load_file(OBJECTIVE / "fisher.safetensors")
    parameters = [net[name].requires_grad_() for name in ("delta1", "delta2", "weight", "bias")]
    lengths = net["mask"].sum(1)

    def logits_of(i):
        delta1, delta2, weight, bias = parameters
        first = torch.tanh(net["x"][i, : lengths[i]] @ (net["frozen1"] + delta1).T)
        second = torch.tanh(first @ (net["frozen2"] + delta2).T)
        return second.mean(0) @ weight.T + bias

    examples, labels = len(lengths), len(net["bias"])
    outcomes = torch.randint(0, 2, (examples, labels)).double()
    out["outcomes"] = outcomes
    estimates = dict(
        exact=mean(expected_squares(lambda: logits_of(i), parameters, labels) for i in range(examples)),
        given=mean(squares(lambda: logits_of(i), parameters, outcomes[i]) for i in range(examples)),
    )
    for estimator, parts in estimates.items():
        for name, part in zip(("first", "second", "classifier.weight", "classifier.bias"), parts):
            out[f"{estimator}/{name}"] = part
    save(OBJECTIVE / "multi_label.safetensors", {name: tensor.detach() for name, tensor in out.items()})


@torch.no_grad()
def tiny(merged=False):
    folder = GOLDEN / "tiny"
    config = BertConfig.from_pretrained(
        folder / "base", num_labels=3, problem_type="multi_label_classification", attn_implementation="eager"
    )
    model = BertForSequenceClassification(config)
    model.load_state_dict(load_file(folder / "base/model.safetensors"), strict=False)
    model.classifier.weight.copy_(read_head(folder / "head")[0])
    model.classifier.bias.copy_(read_head(folder / "head")[1])
    adapted = PeftModel.from_pretrained(model, folder / "adapter", is_trainable=not merged).double().eval()
    return adapted.merge_and_unload() if merged else adapted


@torch.enable_grad()
def model():
    given = load_file(GOLDEN / "tiny/expected.safetensors")
    ids, mask = given["ids"].long(), given["mask"].long()
    targets = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 1, 0]]).double()
    adapted = tiny()
    answer = adapted(input_ids=ids, attention_mask=mask, labels=targets)
    answer.loss.backward()
    expected = {"ids": given["ids"], "mask": given["mask"], "targets": targets.float(),
                "logits": answer.logits.float(), "loss": answer.loss.float().reshape(1)}  # fmt: skip
    for name, parameter in adapted.named_parameters():
        if parameter.grad is not None:
            name = name.removeprefix("base_model.model.").removeprefix("bert.")
            name = name.replace(".default", "").replace("modules_to_save.", "")
            expected[f"gradient.{name}"] = parameter.grad.float()

    sites = sorted({name.removeprefix("gradient.").split(".lora_")[0] for name in expected if ".lora_" in name})
    whole = tiny(merged=True)
    for parameter in whole.parameters():
        parameter.requires_grad_(False)
    layers = [whole.bert.get_submodule(site).weight for site in sites]
    parameters = [p.requires_grad_() for p in [*layers, whole.classifier.weight, whole.classifier.bias]]
    logits_of = lambda i: whole(input_ids=ids[i : i + 1], attention_mask=mask[i : i + 1]).logits[0]
    exact = mean(expected_squares(lambda: logits_of(i), parameters, 3) for i in range(len(ids)))
    given = mean(squares(lambda: logits_of(i), parameters, targets[i]) for i in range(len(ids)))
    for name, of_exact, of_given in zip([*sites, "classifier.weight", "classifier.bias"], exact, given):
        expected[f"exact.{name}"], expected[f"given.{name}"] = of_exact.float(), of_given.float()
    save(GOLDEN / "multi_label/expected.safetensors", {name: tensor.detach() for name, tensor in expected.items()})
    print(f"multi_label: loss {answer.loss:.4f}, {len(sites)} adapted weights")


terms()
model()
