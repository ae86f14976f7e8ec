"""Loads merged models that the trainer wrote in transformers: no missing key, no unexpected key, the same logits.

usage: check_merged.py DIR, with the model's files and DIR/expected.tensors (ids, mask, logits)"""

import json
import sys
from pathlib import Path

import torch
import transformers
from common import mean_pool, read_head
from safetensors.torch import load_file

TOLERANCE = 1e-4


def main(folder):
    [name] = json.loads((folder / "config.json").read_text())["architectures"]
    model, loaded = getattr(transformers, name).from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not loaded.get(kind), f"{folder.name}: {kind} {loaded[kind]}"
    expected = load_file(folder / "expected.tensors")
    ids, mask = expected["ids"].long(), expected["mask"].long()
    if "ForSequenceClassification" in name and model.config.pad_token_id is None:
        # Without a token for padding the class takes one example at a time.
        logits = torch.cat([model(input_ids=row[seen == 1].unsqueeze(0)).logits for row, seen in zip(ids, mask)])
    else:
        answer = model.eval()(input_ids=ids, attention_mask=mask)
        logits = answer.logits.flatten(0, -2) if "logits" in answer else apart(folder, answer.last_hidden_state, mask)
    difference = (logits - expected["logits"]).abs().max().item()
    print(f"{folder.name}: {name}, logits differ by at most {difference:.2e}")
    assert difference <= TOLERANCE, f"{folder.name}: logits differ by {difference}"


def apart(folder, hidden, mask):
    weight, bias = read_head(folder / "head")
    config = json.loads((folder / "1_Pooling/config.json").read_text())
    if config["pooling_mode_mean_tokens"]:
        pooled = mean_pool(hidden, mask)
    elif config["pooling_mode_lasttoken"]:
        pooled = hidden[torch.arange(len(mask)), (mask * torch.arange(mask.shape[1])).argmax(1)]
    else:
        pooled = hidden[:, 0]
    return pooled @ weight.T + bias


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(Path(argument))
