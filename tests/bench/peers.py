"""One run of the learning benchmark by a peer: Avalanche 0.6.0 or adaptive-classifier 0.3.1, on the same stream and encoder.

usage: peers.py STREAM.json METHOD OUT_DIR MODEL_DIR [--seed N] [--memory SHARE] [--device DEVICE]

METHOD is avalanche-naive, -ewc, -lwf, -replay, -der or adaptive-classifier. Avalanche trains what wengu does: LoRA of rank 8 on
queries and values and a head on the mean of the token vectors, 4 epochs in batches of 16, AdamW with the same rates. Its head has
a row for every label of the stream from the start, and tags tokens where spans are wanted (naive, EWC and replay; LwF and DER take one label a
text). adaptive-classifier trains its own head on the frozen encoder, for one label a text.
OUT_DIR/run.json has what `bench_learning` writes, as far as it applies.
"""
import argparse, json, random, resource, time
from pathlib import Path

from peer_tasks import Labels, Spans

EPOCHS, BATCH, RATE, HEAD_RATE, RANK, ALPHA = 4, 16, 1e-3, 1e-2, 8, 16


def arguments():
    parser = argparse.ArgumentParser()
    for name in ["stream", "method", "out", "model"]:
        parser.add_argument(name)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", type=float, default=0.09)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def network(model_dir, task):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            base = AutoModel.from_pretrained(model_dir, attn_implementation="sdpa")
            config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["query", "value"], lora_dropout=0.05)
            self.encoder = get_peft_model(base, config)
            for module in base.modules():
                if isinstance(module, torch.nn.Dropout) and "lora" not in str(type(module)).lower():
                    module.p = 0.0
            self.dropout = torch.nn.Dropout(0.1)
            self.head = torch.nn.Linear(base.config.hidden_size, len(task.names))
            torch.nn.init.normal_(self.head.weight, std=0.02)
            torch.nn.init.zeros_(self.head.bias)

        def forward(self, given, *_):
            ids, more = task.split(given)
            mask = (ids >= 0).float()
            length = int(mask.sum(1).max())
            ids, mask = ids[:, :length].clamp(min=0), mask[:, :length]
            hidden = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            return task.answers(lambda vectors: self.head(self.dropout(vectors)), hidden, mask, more)

    return Network()


def avalanche(args, stream):
    import torch
    from avalanche.benchmarks import tensors_benchmark
    from avalanche.training.supervised import DER, EWC, LwF, Naive, Replay

    torch.manual_seed(args.seed)
    random.seed(args.seed)
    task = {"sequence_classification": Labels, "token_classification": Spans}[stream["task"]](args.model, stream)
    model = network(args.model, task).to(args.device)
    head = [p for name, p in model.named_parameters() if name.startswith("head")]
    adapter = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("head")]
    optimizer = torch.optim.AdamW([{"params": adapter, "lr": RATE}, {"params": head, "lr": HEAD_RATE}], weight_decay=0.01)
    sets = {side: [task.tensors(delivery[side]) for delivery in stream["deliveries"]]
            for side in ["train", "test"]}
    examples = sum(len(ids) for ids, _ in sets["train"])
    memory = int(args.memory * examples)
    common = dict(model=model, optimizer=optimizer, criterion=task.criterion(), train_mb_size=BATCH,
                  train_epochs=EPOCHS, eval_mb_size=32, device=args.device, evaluator=None)
    strategy = {
        "naive": lambda: Naive(**common),
        "ewc": lambda: EWC(ewc_lambda=50.0, mode="online", decay_factor=1.0, **common),
        "lwf": lambda: LwF(alpha=0.5, temperature=2.0, **common),
        "replay": lambda: Replay(mem_size=memory, **common),
        "der": lambda: DER(mem_size=memory, batch_size_mem=BATCH, alpha=0.1, beta=0.5, **common),
    }[args.method.removeprefix("avalanche-")]()
    benchmark = tensors_benchmark(train_tensors=sets["train"], test_tensors=sets["test"], task_labels=[0] * len(sets["train"]))

    def answer(given):
        model.eval()
        with torch.no_grad():
            return torch.cat([model(given[begin : begin + 32].to(args.device)).cpu() for begin in range(0, len(given), 32)])

    for place, experience in enumerate(benchmark.train_stream):
        began = time.monotonic()
        strategy.train(experience)
        took = time.monotonic() - began
        yield took, [task.judge(delivery["test"], answer(given))
                     for delivery, (given, _) in zip(stream["deliveries"][: place + 1], sets["test"])]


def adaptive(args, stream):
    import torch
    from adaptive_classifier import AdaptiveClassifier
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    examples = sum(len(delivery["train"]) for delivery in stream["deliveries"])
    labels = {record["label"] for delivery in stream["deliveries"] for record in delivery["train"]}
    per_label = max(1, int(args.memory * examples / len(labels)))
    classifier = AdaptiveClassifier(args.model, config={"max_examples_per_class": per_label, "max_length": stream["max_length"]},
                                    device=args.device, use_onnx=False, seed=args.seed)
    for place, delivery in enumerate(stream["deliveries"]):
        began = time.monotonic()
        classifier.add_examples([r["text"] for r in delivery["train"]], [r["label"] for r in delivery["train"]])
        took = time.monotonic() - began
        right = []
        for earlier in stream["deliveries"][: place + 1]:
            said = classifier.predict_batch([r["text"] for r in earlier["test"]], k=1)
            answers = [answer[0][0] == r["label"] for answer, r in zip(said, earlier["test"])]
            right.append((sum(answers) / len(answers), answers))
        yield took, right


def main():
    args = arguments()
    stream = json.loads(Path(args.stream).read_text())
    run = adaptive if args.method == "adaptive-classifier" else avalanche
    began, eras = time.monotonic(), len(stream["deliveries"])
    matrix, updates, flips, last = [], [], [], []
    for place, (took, judged) in enumerate(run(args, stream)):
        updates.append({"examples": len(stream["deliveries"][place]["train"]), "train_s": took})
        matrix.append([score for score, _ in judged] + [None] * (eras - len(judged)))
        right = [answers for _, answers in judged]
        before, after = sum(last, []), sum(right[: len(last)], [])
        if before:
            flips.append(sum(b and not a for b, a in zip(before, after)) / len(before))
        last = right
    old = range(eras - 1)
    mean = lambda values: sum(values) / len(values) if values else None
    scores = {
        "average_accuracy": mean(matrix[-1]),
        "backward_transfer": mean([matrix[-1][j] - matrix[j][j] for j in old]),
        "forgetting": mean([max(matrix[i][j] for i in range(j, eras - 1)) - matrix[-1][j] for j in old]),
    }
    everything = sum(last, [])
    result = {"stream": stream["name"], "mode": args.method, "seed": args.seed, "updates": updates, "matrix": matrix,
              "scores": scores, "overall": mean(everything), "negative_flips": mean(flips),
              "wall_s": time.monotonic() - began,
              "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
