"""Loads a bottleneck adapter that the trainer wrote in AdapterHub's `adapters` library: no missing key, no unexpected key, the same
logits. Runs on the versions of requirements-adapters.txt.

usage: check_bottleneck.py DIR, with DIR/adapter, DIR/head and DIR/expected.safetensors (ids, mask, logits)"""

import json
import sys
from pathlib import Path

import adapters
import torch
import transformers
from common import pool, read_head
from safetensors.torch import load_file

TOLERANCE = 1e-4


def main(folder):
    config = json.loads((folder / "adapter/adapter_config.json").read_text())
    weight, bias = read_head(folder / "head")
    classifies = config["model_class"].endswith("ForSequenceClassification")
    kind = transformers.AutoModelForSequenceClassification if classifies else transformers.AutoModel
    model = kind.from_pretrained(config["model_name"])
    assert type(model).__name__ == config["model_class"]
    adapters.init(model)
    info = {}
    name = model.load_adapter(str(folder / "adapter"), loading_info=info, use_safetensors=True)
    assert not info["missing_keys"], f"missing keys: {info['missing_keys']}"
    assert not info["unexpected_keys"], f"unexpected keys: {info['unexpected_keys']}"
    model.set_active_adapters(name)
    model.eval()

    stored = load_file(folder / "adapter/adapter.safetensors")
    held = {key: value for key, value in model.state_dict().items() if f".adapters.{name}." in key}
    assert held.keys() == stored.keys() and all(torch.equal(held[key], stored[key]) for key in stored)
    expected = load_file(folder / "expected.safetensors")
    ids, mask = expected["ids"].long(), expected["mask"].long()

    def logits():
        if classifies:
            vectors = model.bert(input_ids=ids, attention_mask=mask).pooler_output
        else:
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            vectors = pool(config["model_name"], hidden, mask)
        return vectors @ weight.T + bias

    difference = (logits() - expected["logits"]).abs().max().item()
    print(f"{folder.name}: {len(stored)} tensors, logits differ by at most {difference:.2e}")
    assert difference <= TOLERANCE, f"logits differ by {difference}"
    model.set_active_adapters(None)
    assert (logits() - expected["logits"]).abs().max().item() > 100 * TOLERANCE, "the adapter does nothing"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(Path(argument))
