"""Makes the small decoder of the learning benchmark: a Llama of about eight million parameters, trained from nothing on the training texts of the
public data sets, since the weights of no small one are at hand.

usage: decoder.py DATA_DIR OUT_DIR [--seconds N] [--device DEVICE] [--seed N] [--text-mib N]

It reads every train.jsonl: texts, and instructions with their answers as conversations; no label, and nothing of the test parts. The tokenizer is
minimind's (Apache-2.0). OUT_DIR gets config.json, tokenizer.json, tokenizer_config.json, model.safetensors (BF16) and training.json, which says how
long it was trained and the loss on texts that were held out.
"""
import argparse, json, math, random, shutil, time
from pathlib import Path

LENGTH, BATCH, RATE = 256, 128, 3e-3
# ChatML, as minimind's, without what it says of tools and thoughts.
TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def arguments():
    parser = argparse.ArgumentParser()
    for name in ["data", "out"]:
        parser.add_argument(name)
    parser.add_argument("--seconds", type=float, default=3600.0, help="of training")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--text-mib", type=float, default=64.0, help="of the texts, shuffled")
    return parser.parse_args()


def texts(data):
    for path in sorted(Path(data).glob("*/train.jsonl")):
        for line in open(path, encoding="utf-8"):
            record = json.loads(line)
            if "instruction" in record:
                asked = "\n".join(part for part in [record["instruction"], record.get("input")] if part)
                yield f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{record['output']}<|im_end|>\n"
            elif "tokens" in record:
                joint = " " if all(token.isascii() for token in record["tokens"]) else ""
                yield joint.join(record["tokens"]) + "<|im_end|>"
            else:
                yield from (record[name] + "<|im_end|>" for name in ["text", "zh", "en"] if name in record)


def main():
    args = arguments()
    import numpy, torch
    from tokenizers import Tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(args.seed)
    out, source = Path(args.out), Path(args.data) / "tokenizers" / "minimind"
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    shutil.copy(source / "tokenizer.json", out / "tokenizer.json")
    settings = {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast",
                "chat_template": TEMPLATE}
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    every = list(texts(args.data))
    random.Random(args.seed).shuffle(every)
    size, kept = 0, []
    for text in every:
        size += len(text.encode())
        if size > args.text_mib * 2**20:
            break
        kept.append(text)
    ids = numpy.concatenate([numpy.array(e.ids, dtype=numpy.int64) for e in tokenizer.encode_batch(kept, add_special_tokens=False)])
    rows = torch.from_numpy(ids[: len(ids) // LENGTH * LENGTH].reshape(-1, LENGTH))
    held, rows = rows[:256].to(args.device), rows[256:].to(args.device)
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=256, intermediate_size=704, num_hidden_layers=8, num_attention_heads=8,
                         num_key_value_heads=4, max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=None, eos_token_id=2,
                         pad_token_id=0, dtype="bfloat16")
    model = LlamaForCausalLM(config).to(args.device, torch.float32)
    low = torch.autocast(args.device.split(":")[0], torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1)

    def loss_of(batch):
        with low:
            logits = model(input_ids=batch).logits
        return torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch[:, 1:].flatten())

    began, step, share = time.monotonic(), 0, 0.0
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {rows.numel():,} tokens", flush=True)
    while share < 1.0:
        # A cosine over the time there is, after a short rise.
        rate = RATE * min(1.0, (step + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(rows[torch.randint(len(rows), (BATCH,), device=rows.device)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        share = (time.monotonic() - began) / args.seconds
        if step % 500 == 0:
            print(f"step {step}: {loss.item():.3f}", flush=True)
    with torch.no_grad():
        last = torch.stack([loss_of(part) for part in held.split(64)]).mean().item()
    model.to(torch.bfloat16).save_pretrained(out)
    told = {"steps": step, "tokens": step * BATCH * LENGTH, "text_tokens": rows.numel(), "held_out_loss_nats": last, "seconds": args.seconds,
            "seed": args.seed, "device": args.device}
    (out / "training.json").write_text(json.dumps(told, indent=1) + "\n")
    print(told)


if __name__ == "__main__":
    main()
