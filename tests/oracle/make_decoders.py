"""Small random Llama, Qwen2 and Qwen3 models with adapters: logits of a head on the last token's vector for right-padded,
left-padded and unpadded batches, and the gradient of every trained parameter in float64. Llama's config.json has the old rope
fields and llama3 scaling, and its weights lie in two shards; the others have the new fields, one Qwen2 with YaRN."""

import json

import torch
from common import GOLDEN, generator, randomise_adapter, save, save_adapter, save_head
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaModel, Qwen2Config, Qwen2Model, Qwen3Config, Qwen3Model

LABELS = ["甲", "乙", "丙"]
LENGTHS = [24, 17, 9, 24, 2, 13]
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
# As Qwen2.5's model cards give it for long texts: no mscale, so that both factors follow from `factor`.
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
SHAPE = dict(
    vocab_size=120, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, attn_implementation="eager",
)  # fmt: skip
KNOWN = (
    "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "hidden_act", "attention_bias",
    "mlp_bias", "tie_word_embeddings", "use_sliding_window", "rope_parameters",
)  # fmt: skip


TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make(name, model, fields, prefix, seed, shards, targets=TARGETS, written=lambda model: model.state_dict()):
    config = model.config
    draw = generator(seed)
    for key, parameter in sorted(model.named_parameters()):
        centre = 1.0 if "norm" in key else 0.0
        parameter.copy_(centre + draw(*parameter.shape, std=0.3))
    folder = GOLDEN / name
    base = folder / "base"
    base.mkdir(parents=True, exist_ok=True)
    tensors = {f"{prefix}{k}": v for k, v in written(model).items()}
    if shards:
        names, where = sorted(tensors), {}
        for part, chosen in enumerate((names[::2], names[1::2]), 1):
            file = f"model-{part:05}-of-00002.safetensors"
            save(base / file, {key: tensors[key] for key in chosen})
            where |= {key: file for key in chosen}
        index = {"metadata": {"total_size": sum(t.numel() * 4 for t in tensors.values())}, "weight_map": where}
        (base / "model.safetensors.index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    else:
        save(base / "model.safetensors", tensors)
    (base / "config.json").write_text(json.dumps(fields(config), indent=2) + "\n")

    weight, bias = draw(len(LABELS), config.hidden_size, std=0.3), draw(len(LABELS), std=0.3)
    save_head(folder / "head", weight, bias, LABELS)
    lora = LoraConfig(r=4, lora_alpha=12, target_modules=targets, task_type="FEATURE_EXTRACTION")
    adapted = get_peft_model(model, lora).eval()
    randomise_adapter(adapted, seed + 1)
    save_adapter(adapted, folder / "adapter", name)
    adapted.double()
    weight, bias = weight.float().double().requires_grad_(), bias.float().double().requires_grad_()

    source = torch.Generator().manual_seed(seed + 2)
    ids = torch.randint(0, config.vocab_size, (len(LENGTHS), max(LENGTHS)), generator=source)
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)).long()
    ids = ids * mask
    left_mask = mask.flip(1)
    left_ids = torch.zeros_like(ids)
    left_ids[left_mask == 1] = ids[mask == 1]
    labels = torch.tensor([0, 1, 2, 2, 1, 0])

    def logits_of(ids, mask):
        hidden = adapted(input_ids=ids, attention_mask=mask).last_hidden_state
        last = (torch.arange(ids.shape[1]) * mask).argmax(1)
        return hidden[torch.arange(len(ids)), last] @ weight.T + bias

    with torch.enable_grad():
        logits = logits_of(ids, mask)
        torch.nn.functional.cross_entropy(logits, labels).backward()
    expected = {"ids": ids.int(), "mask": mask.to(torch.uint8), "labels": labels.int(), "logits": logits.detach().float()}
    expected |= {"left.ids": left_ids.int(), "left.mask": left_mask.to(torch.uint8)}
    # Row by row without padding: eager attention answers a row that sees nothing with NaN, which spreads.
    alone = [logits_of(ids[i : i + 1, :length], mask[i : i + 1, :length]) for i, length in enumerate(LENGTHS)]
    expected["left.logits"] = torch.cat(alone).detach().float()
    expected |= {"whole.ids": ids[:1].int(), "whole.mask": mask[:1].to(torch.uint8)}
    expected["whole.logits"] = logits_of(ids[:1], mask[:1]).detach().float()
    for key, parameter in adapted.named_parameters():
        if parameter.grad is not None:
            expected[f"gradient.{key.removeprefix('base_model.model.').replace('.default', '')}"] = parameter.grad.float()
    expected |= {"gradient.classifier.weight": weight.grad.float(), "gradient.classifier.bias": bias.grad.float()}
    save(folder / "expected.safetensors", expected)
    print(f"{name}: {sum(key.startswith('gradient.') for key in expected)} gradients")


def new_fields(architecture):
    def fields(config):
        all_fields = json.loads(config.to_json_string(use_diff=False))
        return {"architectures": [architecture]} | {key: all_fields[key] for key in KNOWN if key in all_fields}

    return fields


def old_fields(config):
    fields = new_fields("LlamaForCausalLM")(config)
    parameters = dict(fields.pop("rope_parameters"))
    return fields | {"rope_theta": parameters.pop("rope_theta"), "rope_scaling": parameters}


def main():
    llama = LlamaConfig(**SHAPE, rope_parameters={"rope_theta": 500000.0, **LLAMA3})
    make("llama", LlamaModel(llama), old_fields, "model.", 60, shards=True)
    qwen2 = Qwen2Config(**SHAPE, rope_parameters={"rope_theta": 1000000.0, "rope_type": "default"})
    make("qwen2", Qwen2Model(qwen2), new_fields("Qwen2ForCausalLM"), "model.", 70, shards=False)
    yarn = Qwen2Config(**SHAPE, rope_parameters={"rope_theta": 1000000.0, **YARN})
    make("qwen2_yarn", Qwen2Model(yarn), new_fields("Qwen2ForCausalLM"), "model.", 75, shards=False)
    qwen3 = Qwen3Config(**SHAPE, head_dim=12, rope_parameters={"rope_theta": 1000000.0, "rope_type": "default"})
    make("qwen3", Qwen3Model(qwen3), new_fields("Qwen3Model"), "", 80, shards=False)


if __name__ == "__main__":
    main()
