"""What LoRA can be beside plain: rsLoRA, ranks and alphas by pattern, DoRA. Adapters of the small BERT (tiny/base) and of the small
causal Llama (causal_llama/base) that PEFT wrote: logits or log-probabilities, and the gradient of every trained parameter in
float64. A fresh magnitude is the row's own length, which would hide mistakes: it is changed like A and B."""

from common import GOLDEN, generator, randomise_adapter
from peft import LoraConfig, get_peft_model
from peft_adapters import bert, llama

METHODS = {
    "rslora": dict(use_rslora=True),
    "patterns": dict(
        rank_pattern={r"layers?\.0\.(attention|self_attn)\..*": 2, "(up_proj|intermediate.dense)": 6},
        alpha_pattern={r"layers?\.1\..*": 20},
    ),
    "dora": dict(use_dora=True),
}
TARGETS = {"bert": ["query", "value", "dense"], "llama": ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]}


def adapted(model, kind, method, task, seed):
    config = LoraConfig(r=4, lora_alpha=12, target_modules=TARGETS[kind], task_type=task, **METHODS[method])
    model = get_peft_model(model, config).eval()
    randomise_adapter(model, seed)
    draw = generator(seed + 1)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_magnitude_vector" in name:
            parameter.mul_(1 + draw(*parameter.shape, std=0.2))
    return model


def stripped(expected):
    """DoRA's parameter is a layer's weight inside PEFT, and no layer in the file."""
    return {key.replace("lora_magnitude_vector.weight", "lora_magnitude_vector"): value for key, value in expected.items()}


def main():
    for seed, method in enumerate(METHODS):
        on = lambda kind, task, seed: lambda base: adapted(base, kind, method, task, seed)
        bert(GOLDEN / f"{method}_bert", on("bert", "SEQ_CLS", 300 + 10 * seed), stripped)
        llama(GOLDEN / f"{method}_llama", on("llama", "CAUSAL_LM", 400 + 10 * seed), stripped)
        print(method)


if __name__ == "__main__":
    main()
