"""Tasks that answer by the token, with adapters that PEFT wrote. Causal models (a Llama, a Qwen2 with tied embeddings, a Qwen3):
log-probabilities of the answers' tokens, the loss on answers only, the gradient of every LoRA parameter in float64, each example
read alone, and 64 tokens that `generate` writes greedily after each of three prompts. Token classification (BERT, XLM-R, Llama):
logits of the labelled tokens and all gradients."""

import json

import torch
from common import GOLDEN, answers, generator, randomise_adapter, save, save_adapter, save_head
from make_decoders import LLAMA3, SHAPE, new_fields, old_fields
from peft import LoraConfig, get_peft_model
from transformers import (
    BertConfig,
    BertForTokenClassification,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    XLMRobertaConfig,
    XLMRobertaForTokenClassification,
)

LABELS = ["O", "B-病", "I-病"]
# Tokens of each example, and how many of them are the prompt.
EXAMPLES = [(24, 9), (17, 3), (9, 8), (24, 1), (5, 2), (13, 6), (8, 4)]
PROMPTS = [prompt for _, prompt in EXAMPLES]
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ENCODER = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, num_labels=len(LABELS),
    attn_implementation="eager",
)  # fmt: skip
ENCODER_FIELDS = (
    "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "hidden_act", "pad_token_id",
)  # fmt: skip


def randomise(model, seed, std=0.3):
    draw = generator(seed)
    for key, parameter in sorted(model.named_parameters()):
        centre = 1.0 if "norm" in key.lower() and key.endswith("weight") else 0.0
        parameter.copy_(centre + draw(*parameter.shape, std=std))
    return model.eval()


def write_base(folder, tensors, fields):
    base = folder / "base"
    save(base / "model.safetensors", tensors)
    (base / "config.json").write_text(json.dumps(fields, indent=2) + "\n")


def gradients(adapted):
    """By the names that wengu gives them: without the model's prefix."""
    found = {}
    for key, parameter in adapted.named_parameters():
        if parameter.grad is not None:
            name = key.removeprefix("base_model.model.").replace(".default", "").replace("modules_to_save.", "")
            for prefix in ("model.", "bert.", "roberta."):
                name = name.removeprefix(prefix)
            name = name.replace("score.", "classifier.") if name.startswith("score.") else name
            found[f"gradient.{name}"] = parameter.grad.float()
    return found


def causal(name, model, fields, seed, targets=TARGETS, written=lambda model: model.state_dict()):
    randomise(model, seed)
    folder = GOLDEN / name
    tied = model.config.tie_word_embeddings
    held = written(model)
    write_base(folder, {k: held[k] for k in held if not (tied and k == "lm_head.weight")}, fields(model.config))
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=12, target_modules=targets, task_type="CAUSAL_LM")).eval()
    randomise_adapter(adapted, seed + 1)
    save_adapter(adapted, folder / "adapter", name)

    source = torch.Generator().manual_seed(seed + 2)
    rows = [torch.randint(0, model.config.vocab_size, (length,), generator=source) for length, _ in EXAMPLES]
    settings = GenerationConfig(max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0, bos_token_id=0)
    model.config.eos_token_id = model.generation_config.eos_token_id = None
    written = [adapted.generate(input_ids=row[:7].unsqueeze(0)[:, : 7 - i], attention_mask=torch.ones(1, 7 - i).long(),
                                generation_config=settings)[0, 7 - i :] for i, row in enumerate(rows[:3])]  # fmt: skip
    adapted.double()
    said = answers(lambda row: adapted(input_ids=row.unsqueeze(0)).logits[0], rows, PROMPTS)
    expected = {"ids": torch.cat(rows).int(), "lengths": torch.tensor([n for n, _ in EXAMPLES]).int()}
    expected |= {"prompts": torch.tensor(PROMPTS).int(), "written": torch.stack(written).int()} | said | gradients(adapted)
    save(folder / "expected.safetensors", expected)
    print(f"{name}: {sum(key.startswith('gradient.') for key in expected)} gradients, loss {said['loss'].item():.3f}")


def tokens(name, model, fields, head, targets, first, seed):
    randomise(model, seed)
    folder = GOLDEN / name
    held = model.state_dict()
    write_base(folder, {k: held[k] for k in held if not k.startswith(head)}, fields)
    lora = LoraConfig(r=4, lora_alpha=12, target_modules=targets, task_type="TOKEN_CLS")
    adapted = get_peft_model(model, lora).eval()
    randomise_adapter(adapted, seed + 1)
    draw = generator(seed + 3)
    classifier = getattr(adapted.base_model.model, head).modules_to_save["default"]
    classifier.weight.copy_(draw(*classifier.weight.shape, std=0.3))
    classifier.bias.copy_(draw(*classifier.bias.shape, std=0.3))
    save_head(folder / "head", classifier.weight.clone(), classifier.bias.clone(), LABELS)
    save_adapter(adapted, folder / "adapter", name)
    adapted.double()

    source = torch.Generator().manual_seed(seed + 2)
    lengths = [length for length, _ in EXAMPLES]
    shape = (len(lengths), max(lengths))
    mask = (torch.arange(shape[1]) < torch.tensor(lengths).unsqueeze(1)).long()
    pad = model.config.pad_token_id or 0
    ids = torch.where(mask == 1, torch.randint(first, model.config.vocab_size, shape, generator=source), pad)
    # Two of three tokens begin a word and have a label.
    labels = torch.randint(0, len(LABELS), shape, generator=source)
    labels = torch.where((torch.rand(shape, generator=source) < 0.66) & (mask == 1), labels, -100)
    with torch.enable_grad():
        out = adapted(input_ids=ids, attention_mask=mask, labels=labels)
        out.loss.backward()
    expected = {"ids": ids.int(), "mask": mask.to(torch.uint8), "token_labels": labels.clamp(min=-1).int()}
    expected |= {"logits": out.logits[labels >= 0].detach().float(), "loss": out.loss.detach().float().reshape(1)}
    expected |= gradients(adapted)
    save(folder / "expected.safetensors", expected)
    print(f"{name}: {sum(key.startswith('gradient.') for key in expected)} gradients, loss {out.loss:.3f}")


def encoder_fields(config, architecture):
    fields = json.loads(config.to_json_string(use_diff=False))
    return {"architectures": [architecture]} | {name: fields[name] for name in ENCODER_FIELDS}


def main():
    llama = LlamaConfig(**SHAPE, rope_parameters={"rope_theta": 500000.0, **LLAMA3})
    causal("causal_llama", LlamaForCausalLM(llama), old_fields, 100)
    plain = {"rope_theta": 1000000.0, "rope_type": "default"}
    qwen2 = Qwen2Config(**SHAPE, tie_word_embeddings=True, rope_parameters=plain)
    causal("causal_qwen2", Qwen2ForCausalLM(qwen2), new_fields("Qwen2ForCausalLM"), 110)
    qwen3 = Qwen3Config(**SHAPE, head_dim=12, rope_parameters=plain)
    causal("causal_qwen3", Qwen3ForCausalLM(qwen3), new_fields("Qwen3ForCausalLM"), 120)

    names = ["query", "key", "value", "dense"]
    bert = BertConfig(**ENCODER, vocab_size=130, max_position_embeddings=26)
    tokens("tokens_bert", BertForTokenClassification(bert), encoder_fields(bert, "BertForMaskedLM"), "classifier", names, 0, 130)
    xlmr = XLMRobertaConfig(**ENCODER, vocab_size=130, max_position_embeddings=28, type_vocab_size=1, pad_token_id=1)
    model = XLMRobertaForTokenClassification(xlmr)
    tokens("tokens_xlmr", model, encoder_fields(xlmr, "XLMRobertaForMaskedLM"), "classifier", names, 3, 140)
    config = LlamaConfig(**SHAPE, num_labels=len(LABELS), rope_parameters=plain)
    fields = new_fields("LlamaForCausalLM")(config)
    tokens("tokens_llama", LlamaForTokenClassification(config), fields, "score", TARGETS, 0, 150)


if __name__ == "__main__":
    main()
