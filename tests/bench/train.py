"""Training and prediction beside PEFT + transformers, in one run on one machine: same model, adapter, data, batch, threads.

usage: train.py MODEL_DIR TRAINER DATA_DIR OUT_DIR [--rounds N]

DATA_DIR holds train.jsonl and test.jsonl with `text` and `label`, or is examples/demo/contracts. Each contender is a process of its own, so that peak
memory is its own; rounds alternate between them, and the median round counts. Tokens are those of the texts, without
padding. PEFT trains with batches grouped by length (transformers' LengthGroupedSampler) and lengths padded to a multiple
of 8, in both precisions; the better one is its result. The speed of matrix products is measured in the same rounds, and each result
stands beside what it allows at most (floor.py).
"""
import argparse, csv, json, hashlib, os, random, re, resource, statistics, subprocess, sys, time
from pathlib import Path

import curves, floor

RANK, ALPHA, TARGETS, BATCH, RATE, HEAD_RATE, MAX_LENGTH, SEED = 8, 16, ["query", "value"], 32, 1e-3, 3e-3, 128, 7
THREADS = os.cpu_count() or 1
WARMUP = 0.1


def read(folder):
    """Texts to train on, texts to predict, labels. A folder without train.jsonl is the demo's, a fifth of whose cases are predicted."""
    def rows(path):
        with open(path, encoding="utf-8", newline="") as file:
            if path.suffix == ".jsonl":
                return [json.loads(line) for line in file]
            return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    if (folder / "train.jsonl").exists():
        train, test = rows(folder / "train.jsonl"), rows(folder / "test.jsonl")
    else:
        everything = [row for path in sorted(folder.glob("[12]-*/clauses*")) for row in rows(path)]
        case = next(key for key in ["doc", "case", "contract"] if key in everything[0])
        held_out = lambda row: hashlib.sha256(row[case].encode()).digest()[0] < 51
        train, test = [row for row in everything if not held_out(row)], [row for row in everything if held_out(row)]
    labels = sorted({row["label"] for row in train})
    known = [row for row in test if row["label"] in set(labels)]
    return train, known, labels


def tokenized(model, rows):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_LENGTH)
    return [encoding.ids for encoding in tokenizer.encode_batch([row["text"] for row in rows])]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def data_file(path, ids, labels):
    import numpy as np
    from safetensors.numpy import save_file
    offsets = np.cumsum([0] + [len(row) for row in ids]).astype(np.int64)
    flat = np.array([token for row in ids for token in row], dtype=np.int32)
    save_file({"ids": flat, "offsets": offsets, "labels": np.array(labels, dtype=np.int64)}, str(path))


def schema():
    source = (Path(__file__).parents[2] / "daemon/protocol/src/job/mod.rs").read_text()
    return int(re.search(r"JOB_SCHEMA: u32 = (\d+);", source).group(1))


def write_job(folder, model, sets, labels, epochs, precision):
    (folder / "data").mkdir(parents=True)
    for name, (ids, answers) in sets.items():
        data_file(folder / f"data/{name}.safetensors", ids, answers)
    files = [p for p in ["config.json", "model.safetensors", "1_Pooling/config.json"] if (model / p).exists()]
    job = {
        "schema": schema(), "job_id": "bench", "seed": SEED,
        "threads": THREADS,
        "base": {"path": str(model), "sha256": {name: digest(model / name) for name in files}, "precision": precision, "device": "cpu"},
        "parent": None, "labels": labels,
        "method": {"name": "lora", "rank": RANK, "alpha": ALPHA, "dropout": 0.0, "target_modules": TARGETS},
        "learning": {
            "epochs": epochs, "batch_size": BATCH, "accumulation": 1, "learning_rate": RATE,
            "head_learning_rate": HEAD_RATE, "weight_decay": 0.0, "warmup_fraction": WARMUP, "clip_norm": 1.0,
            "head_dropout": 0.0, "replay_ratio": 0.0, "distill_alpha": 0.0, "distill_temperature": 2.0,
            "ewc_lambda": 0.0, "fisher": "exact", "fisher_examples": 0, "fisher_decay": 1.0, "checkpoint_steps": 1000000,
        },
        "data": {"train": "data/train.safetensors", "replay": None, "eval": {"test": "data/test.safetensors"},
                 "candidates": None},
    }
    (folder / "job.json").write_text(json.dumps(job))


def wengu_batches(lengths, epochs):
    """Rows and width of the trainer's batches (daemon/trainer/src/data/batch.rs): in training sorted within windows of 16 batches of a random
    order, whose draws are not its own here, in prediction sorted as a whole. Of training the middle one of 20 orders, and how far these are apart."""
    def shapes(rows):
        return [(len(part), -(-max(part) // 8) * 8) for part in (rows[start:start + BATCH] for start in range(0, len(rows), BATCH))]
    drawn, source = [], random.Random(SEED)
    for _ in range(20):
        order, window = source.sample(lengths["train"], len(lengths["train"])), 16 * BATCH
        drawn.append([shape for start in range(0, len(order), window) for shape in shapes(sorted(order[start:start + window]))])
    padded = [sum(rows * width for rows, width in batches) for batches in drawn]
    middle = drawn[sorted(range(20), key=padded.__getitem__)[10]]
    return {"train": middle * epochs, "predict": shapes(sorted(lengths["test"], reverse=True)), "spread": (max(padded) - min(padded)) / max(padded)}


def run_wengu(folder, trainer):
    """Runs the job in `folder`; gives what was measured."""
    for leftover in ["out", "checkpoint"]:
        subprocess.run(["rm", "-rf", str(folder / leftover)], check=True)
    for leftover in ["result.json", "progress.jsonl"]:
        (folder / leftover).unlink(missing_ok=True)
    environment = dict(os.environ, OMP_NUM_THREADS=str(THREADS), GOMP_SPINCOUNT="10000", MALLOC_ARENA_MAX="2",
                       ONEDNN_PRIMITIVE_CACHE_CAPACITY="64", LRU_CACHE_CAPACITY="64")
    began = time.monotonic()
    process = subprocess.Popen([trainer, "run", str(folder)], env=environment)
    phases, seen = {}, 0
    # The phase's own clock: when its first and last lines came.
    while True:
        done = process.poll() is not None
        path = folder / "progress.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines[seen:]:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                break
            seen += 1
            first, _ = phases.get(entry["phase"], (time.monotonic(), None))
            phases[entry["phase"]] = (first, time.monotonic())
        if done:
            break
        time.sleep(0.005)
    wall = time.monotonic() - began
    if process.returncode != 0:
        sys.exit(f"wengu-trainer ended with {process.returncode}: {(folder / 'result.json').read_text()}")
    result = json.loads((folder / "result.json").read_text())
    predict = phases["predict_challenger"]
    from safetensors.numpy import load_file
    logits = load_file(str(folder / "out/predictions/challenger/test.safetensors"))["logits"]
    curve = [(entry["step"], entry["loss"]["total"]) for entry in map(json.loads, lines) if entry.get("loss")]
    return {"train_s": result["train_seconds"], "predict_s": predict[1] - predict[0], "wall_s": wall,
            "answers": logits.argmax(1).tolist(), "curve": curve}


def run_peft(model, sets, labels, epochs, precision):
    """In a process of its own: the same training with peft and transformers."""
    import torch, transformers
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel
    from transformers.trainer_pt_utils import LengthGroupedSampler
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    base = AutoModel.from_pretrained(model, dtype=kind, add_pooling_layer=False)
    config = LoraConfig(task_type="FEATURE_EXTRACTION", r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, lora_dropout=0.0)
    encoder = get_peft_model(base, config)
    # Adapters in float32, as peft keeps them by default (autocast_adapter_dtype).
    head = torch.nn.Linear(base.config.hidden_size, len(labels))
    torch.nn.init.normal_(head.weight, std=0.02); torch.nn.init.zeros_(head.bias)
    adapter = [p for p in encoder.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW([{"params": adapter, "lr": RATE}, {"params": head.parameters(), "lr": HEAD_RATE}], weight_decay=0.0)
    shapes = {"train": [], "predict": []}
    def batch(ids):
        width = -(-max(map(len, ids)) // 8) * 8
        x, mask = torch.zeros(len(ids), width, dtype=torch.long), torch.zeros(len(ids), width, dtype=torch.long)
        for row, tokens in enumerate(ids):
            x[row, :len(tokens)] = torch.tensor(tokens); mask[row, :len(tokens)] = 1
        shapes["train" if encoder.training else "predict"].append((len(ids), width))
        return x, mask
    def forward(ids):
        x, mask = batch(ids)
        hidden = encoder(input_ids=x, attention_mask=mask).last_hidden_state.float()
        m = mask.unsqueeze(-1).float()
        return head((hidden * m).sum(1) / m.sum(1))
    (ids, answers), (test, _) = sets["train"], sets["test"]
    steps = epochs * -(-len(ids) // BATCH)
    warm = max(1, round(steps * WARMUP))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(s / warm, (steps - s) / max(1, steps - warm)))
    sampler = LengthGroupedSampler(BATCH, lengths=[len(row) for row in ids], generator=torch.Generator().manual_seed(SEED))
    encoder.train()
    began, curve, step = time.monotonic(), [], 0
    for _ in range(epochs):
        order = list(sampler)
        for start in range(0, len(order), BATCH):
            rows = order[start:start + BATCH]
            loss = torch.nn.functional.cross_entropy(forward([ids[r] for r in rows]), torch.tensor([answers[r] for r in rows]))
            loss.backward()
            torch.nn.utils.clip_grad_norm_([*adapter, *head.parameters()], 1.0)
            optimizer.step(); schedule.step(); optimizer.zero_grad()
            step += 1
            curve.append((step, loss.item()))
    train_s = time.monotonic() - began
    encoder.eval()
    began, found = time.monotonic(), [0] * len(test)
    order = sorted(range(len(test)), key=lambda row: -len(test[row]))
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            rows = order[start:start + BATCH]
            for row, answer in zip(rows, forward([test[r] for r in rows]).argmax(1).tolist()):
                found[row] = answer
    return {"train_s": train_s, "predict_s": time.monotonic() - began, "answers": found, "curve": curve, "shapes": shapes}


def measured(name, work):
    """`work` in a child process; what it gives, and the peak resident memory of the child and its children."""
    import multiprocessing
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(False)
    child = context.Process(target=in_child, args=(sender, work))
    child.start()
    sender.close()
    try:
        outcome = receiver.recv()
    except EOFError:
        sys.exit(f"{name} ended without a result")
    child.join()
    return outcome


def in_child(sender, work):
    function, arguments = work
    outcome = (floor.speeds if function == "speeds" else globals()[function])(*arguments)
    who = resource.RUSAGE_CHILDREN if function == "run_wengu" else resource.RUSAGE_SELF
    outcome["peak_mib"] = resource.getrusage(who).ru_maxrss / 1024
    sender.send(outcome)
    sender.close()


def main():
    parser = argparse.ArgumentParser()
    for name in ["model", "trainer", "data", "out"]:
        parser.add_argument(name, type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, default=0, help="only so many training texts")
    options = parser.parse_args()
    floor.check()
    train, test, labels = read(options.data)
    train = train[:options.limit] if options.limit else train
    labels_of = lambda rows: [labels.index(row["label"]) for row in rows]
    sets = {"train": (tokenized(options.model, train), labels_of(train)), "test": (tokenized(options.model, test), labels_of(test))}
    lengths = {name: [len(row) for row in ids] for name, (ids, _) in sets.items()}
    tokens = {name: sum(rows) for name, rows in lengths.items()}
    of_wengu = wengu_batches(lengths, options.epochs)
    subprocess.run(["rm", "-rf", str(options.out)], check=True)
    contenders = {}
    for precision in ["fp32", "bf16"]:
        folder = options.out / f"wengu-{precision}"
        write_job(folder, options.model.resolve(), sets, labels, options.epochs, precision)
        contenders[f"wengu {precision}"] = ("run_wengu", (folder, str(options.trainer)))
        contenders[f"PEFT {precision}"] = ("run_peft", (options.model, sets, labels, options.epochs, precision))
    batch_tokens = sum(rows * width for rows, width in of_wengu["train"]) // len(of_wengu["train"])
    speeds = {precision: {} for precision in ["fp32", "bf16"]}
    rounds = {name: [] for name in contenders}
    for number in range(options.rounds):
        for precision, best in speeds.items():
            outcome = measured("the products", ("speeds", (options.model, batch_tokens, THREADS, precision)))
            best |= {shape: max(speed, best.get(shape, 0)) for shape, speed in outcome["speeds"].items()}
        for name, work in contenders.items():
            outcome = measured(name, work)
            rounds[name].append(outcome)
            print(f"round {number + 1}: {name:10} train {outcome['train_s']:.1f} s, predict {outcome['predict_s']:.2f} s", flush=True)
    config = json.loads((options.model / "config.json").read_text())
    costs = {"train": floor.cost(config, TARGETS, True), "predict": floor.cost(config, TARGETS, False)}
    table = {}
    for name, outcomes in rounds.items():
        median = lambda key: statistics.median(outcome[key] for outcome in outcomes)
        right = sum(a == b for a, b in zip(outcomes[-1]["answers"], sets["test"][1])) / len(sets["test"][1])
        table[name] = {"train_tokens_per_s": options.epochs * tokens["train"] / median("train_s"),
                       "predict_tokens_per_s": tokens["test"] / median("predict_s"),
                       "peak_mib": median("peak_mib"), "accuracy": right, "curve": outcomes[-1]["curve"]}
        shapes = outcomes[-1].get("shapes", of_wengu)
        for phase, texts, times in [("train", "train", options.epochs), ("predict", "test", 1)]:
            limits = floor.fastest(costs[phase], speeds[name.split()[1]], times * tokens[texts], times * lengths[texts], shapes[phase])
            padded = sum(rows * width for rows, width in shapes[phase]) / (times * tokens[texts])
            table[name][phase] = {**limits, "padded_per_token": padded, "share_of_floor": table[name][f"{phase}_tokens_per_s"] / limits["floor"]}
    best = lambda who, key: max(row[key] for name, row in table.items() if name.startswith(who))
    ratios = {key: best("wengu", key) / best("PEFT", key) for key in ["train_tokens_per_s", "predict_tokens_per_s"]}
    machine = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    report = {"machine": f"{machine}, {THREADS} threads", "train_texts": len(train), "test_texts": len(test),
              "train_tokens": tokens["train"], "labels": len(labels), "epochs": options.epochs, "rounds": options.rounds,
              "flop": {phase: {"token": cost.token, "token_and_token_of_its_row": cost.pair} for phase, cost in costs.items()},
              "flop_per_s": speeds, "wengu_padding_spread": of_wengu["spread"], "contenders": table, "ratio_to_better_peft": ratios}
    (options.out / "bench-train.json").write_text(json.dumps(report, indent=1))
    print(f"\n{report['machine']}; {len(train)} texts, {tokens['train']} tokens, {options.epochs} epochs, medians of {options.rounds} rounds")
    print(f"{'':12}{'train tok/s':>12}{'predict tok/s':>15}{'peak MiB':>10}{'accuracy':>10}")
    for name, row in table.items():
        print(f"{name:12}{row['train_tokens_per_s']:12.0f}{row['predict_tokens_per_s']:15.0f}{row['peak_mib']:10.0f}{row['accuracy']:10.3f}")
    print(f"wengu's better precision against PEFT's: training {ratios['train_tokens_per_s']:.2f} times, prediction {ratios['predict_tokens_per_s']:.2f} times")
    print_floors(table, costs, speeds, of_wengu["spread"])
    curves.draw(options.out / "loss-curves.svg", {name: row["curve"] for name, row in table.items()})
    print(f"\nnumbers: {options.out / 'bench-train.json'}; loss curves: {options.out / 'loss-curves.svg'}")


def print_floors(table, costs, speeds, spread):
    best = ", ".join(f"{precision} {found['peak'] / 1e9:.0f}" for precision, found in speeds.items())
    print(f"\nWhat this machine's matrix products allow at most, at their peak of (GFLOP/s): {best}.")
    for phase, cost in costs.items():
        print(f"{phase}: {cost.token / 1e6:.1f} MFLOP a token with frozen weights, and {cost.pair / 1e3:.1f} kFLOP for each token of its row")
    print("padded: with the padding of this row's batches. by shape: that, each product at the speed that it has in one batch of the model")
    print(f"{'':12}{'':9}{'tok/s':>9}{'floor':>9}{'share':>8}{'padding':>9}{'padded':>9}{'share':>8}{'by shape':>10}{'share':>8}")
    for name, row in table.items():
        for phase in costs:
            speed, limits = row[f"{phase}_tokens_per_s"], row[phase]
            shares = [speed / limits[key] for key in ("floor", "floor_padded", "floor_by_shape")]
            print(f"{name:12}{phase:9}{speed:9.0f}{limits['floor']:9.0f}{shares[0]:8.0%}{limits['padded_per_token'] - 1:9.1%}"
                  f"{limits['floor_padded']:9.0f}{shares[1]:8.0%}{limits['floor_by_shape']:10.0f}{shares[2]:8.0%}")
    print(f"(wengu's training batches are drawn again here by its rule; 20 draws are padded alike to {spread:.1%})")


if __name__ == "__main__":
    main()
