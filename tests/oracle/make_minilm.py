"""Expected values of all-MiniLM-L6-v2: embeddings, logits of a fixed head, and the same with a PEFT adapter."""

import torch
from common import GOLDEN, MAX_LENGTH, MINILM, TEXTS, generator, mean_pool, randomise_adapter, save, save_adapter, save_head
from peft import LoraConfig, get_peft_model
from transformers import AutoModel, AutoTokenizer

LABELS = ["termination", "liability", "symptom", "treatment", "其他"]


def main():
    tokenizer = AutoTokenizer.from_pretrained(MINILM)
    batch = tokenizer([t["text"] for t in TEXTS], padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
    ids, mask = batch["input_ids"], batch["attention_mask"]
    model = AutoModel.from_pretrained(MINILM, attn_implementation="eager").double().eval()
    draw = generator(20)
    weight, bias = draw(len(LABELS), model.config.hidden_size, std=0.5), draw(len(LABELS))
    # What is compared is what float32 files can hold.
    weight, bias = weight.float().double(), bias.float().double()

    folder = GOLDEN / "minilm"
    save_head(folder / "head", weight, bias, LABELS)
    pooled = mean_pool(model(ids, mask).last_hidden_state, mask)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"], task_type="FEATURE_EXTRACTION")
    adapted = get_peft_model(model, config)
    randomise_adapter(adapted, 21)
    save_adapter(adapted.float(), folder / "adapter", "sentence-transformers/all-MiniLM-L6-v2")
    adapted_pooled = mean_pool(adapted.double()(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
    save(
        folder / "expected.safetensors",
        {
            "ids": ids.int(),
            "mask": mask.to(torch.uint8),
            "pooled": pooled.float(),
            "logits": (pooled @ weight.T + bias).float(),
            "adapted_logits": (adapted_pooled @ weight.T + bias).float(),
        },
    )
    moved = (adapted_pooled - pooled).abs().max().item()
    print(f"minilm: {tuple(ids.shape)} ids, the adapter moves embeddings by up to {moved:.3f}")


main()
