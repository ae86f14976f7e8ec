"""A small random XLMRobertaModel with an adapter: logits of a head on mean-pooled vectors for right-padded, left-padded and
unpadded batches, and the gradient of every trained parameter in float64."""

import json

import torch
from common import GOLDEN, generator, mean_pool, randomise_adapter, save, save_adapter, save_head
from peft import LoraConfig, get_peft_model
from transformers import XLMRobertaConfig, XLMRobertaModel

LABELS = ["甲", "乙", "丙"]
LENGTHS = [24, 17, 9, 24, 2, 13]
PAD = 1


def main():
    config = XLMRobertaConfig(
        vocab_size=130, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=26, type_vocab_size=1, pad_token_id=PAD, attn_implementation="eager",
    )  # fmt: skip
    model = XLMRobertaModel(config).eval()
    draw = generator(50)
    for name, parameter in sorted(model.named_parameters()):
        centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        parameter.copy_(centre + draw(*parameter.shape, std=0.3))
    folder = GOLDEN / "xlmr"
    base = folder / "base"
    base.mkdir(parents=True, exist_ok=True)
    # As a checkpoint of the masked language model names them.
    save(base / "model.safetensors", {f"roberta.{k}": v for k, v in model.state_dict().items()})
    fields = json.loads(config.to_json_string(use_diff=False))
    known = (
        "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
        "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "hidden_act", "pad_token_id",
    )  # fmt: skip
    fields = {"architectures": ["XLMRobertaForMaskedLM"]} | {name: fields[name] for name in known}
    (base / "config.json").write_text(json.dumps(fields, indent=2) + "\n")

    weight, bias = draw(len(LABELS), config.hidden_size, std=0.3), draw(len(LABELS), std=0.3)
    save_head(folder / "head", weight, bias, LABELS)
    lora = LoraConfig(
        r=4, lora_alpha=12, target_modules=["query", "key", "value", "dense"], exclude_modules=["pooler.dense"],
        task_type="FEATURE_EXTRACTION",
    )  # fmt: skip
    adapted = get_peft_model(model, lora).eval()
    randomise_adapter(adapted, 51)
    save_adapter(adapted, folder / "adapter", "xlmr")
    adapted.double()
    weight, bias = weight.float().double().requires_grad_(), bias.float().double().requires_grad_()

    ids = torch.randint(3, config.vocab_size, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(52))
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)).long()
    ids = torch.where(mask == 1, ids, PAD)
    left_mask = mask.flip(1)
    left_ids = torch.full_like(ids, PAD)
    left_ids[left_mask == 1] = ids[mask == 1]
    labels = torch.tensor([0, 1, 2, 2, 1, 0])

    def logits_of(ids, mask):
        hidden = adapted(input_ids=ids, attention_mask=mask).last_hidden_state
        return mean_pool(hidden, mask) @ weight.T + bias

    with torch.enable_grad():
        logits = logits_of(ids, mask)
        torch.nn.functional.cross_entropy(logits, labels).backward()
    expected = {"ids": ids.int(), "mask": mask.to(torch.uint8), "labels": labels.int(), "logits": logits.detach().float()}
    expected |= {"left.ids": left_ids.int(), "left.mask": left_mask.to(torch.uint8)}
    expected["left.logits"] = logits_of(left_ids, left_mask).detach().float()
    expected |= {"whole.ids": ids[:1].int(), "whole.mask": mask[:1].to(torch.uint8)}
    expected["whole.logits"] = logits_of(ids[:1], mask[:1]).detach().float()
    for name, parameter in adapted.named_parameters():
        if parameter.grad is not None:
            expected[f"gradient.{name.removeprefix('base_model.model.').replace('.default', '')}"] = parameter.grad.float()
    expected |= {"gradient.classifier.weight": weight.grad.float(), "gradient.classifier.bias": bias.grad.float()}
    save(folder / "expected.safetensors", expected)
    print(f"xlmr: {sum(name.startswith('gradient.') for name in expected)} gradients")


main()
