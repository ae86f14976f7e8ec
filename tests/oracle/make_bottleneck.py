"""Bottleneck adapters that AdapterHub's `adapters` library wrote for the base models of the other scripts, in both placements: logits
or log-probabilities, greedy tokens, and the gradient of every trained parameter in float64. Biases begin as zero, which would hide
mistakes: every number is drawn anew. Runs on the versions of requirements-adapters.txt."""

import json

import adapters
import torch
from adapters import DoubleSeqBnConfig, SeqBnConfig
from common import GOLDEN, answers, generator, mean_pool, read_head, save, save_head
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, GenerationConfig

LABELS = ["甲", "乙", "丙"]
CONFIGS = {"seq_bn": SeqBnConfig(reduction_factor=4), "double_seq_bn": DoubleSeqBnConfig(reduction_factor=8)}


def adapted(model, placement, seed, **changes):
    adapters.init(model)
    model.add_adapter("wengu", config=CONFIGS[placement].replace(**changes))
    model.train_adapter("wengu")
    draw = generator(seed)
    for name, parameter in sorted(model.named_parameters()):
        if ".adapters.wengu." in name:
            parameter.copy_(draw(*parameter.shape, std=0.3))
    return model.eval()


def write_adapter(model, folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    model.save_adapter(str(folder), "wengu", with_head=False, use_safetensors=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text()) | {"model_name": name}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (folder / "adapter.safetensors").chmod(0o644)


def gradients(model):
    """By the names that wengu gives them: without the model's prefix."""
    found = {}
    for key, parameter in model.named_parameters():
        if ".adapters.wengu." in key:
            for prefix in ("model.", "bert.", "roberta."):
                key = key.removeprefix(prefix)
            found[f"gradient.{key}"] = parameter.grad.float()
    return found


def classifier(name, placement, base, kind, seed, **changes):
    """With BERT's pooler, or a head on the mean of a bare model's vectors."""
    source = load_file(GOLDEN / base / "expected.safetensors")
    ids, mask, labels = source["ids"].long(), source["mask"].long(), source["labels"].long()
    eager = dict(attn_implementation="eager")
    weight, bias = read_head(GOLDEN / base / "head")
    if kind == "pooler":
        model = AutoModelForSequenceClassification.from_pretrained(GOLDEN / base / "base", num_labels=len(LABELS), **eager)
    else:
        model = AutoModel.from_pretrained(GOLDEN / base / "base", **eager)
    model = adapted(model, placement, seed, **changes)
    save_head(GOLDEN / name / "head", weight, bias, LABELS)
    write_adapter(model, GOLDEN / name / "adapter", base)
    model.double()
    weight, bias = weight.double().requires_grad_(), bias.double().requires_grad_()
    with torch.enable_grad():
        if kind == "pooler":
            vectors = model.bert(input_ids=ids, attention_mask=mask).pooler_output
        else:
            vectors = mean_pool(model(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
        logits = vectors @ weight.T + bias
        torch.nn.functional.cross_entropy(logits, labels).backward()
    expected = {key: source[key] for key in ["ids", "mask", "labels"]} | {"logits": logits.detach().float()}
    expected |= gradients(model) | {"gradient.classifier.weight": weight.grad.float()}
    save(GOLDEN / name / "expected.safetensors", expected | {"gradient.classifier.bias": bias.grad.float()})
    print(f"{name}: {sum(key.startswith('gradient.') for key in expected) + 1} gradients")


def causal(name, placement, seed):
    source = load_file(GOLDEN / "causal_llama/expected.safetensors")
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "causal_llama/base", attn_implementation="eager")
    model = adapted(model, placement, seed)
    write_adapter(model, GOLDEN / name / "adapter", "causal_llama")
    rows = source["ids"].long().split(source["lengths"].tolist())
    # adapters 1.3 does not hand transformers 4.57's cache on to its attention, which would then see one token at a time.
    settings = dict(do_sample=False, eos_token_id=None, pad_token_id=0, bos_token_id=0, use_cache=False)
    settings = GenerationConfig(max_new_tokens=64, **settings)
    model.config.eos_token_id = model.generation_config.eos_token_id = None
    written = []
    for i, row in enumerate(rows[:3]):
        prompt = row[: 7 - i].unsqueeze(0)
        answer = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=settings)
        written.append(answer[0, 7 - i :])
    model.double()
    said = answers(lambda row: model(input_ids=row.unsqueeze(0)).logits[0], rows, source["prompts"].tolist())
    expected = {key: source[key] for key in ["ids", "lengths", "prompts"]}
    expected |= {"written": torch.stack(written).int()} | said | gradients(model)
    save(GOLDEN / name / "expected.safetensors", expected)
    print(f"{name}: {sum(key.startswith('gradient.') for key in expected)} gradients, loss {said['loss'].item():.3f}")


def main():
    for seed, placement in enumerate(CONFIGS):
        classifier(f"{placement}_bert", placement, "tiny", "pooler", 600 + seed)
        causal(f"{placement}_llama", placement, 610 + seed)
    classifier("seq_bn_xlmr", "seq_bn", "xlmr", "mean", 620, non_linearity="gelu")
    classifier("double_seq_bn_xlmr", "double_seq_bn", "xlmr", "mean", 621, non_linearity="tanh")


if __name__ == "__main__":
    main()
