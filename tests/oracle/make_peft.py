"""What LoRA can be beside plain: rsLoRA, ranks and alphas by pattern, DoRA. Adapters of the small BERT (tiny/base) and of the small
causal Llama (causal_llama/base) that PEFT wrote: logits or log-probabilities, and the gradient of every trained parameter in
float64. A fresh magnitude is the row's own length, which would hide mistakes: it is changed like A and B."""

import torch
from common import GOLDEN, answers, generator, randomise_adapter, save, save_adapter, save_head
from make_tasks import gradients
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

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


def bert(method, seed):
    folder = GOLDEN / f"{method}_bert"
    source = load_file(GOLDEN / "tiny/expected.safetensors")
    base = AutoModelForSequenceClassification.from_pretrained(GOLDEN / "tiny/base", num_labels=3, attn_implementation="eager")
    head = load_file(GOLDEN / "tiny/head/head.safetensors")
    base.classifier.weight.copy_(head["classifier.weight"])
    base.classifier.bias.copy_(head["classifier.bias"])
    model = adapted(base, "bert", method, "SEQ_CLS", seed)
    save_head(folder / "head", head["classifier.weight"], head["classifier.bias"], ["甲", "乙", "丙"])
    save_adapter(model, folder / "adapter", "tiny")
    model.double()
    with torch.enable_grad():
        logits = model(input_ids=source["ids"].long(), attention_mask=source["mask"].long()).logits
        torch.nn.functional.cross_entropy(logits, source["labels"].long()).backward()
    expected = {key: source[key] for key in ["ids", "mask", "labels"]} | {"logits": logits.detach().float()}
    save(folder / "expected.safetensors", stripped(expected | gradients(model)))


def llama(method, seed):
    folder = GOLDEN / f"{method}_llama"
    source = load_file(GOLDEN / "causal_llama/expected.safetensors")
    base = AutoModelForCausalLM.from_pretrained(GOLDEN / "causal_llama/base", attn_implementation="eager")
    model = adapted(base, "llama", method, "CAUSAL_LM", seed)
    save_adapter(model, folder / "adapter", "causal_llama")
    model.double()
    rows = source["ids"].long().split(source["lengths"].tolist())
    said = answers(lambda row: model(input_ids=row.unsqueeze(0)).logits[0], rows, source["prompts"].tolist())
    expected = {key: source[key] for key in ["ids", "lengths", "prompts"]} | said | gradients(model)
    save(folder / "expected.safetensors", stripped(expected))


def main():
    for seed, method in enumerate(METHODS):
        bert(method, 300 + 10 * seed)
        llama(method, 400 + 10 * seed)
        print(method)


if __name__ == "__main__":
    main()
