"""A small random BertForSequenceClassification: logits for right-padded, left-padded and unpadded batches, and the gradient of every
trained parameter in float64."""

import json

import torch
from common import GOLDEN, generator, randomise_adapter, save, save_adapter, save_head
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertForSequenceClassification

LABELS = ["甲", "乙", "丙"]
LENGTHS = [24, 17, 9, 24, 2, 13]


def main():
    config = BertConfig(
        vocab_size=160, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=24, num_labels=len(LABELS), attn_implementation="eager",
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    draw = generator(30)
    for name, parameter in sorted(model.named_parameters()):
        # Far from the usual beginning, where all attention is even and most gradients are nearly zero.
        centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        parameter.copy_(centre + draw(*parameter.shape, std=0.3))

    folder = GOLDEN / "tiny"
    base = folder / "base"
    base.mkdir(parents=True, exist_ok=True)
    save(base / "model.safetensors", {k: v for k, v in model.state_dict().items() if not k.startswith("classifier.")})
    fields = json.loads(config.to_json_string(use_diff=False))
    known = (
        "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
        "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "hidden_act",
    )  # fmt: skip
    fields = {"architectures": ["BertForSequenceClassification"]} | {name: fields[name] for name in known}
    (base / "config.json").write_text(json.dumps(fields, indent=2) + "\n")
    save_head(folder / "head", model.classifier.weight, model.classifier.bias, LABELS)

    targets = ["query", "key", "value", "dense"]
    lora = LoraConfig(r=4, lora_alpha=12, target_modules=targets, lora_dropout=0.1, task_type="SEQ_CLS")
    adapted = get_peft_model(model, lora).eval()
    randomise_adapter(adapted, 31)
    save_adapter(adapted, folder / "adapter", "tiny")
    adapted.double()

    ids = torch.randint(0, config.vocab_size, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(32))
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)).long()
    ids = ids * mask
    # As a tokenizer with `padding_side = "left"` gives them: BERT's positions count the padding.
    left_ids, left_mask = ids.clone(), mask.flip(1)
    left_ids[left_mask == 0] = 0
    left_ids[left_mask == 1] = ids[mask == 1]
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    with torch.enable_grad():
        logits = adapted(input_ids=ids, attention_mask=mask).logits
        torch.nn.functional.cross_entropy(logits, labels).backward()
    expected = {"ids": ids.int(), "mask": mask.to(torch.uint8), "labels": labels.int(), "logits": logits.detach().float()}
    for kind, its_ids, its_mask in [("left", left_ids, left_mask), ("whole", ids[:1], mask[:1])]:
        expected |= {f"{kind}.ids": its_ids.int(), f"{kind}.mask": its_mask.to(torch.uint8)}
        expected[f"{kind}.logits"] = adapted(input_ids=its_ids, attention_mask=its_mask).logits.float()
    for name, parameter in adapted.named_parameters():
        if parameter.grad is not None:
            name = name.removeprefix("base_model.model.").removeprefix("bert.")
            name = name.replace(".default", "").replace("modules_to_save.", "")
            expected[f"gradient.{name}"] = parameter.grad.float()
    save(folder / "expected.safetensors", expected)
    gradients = [name for name in expected if name.startswith("gradient.")]
    print(f"tiny: {len(gradients)} gradients, logits from {logits.min():.3f} to {logits.max():.3f}")


main()
