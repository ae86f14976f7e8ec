"""Low-rank updates of routed experts, for the small causal DeepSeek-V2 and V3: an adapter of single experts as it lies in a file
(`mlp.experts.N.gate_proj` ...), made here and read by PEFT, which keeps the experts of a layer as one. Log-probabilities, and the gradient of every
trained parameter in float64, taken apart into the experts' own; and the weights that PEFT merges, with what the merged model answers."""

import json

import torch
from common import GOLDEN, answers, generator, save
from make_deepseek import on_disk
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

RANK, ALPHA = 3, 12
TARGETS = ["down_proj", "gate_proj", "kv_b_proj", "up_proj"]


def adapter(folder, config, seed):
    """Writes the directory: the experts of the layers that have any, and one layer of the attention."""
    draw = generator(seed)
    hidden, inner, tensors = config.hidden_size, config.moe_intermediate_size, {}
    heads = config.num_attention_heads * (config.qk_nope_head_dim + config.v_head_dim)
    for layer in range(config.num_hidden_layers):
        sites = {"self_attn.kv_b_proj": (heads, config.kv_lora_rank)}
        if layer >= config.first_k_dense_replace:
            for expert in range(config.n_routed_experts):
                for part in ("gate_proj", "up_proj", "down_proj"):
                    shape = (hidden, inner) if part == "down_proj" else (inner, hidden)
                    sites[f"mlp.experts.{expert}.{part}"] = shape
        for site, (outputs, inputs) in sites.items():
            name = f"base_model.model.model.layers.{layer}.{site}"
            tensors[f"{name}.lora_A.weight"] = draw(RANK, inputs, std=0.3 / inputs**0.5).float()
            tensors[f"{name}.lora_B.weight"] = draw(outputs, RANK, std=0.3 / RANK**0.5).float()
    written = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM")
    written.inference_mode = True
    written.save_pretrained(folder)
    save(folder / "adapter_model.safetensors", tensors)
    path = folder / "adapter_config.json"
    fields = json.loads(path.read_text()) | {"target_modules": TARGETS}
    path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")
    path.chmod(0o644)
    return tensors


def apart(name, tensor, config):
    """Of a layer's experts in one tensor, those of each: PEFT 0.21 fuses gate and up with twice the rank."""
    experts, inner = config.n_routed_experts, config.moe_intermediate_size
    layer, factor = name.split(".mlp.experts")[0], "A" if ".lora_A." in name else "B"
    fused = ".base_layer." in name
    ranks = 2 * RANK if fused else RANK
    if factor == "A":
        each = tensor.reshape(experts, ranks, -1)
    else:
        each = tensor.reshape(tensor.shape[0], ranks, experts).permute(2, 0, 1)
    for expert in range(experts):
        key = lambda part: f"{layer}.mlp.experts.{expert}.{part}.lora_{factor}.weight"
        if not fused:
            yield key("down_proj"), each[expert]
        elif factor == "A":
            yield key("gate_proj"), each[expert][:RANK]
            yield key("up_proj"), each[expert][RANK:]
        else:
            yield key("gate_proj"), each[expert][:inner, :RANK]
            yield key("up_proj"), each[expert][inner:, RANK:]


def merged(model):
    """The adapted weights, one tensor an expert, and the logits of three rows, [tokens, vocabulary], of PEFT's merged model."""
    ids = torch.arange(27).reshape(3, 9) * 4 + 3
    before = model(input_ids=ids).logits
    model = model.merge_and_unload()
    logits = model(input_ids=ids).logits
    assert (logits - before).abs().max() < 1e-9
    adapted = (".mlp.experts.", ".kv_b_proj.")
    weights = {name: weight.float() for name, weight in on_disk(model).items() if any(part in name for part in adapted)}
    return weights | {"logits": logits.flatten(0, 1).float()}


def main(name, seed):
    source = load_file(GOLDEN / f"causal_{name}/expected.safetensors")
    folder = GOLDEN / f"experts_{name}"
    base = AutoModelForCausalLM.from_pretrained(GOLDEN / f"causal_{name}/base", attn_implementation="eager", experts_implementation="eager")
    tensors = adapter(folder / "adapter", base.config, seed)
    model = PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True).eval()
    held = {}
    for key, parameter in model.named_parameters():
        key = key.replace(".default", "")
        if ".lora_" in key:
            parts = apart(key, parameter, base.config) if ".experts" in key else [(key, parameter)]
            held |= {own: part.detach() for own, part in parts}
    assert held.keys() == tensors.keys() and all(torch.equal(held[key], tensors[key]) for key in tensors)
    model.double()
    rows = source["ids"].long().split(source["lengths"].tolist())
    said = answers(lambda row: model(input_ids=row.unsqueeze(0)).logits[0], rows, source["prompts"].tolist())
    expected = {key: source[key] for key in ["ids", "lengths", "prompts"]} | said
    for key, parameter in model.named_parameters():
        if parameter.grad is not None:
            key = key.replace(".default", "")
            parts = apart(key, parameter.grad, base.config) if ".experts" in key else [(key, parameter.grad)]
            for own, gradient in parts:
                expected["gradient." + own.removeprefix("base_model.model.model.")] = gradient.float()
    save(folder / "expected.safetensors", expected)
    save(folder / "merged.safetensors", merged(model))
    print(f"experts_{name}: {len(tensors)} tensors, loss {said['loss'].item():.4f}")


if __name__ == "__main__":
    main("deepseek_v2", 500)
    main("deepseek_v3", 510)
