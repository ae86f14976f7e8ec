"""Small random DeepSeek-V2 and V3 models, made and checked as make_decoders.py and make_tasks.py do it: V2 without a low rank
for queries (as V2-Lite), V2 whose experts are chosen in groups, V3 with corrections, and V3 in FP8 blocks with a layer that
predicts further tokens. Weights are written with one tensor an expert, as the published checkpoints are."""

import json

import make_decoders
import make_tasks
import torch
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV2Model
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, DeepseekV3Model

YARN = {
    "type": "yarn", "factor": 4.0, "beta_fast": 32, "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 0.707,
    "original_max_position_embeddings": 32,
}  # fmt: skip
SHAPE = dict(
    vocab_size=120, hidden_size=32, intermediate_size=40, moe_intermediate_size=12, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=128, rms_norm_eps=1e-5, kv_lora_rank=12,
    qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6, n_routed_experts=8, n_shared_experts=2, num_experts_per_tok=3,
    first_k_dense_replace=1, attn_implementation="eager", experts_implementation="eager",
)  # fmt: skip
LITE = dict(q_lora_rank=None, topk_method="greedy", routed_scaling_factor=1.0)
V2 = dict(q_lora_rank=16, topk_method="group_limited_greedy", n_group=4, topk_group=2, routed_scaling_factor=4.0)
V3 = dict(q_lora_rank=16, n_group=4, topk_group=2, routed_scaling_factor=2.5, norm_topk_prob=True)
KNOWN = (
    "model_type", "vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size", "num_hidden_layers",
    "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "hidden_act", "attention_bias",
    "tie_word_embeddings", "kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
    "n_routed_experts", "n_shared_experts", "num_experts_per_tok", "first_k_dense_replace", "n_group", "topk_group",
    "norm_topk_prob", "routed_scaling_factor",
)  # fmt: skip
# In a model with experts, peft takes gate_proj, up_proj and down_proj for the routed experts.
TARGETS = ["kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]
BLOCK = [16, 24]


def fields(architecture, more):
    """As the published files are: old names of the rope fields."""

    def of(config):
        all_fields = json.loads(config.to_json_string(use_diff=False))
        chosen = {key: all_fields[key] for key in KNOWN if key in all_fields}
        rope = dict(config.rope_parameters)
        theta = rope.pop("rope_theta")
        rope.setdefault("type", rope.pop("rope_type", "yarn"))
        return {"architectures": [architecture]} | chosen | {"rope_theta": theta, "rope_scaling": rope, "moe_layer_freq": 1} | more

    return of


def on_disk(model):
    """One tensor an expert."""
    tensors = {}
    for key, value in model.state_dict().items():
        if key.endswith("mlp.experts.gate_up_proj"):
            stem = key.removesuffix("gate_up_proj")
            for expert, both in enumerate(value):
                gate, up = both.chunk(2)
                tensors |= {f"{stem}{expert}.gate_proj.weight": gate, f"{stem}{expert}.up_proj.weight": up}
        elif key.endswith("mlp.experts.down_proj"):
            stem = key.removesuffix("down_proj")
            tensors |= {f"{stem}{expert}.down_proj.weight": down for expert, down in enumerate(value)}
        else:
            tensors[key] = value
    return {key: value.contiguous().clone() for key, value in tensors.items()}


def correct(model, seed):
    draw = torch.Generator().manual_seed(seed)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.copy_(torch.randn(buffer.shape, generator=draw) * 0.2)


def quantized(tensors):
    """FP8 in blocks, with factors, of what DeepSeek quantizes; and the values that come back."""
    written, read = {}, {}
    for key, value in tensors.items():
        if not (key.endswith("_proj.weight") or key.endswith("_mqa.weight")):
            written[key] = read[key] = value
            continue
        rows, columns = value.shape
        factors = torch.zeros(-(-rows // BLOCK[0]), -(-columns // BLOCK[1]))
        small, back = torch.zeros(rows, columns, dtype=torch.float8_e4m3fn), torch.zeros(rows, columns)
        for i in range(factors.shape[0]):
            for j in range(factors.shape[1]):
                at = slice(i * BLOCK[0], (i + 1) * BLOCK[0]), slice(j * BLOCK[1], (j + 1) * BLOCK[1])
                factors[i, j] = value[at].abs().max() / 448
                small[at] = (value[at] / factors[i, j]).to(torch.float8_e4m3fn)
                back[at] = small[at].float() * factors[i, j]
        written |= {key: small, f"{key}_scale_inv": factors}
        read[key] = back
    return written, read


def fused(tensors):
    """What the model takes: experts in one tensor."""
    whole, experts = {}, {}
    for key, value in tensors.items():
        stem, _, rest = key.partition(".mlp.experts.")
        if rest:
            number, part = rest.removesuffix(".weight").split(".")
            experts.setdefault(stem, {})[int(number), part] = value
        else:
            whole[key] = value
    for stem, parts in experts.items():
        count = 1 + max(number for number, _ in parts)
        both = [torch.cat([parts[e, "gate_proj"], parts[e, "up_proj"]]) for e in range(count)]
        whole[f"{stem}.mlp.experts.gate_up_proj"] = torch.stack(both)
        whole[f"{stem}.mlp.experts.down_proj"] = torch.stack([parts[e, "down_proj"] for e in range(count)])
    return whole


def written(seed, fp8):
    """Corrects the model, takes from it what FP8 loses, and gives what lies on disk."""

    def of(model):
        correct(model, seed)
        tensors = on_disk(model)
        if not fp8:
            return tensors
        small, back = quantized(tensors)
        model.load_state_dict(fused(back))
        # A layer after the last, which takes no part.
        prefix = "model." if "lm_head.weight" in tensors else ""
        return small | {f"{prefix}layers.{model.config.num_hidden_layers}.eh_proj.weight": torch.zeros(4, 4)}

    return of


def main():
    rope = {"rope_theta": 10000.0, "rope_type": "yarn"} | {key: value for key, value in YARN.items() if key != "type"}
    lite = DeepseekV2Config(**SHAPE, **LITE, rope_parameters=dict(rope))
    # Two different factors: cosine and sine have one of their own.
    v2 = DeepseekV2Config(**SHAPE, **V2, rope_parameters=rope | {"mscale": 1.0})
    v3 = DeepseekV3Config(**SHAPE, **V3, rope_parameters=dict(rope))
    of_v2 = {"scoring_func": "softmax"}
    of_v3 = {"topk_method": "noaux_tc", "scoring_func": "sigmoid", "num_nextn_predict_layers": 1}
    blocks = {"quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": BLOCK}}
    v2_kinds, v3_kinds = (DeepseekV2Model, DeepseekV2ForCausalLM), (DeepseekV3Model, DeepseekV3ForCausalLM)
    for name, config, (bare, whole), more, queries, seed in [
        ("deepseek_v2_lite", lite, v2_kinds, of_v2 | {"topk_method": "greedy"}, ["q_proj"], 200),
        ("deepseek_v2", v2, v2_kinds, of_v2 | {"topk_method": "group_limited_greedy"}, ["q_a_proj", "q_b_proj"], 210),
        ("deepseek_v3", v3, v3_kinds, of_v3, ["q_a_proj", "q_b_proj"], 220),
        ("deepseek_v3_fp8", v3, v3_kinds, of_v3 | blocks, ["q_a_proj", "q_b_proj"], 230),
    ]:
        fp8, targets, of = "fp8" in name, queries + TARGETS, fields(whole.__name__, more)
        make_decoders.make(name, bare(config), of, "model.", seed, False, targets, written(seed + 3, fp8))
        make_tasks.causal(f"causal_{name}", whole(config), of, seed + 5, targets, written(seed + 8, fp8))


if __name__ == "__main__":
    main()
