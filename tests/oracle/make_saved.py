"""Adapters of PEFT that carry whole modules (`modules_to_save`) beside low-rank updates: the small BERT (tiny/base) with its pooler and
its table of embeddings, the small causal Llama (causal_llama/base) with its table, its output layer and one linear layer a layer. The
modules are changed at random, as training would. Logits or log-probabilities, and the gradient of every trained parameter in float64."""

import torch
from common import GOLDEN, answers, generator, randomise_adapter, save, save_adapter, save_head
from make_tasks import gradients
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification


def adapted(model, targets, saved, task, seed):
    config = LoraConfig(r=4, lora_alpha=12, target_modules=targets, modules_to_save=saved, task_type=task)
    model = get_peft_model(model, config).eval()
    randomise_adapter(model, seed)
    draw = generator(seed + 1)
    for name, parameter in sorted(model.named_parameters()):
        if "modules_to_save" in name and "classifier" not in name:
            parameter.add_(draw(*parameter.shape, std=0.05))
    return model


def bert(folder=GOLDEN / "saved_bert", seed=70):
    source = load_file(GOLDEN / "tiny/expected.safetensors")
    base = AutoModelForSequenceClassification.from_pretrained(GOLDEN / "tiny/base", num_labels=3, attn_implementation="eager")
    head = load_file(GOLDEN / "tiny/head/head.safetensors")
    base.classifier.weight.copy_(head["classifier.weight"])
    base.classifier.bias.copy_(head["classifier.bias"])
    model = adapted(base, ["query", "value"], ["pooler", "word_embeddings"], "SEQ_CLS", seed)
    save_head(folder / "head", head["classifier.weight"], head["classifier.bias"], ["甲", "乙", "丙"])
    save_adapter(model, folder / "adapter", "tiny")
    model.double()
    with torch.enable_grad():
        logits = model(input_ids=source["ids"].long(), attention_mask=source["mask"].long()).logits
        torch.nn.functional.cross_entropy(logits, source["labels"].long()).backward()
    expected = {key: source[key] for key in ["ids", "mask", "labels"]} | {"logits": logits.detach().float()}
    save(folder / "expected.safetensors", expected | gradients(model))


def llama(folder=GOLDEN / "saved_llama", seed=80):
    source = load_file(GOLDEN / "causal_llama/expected.safetensors")
    base = AutoModelForCausalLM.from_pretrained(GOLDEN / "causal_llama/base", attn_implementation="eager")
    model = adapted(base, ["q_proj", "v_proj"], ["embed_tokens", "lm_head", "down_proj"], "CAUSAL_LM", seed)
    save_adapter(model, folder / "adapter", "causal_llama")
    model.double()
    rows = source["ids"].long().split(source["lengths"].tolist())
    said = answers(lambda row: model(input_ids=row.unsqueeze(0)).logits[0], rows, source["prompts"].tolist())
    expected = {key: source[key] for key in ["ids", "lengths", "prompts"]} | said | gradients(model)
    save(folder / "expected.safetensors", expected)


if __name__ == "__main__":
    bert()
    llama()
