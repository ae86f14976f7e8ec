"""Adapters of PEFT over the small BERT (tiny/base) and the small causal Llama (causal_llama/base): what they answer, and the gradient of
every trained parameter in float64."""

import torch
from common import GOLDEN, answers, save, save_adapter, save_head
from make_tasks import gradients
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification


def bert(folder, adapted, named=lambda expected: expected):
    """`adapted` puts the adapter on; `named` names the expected values as the file does."""
    source = load_file(GOLDEN / "tiny/expected.safetensors")
    base = AutoModelForSequenceClassification.from_pretrained(GOLDEN / "tiny/base", num_labels=3, attn_implementation="eager")
    head = load_file(GOLDEN / "tiny/head/head.safetensors")
    base.classifier.weight.copy_(head["classifier.weight"])
    base.classifier.bias.copy_(head["classifier.bias"])
    model = adapted(base)
    save_head(folder / "head", head["classifier.weight"], head["classifier.bias"], ["甲", "乙", "丙"])
    save_adapter(model, folder / "adapter", "tiny")
    model.double()
    with torch.enable_grad():
        logits = model(input_ids=source["ids"].long(), attention_mask=source["mask"].long()).logits
        torch.nn.functional.cross_entropy(logits, source["labels"].long()).backward()
    expected = {key: source[key] for key in ["ids", "mask", "labels"]} | {"logits": logits.detach().float()}
    save(folder / "expected.safetensors", named(expected | gradients(model)))


def llama(folder, adapted, named=lambda expected: expected):
    """As `bert`."""
    source = load_file(GOLDEN / "causal_llama/expected.safetensors")
    model = adapted(AutoModelForCausalLM.from_pretrained(GOLDEN / "causal_llama/base", attn_implementation="eager"))
    save_adapter(model, folder / "adapter", "causal_llama")
    model.double()
    rows = source["ids"].long().split(source["lengths"].tolist())
    said = answers(lambda row: model(input_ids=row.unsqueeze(0)).logits[0], rows, source["prompts"].tolist())
    expected = {key: source[key] for key in ["ids", "lengths", "prompts"]} | said | gradients(model)
    save(folder / "expected.safetensors", named(expected))
