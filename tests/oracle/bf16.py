"""How far peft and transformers in bfloat16 are from the float64 values of the small models: what the trainer's own
distance is held against. Writes tests/golden/trainer/bf16.json."""
import json
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

GOLDEN = Path(__file__).parent.parent / "golden/trainer"


def distance(name):
    folder = GOLDEN / name
    expected = load_file(folder / "expected.safetensors")
    head = load_file(folder / "head/head.safetensors")
    base = AutoModel.from_pretrained(folder / "base", dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True, autocast_adapter_dtype=True).eval()
    mask = expected["mask"].long()
    hidden = model(input_ids=expected["ids"].long(), attention_mask=mask).last_hidden_state.float()
    last = (mask * torch.arange(1, mask.shape[1] + 1)).argmax(1)
    pooled = hidden[torch.arange(len(last)), last]
    out = pooled @ head["classifier.weight"].T + head["classifier.bias"]
    torch.nn.functional.cross_entropy(out, expected["labels"].long()).backward()
    logits = (out.detach() - expected["logits"]).abs().max() / expected["logits"].abs().max()
    worst, count = 0.0, 0
    for key, parameter in model.named_parameters():
        if parameter.grad is None or "lora" not in key:
            continue
        key = key.removeprefix("base_model.model.").replace(".default", "")
        reference = expected[f"gradient.{key}"]
        worst = max(worst, ((parameter.grad.float() - reference).norm() / reference.norm()).item())
        count += 1
    assert count == len([key for key in expected if key.startswith("gradient.") and "lora" in key]), count
    return {"logits": logits.item(), "gradients": worst}


def main():
    torch.manual_seed(0)
    found = {name: distance(name) for name in ["llama", "qwen2", "qwen3"]}
    (GOLDEN / "bf16.json").write_text(json.dumps(found, indent=1) + "\n")
    print(found)


if __name__ == "__main__":
    main()
