"""The tiny model with two tokens more: logits, and gradients in float64, of PEFT with trainable_token_indices."""

import torch
from common import GOLDEN, generator, randomise_adapter, read_head, save, save_adapter, save_head
from peft import LoraConfig, get_peft_model
from transformers import BertForSequenceClassification

LABELS = ["甲", "乙", "丙"]
PIECES = [[5, 9, 77], [12, 140]]
LENGTHS = [24, 17, 9, 24, 2, 13]


def main():
    folder = GOLDEN / "terms"
    model = BertForSequenceClassification.from_pretrained(
        GOLDEN / "tiny/base", num_labels=len(LABELS), attn_implementation="eager"
    ).eval()
    weight, bias = read_head(GOLDEN / "tiny/head")
    model.classifier.weight.copy_(weight)
    model.classifier.bias.copy_(bias)
    save_head(folder / "head", weight, bias, LABELS)
    vocabulary = model.config.vocab_size
    model.resize_token_embeddings(vocabulary + len(PIECES), mean_resizing=False)
    table = model.get_input_embeddings().weight
    means = torch.stack([table[pieces].mean(0) for pieces in PIECES])
    table[vocabulary:] = means
    lora = LoraConfig(
        r=4, lora_alpha=12, target_modules=["query", "key", "value", "dense"], task_type="SEQ_CLS",
        trainable_token_indices=[vocabulary, vocabulary + 1],
    )  # fmt: skip
    adapted = get_peft_model(model, lora).eval()
    randomise_adapter(adapted, 41)
    draw = generator(42)
    for name, parameter in adapted.named_parameters():
        if "trainable_tokens_delta" in name:
            assert (parameter - means).abs().max() == 0, "PEFT begins with the rows of the table"
            parameter.copy_(draw(*parameter.shape, std=0.3))
    save_adapter(adapted, folder / "adapter", "tiny")
    adapted.double()

    source = torch.Generator().manual_seed(43)
    ids = torch.randint(0, vocabulary + len(PIECES), (len(LENGTHS), max(LENGTHS)), generator=source)
    ids[:, 1::5] = vocabulary + torch.randint(0, len(PIECES), ids[:, 1::5].shape, generator=source)
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)).long()
    ids = ids * mask
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    with torch.enable_grad():
        logits = adapted(input_ids=ids, attention_mask=mask).logits
        torch.nn.functional.cross_entropy(logits, labels).backward()
    expected = {"ids": ids.int(), "mask": mask.to(torch.uint8), "labels": labels.int(), "logits": logits.detach().float()}
    expected["means"] = means.float()
    for name, parameter in adapted.named_parameters():
        if parameter.grad is not None:
            name = name.removeprefix("base_model.model.").removeprefix("bert.").replace(".default", "")
            name = name.replace("modules_to_save.", "")
            name = name.replace("token_adapter.trainable_tokens_delta", "trainable_tokens")
            expected[f"gradient.{name}"] = parameter.grad.float()
    save(folder / "expected.safetensors", expected)
    print(f"terms: {sum(name.startswith('gradient.') for name in expected)} gradients")


main()
