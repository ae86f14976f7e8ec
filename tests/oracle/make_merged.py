"""Names and shapes of the tensors of merged models: those of transformers' classes for the small models of the golden files."""

import json

from common import GOLDEN
from make_deepseek import on_disk
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers import AutoModelForTokenClassification

# The base model, the class, and how many rows the table of embeddings has grown by.
CASES = {
    "tiny": ("tiny", AutoModelForSequenceClassification, 0),
    "terms": ("tiny", AutoModelForSequenceClassification, 2),
    "xlmr": ("xlmr", AutoModel, 0),
    **{name: (name, AutoModel, 0) for name in ("llama", "qwen2", "qwen3")},
    **{f"unbiased_{name}": (name, AutoModelForSequenceClassification, 0) for name in ("llama", "qwen2", "qwen3")},
    **{name: (name, AutoModelForTokenClassification, 0) for name in ("tokens_bert", "tokens_xlmr", "tokens_llama")},
    **{name: (name, AutoModelForCausalLM, 0) for name in ("causal_llama", "causal_qwen2", "causal_qwen3")},
    **{name: (name, AutoModelForCausalLM, 0) for name in ("causal_deepseek_v2_lite", "causal_deepseek_v2", "causal_deepseek_v3", "causal_deepseek_v3_fp8")},
    **{f"{kind}_bert": ("tiny", AutoModelForSequenceClassification, 0) for kind in ("rslora", "patterns", "dora", "saved")},
    **{f"{kind}_llama": ("causal_llama", AutoModelForCausalLM, 0) for kind in ("rslora", "patterns", "dora", "saved")},
    **{f"experts_{name}": (f"causal_{name}", AutoModelForCausalLM, 0) for name in ("deepseek_v2", "deepseek_v3")},
    "deepseek_v3_fp8": ("deepseek_v3_fp8", AutoModel, 0),
}  # fmt: skip


def shapes(base, kind, grown):
    config = AutoConfig.from_pretrained(GOLDEN / base / "base", num_labels=3)
    config.vocab_size += grown
    # What is written of eight bits is plain numbers.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    names = {name: list(tensor.shape) for name, tensor in on_disk(kind.from_config(config)).items()}
    if config.tie_word_embeddings and kind is AutoModelForCausalLM:
        del names["lm_head.weight"]
    return names


def main():
    found = {name: shapes(*case) for name, case in CASES.items()}
    lines = [f'  "{name}": {json.dumps(names, sort_keys=True)}' for name, names in sorted(found.items())]
    (GOLDEN / "merged.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"merged: {len(found)} models, {sum(map(len, found.values()))} tensors")


main()
