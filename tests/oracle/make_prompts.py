"""Prompt tuning, with prompts that PEFT wrote for the base models of the other scripts: logits or log-probabilities, and the
gradient of every trained parameter in float64. PEFT puts the prompt in front of the whole line; the examples that a line of wengu
may hold, and those that are padded on the left, are read here one by one without padding. Sentence-transformers averages over
virtual tokens too (its Transformer module lengthens the mask by ones), and so does mean pooling here."""

import json

import torch
from common import GOLDEN, answers, generator, mean_pool, read_head, save, save_adapter, save_head
from peft import PromptTuningConfig, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    GenerationConfig,
)

CAUSAL = ["llama", "qwen2", "qwen3", "deepseek_v2_lite", "deepseek_v2", "deepseek_v3"]
TOKENS = ["bert", "xlmr", "llama"]
LABELS = ["甲", "乙", "丙"]


def prompted(model, task, virtual_tokens, seed):
    """The model with a prompt of random numbers, far enough from zero to be seen."""
    config = PromptTuningConfig(num_virtual_tokens=virtual_tokens, task_type=task, prompt_tuning_init="SAMPLE_VOCAB")
    model = get_peft_model(model.eval(), config).eval()
    embedding = model.prompt_encoder["default"].embedding.weight
    embedding.copy_(generator(seed)(*embedding.shape, std=0.5))
    return model


def gradient(model):
    return {"gradient.prompt_embeddings": model.prompt_encoder["default"].embedding.weight.grad.float()}


def sequences(folder):
    """Ids, mask and labels of a classifier's golden, cut so that a prompt fits before them."""
    source = load_file(GOLDEN / folder / "expected.safetensors")
    return source["ids"].long()[:, :19], source["mask"].long()[:, :19], source["labels"].long()


def saved(name, ids, mask, labels, logits, gradients):
    expected = {"ids": ids.int(), "mask": mask.to(torch.uint8), "labels": labels.int(), "logits": logits.detach().float()}
    save(GOLDEN / name / "expected.safetensors", expected | gradients)
    print(f"{name}: {len(gradients)} gradients, logits from {logits.min():.3f} to {logits.max():.3f}")


def pooler():
    """BERT's pooler reads the first vector, which is the first virtual token's."""
    name, (ids, mask, labels) = "prompt_bert", sequences("tiny")
    base = AutoModelForSequenceClassification.from_pretrained(GOLDEN / "tiny/base", num_labels=3, attn_implementation="eager")
    weight, bias = read_head(GOLDEN / "tiny/head")
    base.classifier.weight.copy_(weight)
    base.classifier.bias.copy_(bias)
    model = prompted(base, "SEQ_CLS", 5, 500)
    save_head(GOLDEN / name / "head", weight, bias, LABELS)
    save_adapter(model, GOLDEN / name / "adapter", "tiny")
    model.double()
    with torch.enable_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
        torch.nn.functional.cross_entropy(logits, labels).backward()
    head = model.base_model.classifier.modules_to_save["default"]
    gradients = {"gradient.classifier.weight": head.weight.grad.float(), "gradient.classifier.bias": head.bias.grad.float()}
    saved(name, ids, mask, labels, logits, gradients | gradient(model))


def pooled(name, base, pool, seed):
    """A head on the pooled vectors of a bare model. `pool` takes vectors and a mask that count the virtual tokens."""
    ids, mask, labels = sequences(base)
    model = prompted(AutoModel.from_pretrained(GOLDEN / base / "base", attn_implementation="eager"), "FEATURE_EXTRACTION", 5, seed)
    weight, bias = read_head(GOLDEN / base / "head")
    save_head(GOLDEN / name / "head", weight, bias, LABELS)
    save_adapter(model, GOLDEN / name / "adapter", base)
    model.double()
    weight, bias = weight.double().requires_grad_(), bias.double().requires_grad_()
    vectors = []
    with torch.enable_grad():
        for row, seen in zip(ids, mask):
            row = row[seen == 1].unsqueeze(0)
            hidden = model(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state
            assert hidden.shape[1] == row.shape[1] + 5
            vectors.append(pool(hidden, torch.ones(hidden.shape[:2])))
        logits = torch.cat(vectors) @ weight.T + bias
        torch.nn.functional.cross_entropy(logits, labels).backward()
    gradients = {"gradient.classifier.weight": weight.grad.float(), "gradient.classifier.bias": bias.grad.float()}
    saved(name, ids, mask, labels, logits, gradients | gradient(model))


def causal(family, seed):
    name, base = f"prompt_causal_{family}", f"causal_{family}"
    source = load_file(GOLDEN / base / "expected.safetensors")
    eager = dict(attn_implementation="eager") | (dict(experts_implementation="eager") if "deepseek" in family else {})
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / base / "base", **eager)
    model = prompted(model, "CAUSAL_LM", 5, seed)
    save_adapter(model, GOLDEN / name / "adapter", base)
    rows = source["ids"].long().split(source["lengths"].tolist())
    settings = GenerationConfig(max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0, bos_token_id=0)
    model.config.eos_token_id = model.base_model.generation_config.eos_token_id = None
    written = []
    for i, row in enumerate(rows[:3]):
        prompt = row[: 7 - i].unsqueeze(0)
        answer = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=settings)
        written.append(answer[0, 7 - i :])
    model.double()

    def logits_of(row):
        logits = model(input_ids=row.unsqueeze(0), attention_mask=torch.ones(1, len(row))).logits[0]
        assert len(logits) == len(row) + 5
        return logits[5:]

    said = answers(logits_of, rows, source["prompts"].tolist())
    expected = {key: source[key] for key in ["ids", "lengths", "prompts"]}
    expected |= {"written": torch.stack(written).int()} | said | gradient(model)
    save(GOLDEN / name / "expected.safetensors", expected)
    print(f"{name}: loss {said['loss'].item():.3f}")


def tokens(family, seed):
    """Two virtual tokens: with the longest example as many as the model takes."""
    name, base = f"prompt_tokens_{family}", f"tokens_{family}"
    source = load_file(GOLDEN / base / "expected.safetensors")
    weight, bias = read_head(GOLDEN / base / "head")
    model = AutoModelForTokenClassification.from_pretrained(GOLDEN / base / "base", num_labels=3, attn_implementation="eager")
    head = "score" if family == "llama" else "classifier"
    getattr(model, head).weight.copy_(weight)
    getattr(model, head).bias.copy_(bias)
    model = prompted(model, "TOKEN_CLS", 2, seed)
    labels = json.loads((GOLDEN / base / "head/labels.json").read_text())["labels"]
    save_head(GOLDEN / name / "head", weight, bias, labels)
    save_adapter(model, GOLDEN / name / "adapter", base)
    model.double()
    wanted = source["token_labels"].long()
    with torch.enable_grad():
        logits = model(input_ids=source["ids"].long(), attention_mask=source["mask"].long()).logits[:, 2:][wanted >= 0]
        loss = torch.nn.functional.cross_entropy(logits, wanted[wanted >= 0])
        loss.backward()
    kept = getattr(model.base_model, head).modules_to_save["default"]
    expected = {key: source[key] for key in ["ids", "mask", "token_labels"]} | {"logits": logits.detach().float()}
    expected |= {"loss": loss.detach().float().reshape(1)} | gradient(model)
    expected |= {"gradient.classifier.weight": kept.weight.grad.float(), "gradient.classifier.bias": kept.bias.grad.float()}
    save(GOLDEN / name / "expected.safetensors", expected)
    print(f"{name}: loss {loss:.3f}")


def main():
    pooler()
    pooled("prompt_xlmr", "xlmr", mean_pool, 510)
    pooled("prompt_llama", "llama", lambda hidden, mask: hidden[:, -1], 520)
    for seed, family in enumerate(CAUSAL):
        causal(family, 530 + seed)
    for seed, family in enumerate(TOKENS):
        tokens(family, 540 + seed)


if __name__ == "__main__":
    main()
