"""Paths and small helpers of the oracle scripts."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/trainer"
MINILM = ROOT / ".deps/models/all-MiniLM-L6-v2"
TEXTS = [json.loads(line) for line in (Path(__file__).parent / "texts.jsonl").read_text().splitlines()]
# Shorter than the longest of the texts, longer than most: both padding and truncation take part.
MAX_LENGTH = 128

torch.set_grad_enabled(False)
torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)


def generator(seed):
    """Random numbers of one seed, in float64."""
    source = torch.Generator().manual_seed(seed)
    return lambda *shape, std=1.0: torch.randn(*shape, generator=source, dtype=torch.float64) * std


def save(path, tensors):
    """A safetensors file with contiguous tensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    path.chmod(0o644)


def save_head(folder, weight, bias, labels):
    """A head folder as the trainer keeps it."""
    save(folder / "head.safetensors", {"classifier.weight": weight.float(), "classifier.bias": bias.float()})
    (folder / "labels.json").write_text(json.dumps({"schema": 1, "labels": labels}, ensure_ascii=False, indent=2))


def read_head(folder):
    """Weight and bias of a head folder."""
    tensors = load_file(folder / "head.safetensors")
    return tensors["classifier.weight"], tensors["classifier.bias"]


def mean_pool(hidden, mask):
    """Mean of the vectors where the mask is 1."""
    mask = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)


def pool(folder, hidden, mask):
    """The pooling that the folder's 1_Pooling/config.json says."""
    config = json.loads((Path(folder) / "1_Pooling/config.json").read_text())
    return mean_pool(hidden, mask) if config["pooling_mode_mean_tokens"] else hidden[:, 0]


def randomise_adapter(model, seed):
    """Gives every A and B of a PEFT model random values: a fresh B is zero and would hide mistakes."""
    draw = generator(seed)
    for name, parameter in sorted(model.named_parameters()):
        if ".lora_A." in name or ".lora_B." in name:
            parameter.copy_(draw(*parameter.shape, std=0.3 / parameter.shape[1] ** 0.5))


def save_adapter(model, folder, name):
    """Saves as PEFT does, without the path of this machine and without the model card."""
    model.peft_config["default"].base_model_name_or_path = name
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    (folder / "adapter_model.safetensors").chmod(0o644)
    config = json.loads((folder / "adapter_config.json").read_text())
    # Sets in PEFT: their order differs from run to run.
    for field in ("target_modules", "modules_to_save"):
        if config.get(field):
            config[field] = sorted(set(config[field]))
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def answers(logits_of, rows, prompts):
    """Of causal examples one by one: the log-probability of each token of the answers, and their mean loss, whose gradients are taken.
    `logits_of` gives the logits of a row's tokens, [tokens, vocabulary]; a row's first tokens are its prompt."""
    log_p = []
    with torch.enable_grad():
        for row, prompt in zip(rows, prompts):
            logits = logits_of(row)[prompt - 1 : -1]
            log_p.append(logits.log_softmax(-1).gather(1, row[prompt:].unsqueeze(1)).squeeze(1))
        loss = -torch.cat(log_p).mean()
        loss.backward()
    return {"log_p": torch.cat(log_p).detach().float(), "loss": loss.detach().float().reshape(1)}
