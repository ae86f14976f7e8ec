"""Loads an adapter that the trainer wrote in PEFT: no missing key, no unexpected key, the same logits.

usage: check_peft.py DIR, with DIR/adapter, DIR/head and DIR/expected.safetensors (ids, mask, logits)"""

import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import torch
from common import pool, read_head
from peft import PeftConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification

TOLERANCE = 1e-4


def main(folder):
    # PEFT only warns of missing keys.
    warnings.filterwarnings("error", message=".*missing.*|.*unexpected.*|.*not found.*")
    config = PeftConfig.from_pretrained(folder / "adapter")
    weight, bias = read_head(folder / "head")
    base_path = config.base_model_name_or_path
    if config.task_type == "SEQ_CLS":
        base = AutoModelForSequenceClassification.from_pretrained(base_path, num_labels=len(bias))
    else:
        base = AutoModel.from_pretrained(base_path)
    is_prompt = config.peft_type == "PROMPT_TUNING"
    if not is_prompt and config.trainable_token_indices:
        base.resize_token_embeddings(max(config.trainable_token_indices) + 1, mean_resizing=False)
    model = PeftModel.from_pretrained(base, folder / "adapter").eval()
    stored = load_file(folder / "adapter/adapter_model.safetensors")
    if not is_prompt:
        # A prompt is not loaded by keys, and peft keeps no second one of a model with a head.
        again = model.load_adapter(folder / "adapter", adapter_name="again")
        missing = [name for name in again.missing_keys if ".again." in name]
        assert not missing, f"missing keys: {missing}"
        assert not again.unexpected_keys, f"unexpected keys: {again.unexpected_keys}"
    sites = sum(".lora_A.default." in name for name, _ in model.named_parameters())
    assert sites == sum(".lora_A." in name for name in stored), "PEFT adapts other layers than the file has"
    if is_prompt:
        held = model.prompt_encoder["default"].embedding.weight
        assert torch.equal(held, stored["prompt_embeddings"]), "PEFT holds another prompt than the file has"

    expected = load_file(folder / "expected.safetensors")
    ids, mask = expected["ids"].long(), expected["mask"].long()
    answer = model(input_ids=ids, attention_mask=mask)
    if config.task_type == "SEQ_CLS":
        logits = answer.logits
    else:
        # Virtual tokens are averaged too.
        ahead = answer.last_hidden_state.shape[1] - mask.shape[1]
        mask = torch.cat([torch.ones(len(mask), ahead, dtype=mask.dtype), mask], 1)
        logits = pool(base_path, answer.last_hidden_state, mask) @ weight.T + bias
    difference = (logits - expected["logits"]).abs().max().item()
    print(f"{folder.name}: {len(stored)} tensors at {sites} sites, logits differ by at most {difference:.2e}")
    assert difference <= TOLERANCE, f"logits differ by {difference}"
    mask = expected["mask"].long()
    # Of a prompt, peft 0.21 can disable that of a model that writes only.
    with nullcontext() if is_prompt else model.disable_adapter():
        plain = (model.get_base_model() if is_prompt else model)(input_ids=ids, attention_mask=mask)
        before = plain.logits if config.task_type == "SEQ_CLS" else plain.last_hidden_state
        after = answer.logits if config.task_type == "SEQ_CLS" else answer.last_hidden_state
        after = after[:, -before.shape[1] :]
        assert (before - after).abs().max().item() > 100 * TOLERANCE, "the adapter does nothing"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(Path(argument))
