"""The learning benchmark: streams of deliveries, wengu's methods and peers side by side, and the tables of RESULTS.md.

usage: learning.py DATA_DIR MODEL_DIR BENCH TRAINER PEERS_PYTHON OUT_DIR [--small | --quick] [--streams A,B] [--methods A,B] [--orders N]
           [--seeds N] [--memory SHARE,...] [--stability-steps N] [--tables FILE] [--note TEXT] [--device cuda:0] [--jobs N] [--decoder DIR]
           [--runs FILE.jsonl] [--only-tables] [--machine TEXT] [--at-least PERCENT]

Each run leaves OUT_DIR/NAME/run.json; one that is there already is not run again, so that a long benchmark can be stopped and
goes on. The tables are made of these files and of nothing else; with --runs also of those that FILE holds, a line each, to which the new ones are added.
"""
import argparse, hashlib, json, os, platform, queue, statistics, subprocess, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
import streams

PLAIN = "replay_ratio = 0.0\ndistill_alpha = 0.0\n"
NO_EWC = "ewc_lambda = 0.0\nfisher_examples = 0\n"
NO_DISCRIMINANT = "discriminant_weight = 0.0\n"
NO_CORRECTION = "prior_correction = 0.0\ndistill_new_alpha = 0.0\n" + NO_DISCRIMINANT
# What each method changes in wengu's own defaults: mode, and the content of [domains.NAME.learning].
METHODS = {
    "head only (all data)": ("head_only", PLAIN + NO_EWC + NO_CORRECTION),
    "naive": ("stream", PLAIN + NO_EWC + NO_CORRECTION),
    "joint (all data)": ("joint", PLAIN + NO_EWC + NO_CORRECTION),
    "EWC": ("stream", PLAIN + NO_CORRECTION),
    "distillation on new texts": ("stream", PLAIN + NO_EWC + NO_DISCRIMINANT + "prior_correction = 0.0\ndistill_new_alpha = 1.0\n"),
    "replay": ("stream", "replay_ratio = 1.0\ndistill_alpha = 0.0\n" + NO_EWC + NO_CORRECTION),
    "DER++": ("stream", 'replay_ratio = 1.0\ndistill_loss = "logits"\n' + NO_EWC + NO_CORRECTION),
    "wengu": ("stream", ""),
    "wengu (no old text)": ("stream", PLAIN + "distill_new_alpha = 0.25\n"),
}
# Not run unless they are named: what costs are compared with, and other ways.
COMPARED = {
    "wengu (fresh adapter)": ("stream", 'adapter_start = "fresh"\n'),
    "wengu (orthogonal adapters)": ("stream", 'adapter_start = "orthogonal"\n'),
    "wengu (no EWC)": ("stream", NO_EWC),
    "wengu (as much old as new)": ("stream", "replay_ratio = 1.0\n"),
    "wengu (Fisher of 256)": ("stream", "fisher_examples = 256\n"),
    "wengu (Fisher of 64)": ("stream", "fisher_examples = 64\n"),
    "wengu (Fisher by its sums)": ("stream", 'fisher_form = "factored"\n'),
    "EWC (Fisher by its sums)": ("stream", PLAIN + NO_CORRECTION + 'fisher_form = "factored"\n'),
    # wengu with the share of new examples following the loss on old ones.
    "wengu (follows old loss)": ("stream", "validation_percent = 10\nold_loss_tolerance = 0.05\n"),
    "joint at each delivery": ("joint_each", PLAIN + NO_EWC + NO_CORRECTION),
}
# What a method costs is told beside the same without EWC.
WITHOUT_EWC = {"wengu": "wengu (no EWC)", "EWC": "naive", "EWC (Fisher by its sums)": "naive"}
PEERS = ["avalanche-naive", "avalanche-ewc", "avalanche-lwf", "avalanche-replay", "avalanche-der", "adaptive-classifier"]
# What no memory changes.
WITHOUT_MEMORY = {"head only (all data)", "naive", "joint (all data)", "joint at each delivery", "EWC", "EWC (Fisher by its sums)", "distillation on new texts", "wengu (no old text)",
                  "avalanche-naive", "avalanche-ewc", "avalanche-lwf"}

# What has no answer to a task: a causal model has no head, no logits that are kept, no labels; these peers take one label a text.
NOT_FOR = {
    "sequence_classification": set(),
    "token_classification": {"avalanche-lwf", "avalanche-der", "adaptive-classifier"},
    "causal_lm": {"head only (all data)", "DER++", *PEERS},
}

HEAD = """# What is learned and what is forgotten

Each part is written by the command above it from the files of its runs; `WENGU_DATA` names the public data sets. What the numbers say, and what
was not measured, is in [daemon/trainer/LEARNING.md](daemon/trainer/LEARNING.md). Streams: `tests/bench/streams.py`. Methods: `tests/bench/learning.py`. The runs of the
quick streams are kept in `tests/bench/runs/quick.jsonl`: `--only-tables --runs` with it makes their tables again, and `--runs` goes on from them.

- **average accuracy**: mean over the deliveries of the share of right answers on their test sets after the last update (span F1 where spans are found; where a
  causal model answers, the share of texts whose whole answer is token by token the likeliest, so that it would be said).
- **of the gap**: how much of the way from naive training to joint training on all data, of the same order and seed.
- **runs**: orders times seeds, less what was not run. A mean over several is given with their standard deviation.
- **forgetting**: from each delivery's best accuracy before the last update to that after it, mean over the deliveries but the last (Chaudhry et al. 2018).
- **right before, wrong after**: share of the test items so far, mean over the updates.
- **training s**: seconds in optimizer steps, over all updates. **kept**: the last version's directory.
- **updates s**: seconds of all updates with everything that keeps what was learned: Fisher, teacher, discriminant, logits for the memory; of a peer, of its `train`.
  Loading, writing and what the gate asks are not in it. **whole run s**: all of it, from the stream's file to the last answer.
- **EWC % of the training**: seconds in the penalty and for the Fisher, of those in optimizer steps without the penalty.
- **stability gap**: mean over the updates of how far each era's accuracy on old examples falls at the worst look during the update, from what
  it was before (De Lange et al. 2023). **worst-case accuracy**: their WC-ACC after the last update.
"""
SIZES = ["whole", "small", "quick"]
# Above the tables of a stream.
PART = """## {title}

`{command}` ({machine}{note}).

"""
# With words that name another device than a processor.
TITLES = [f"{stream}, {size} stream{device}" for size in SIZES for stream in streams.STREAMS for device in ["", ", on a device"]]


def arguments():
    parser = argparse.ArgumentParser()
    for name in ["data", "model", "bench", "trainer", "peers_python", "out"]:
        parser.add_argument(name)
    parser.add_argument("--small", dest="size", action="store_const", const="small", default="whole", help="streams that take minutes a method")
    parser.add_argument("--quick", dest="size", action="store_const", const="quick", help="streams that take a minute a method")
    parser.add_argument("--at-least", type=float, metavar="PERCENT", help="fail where wengu closes less of the gap")
    parser.add_argument("--streams", default="clause-types")
    parser.add_argument("--methods", default=",".join([*METHODS, *PEERS]))
    parser.add_argument("--orders", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--memory", default="0.09")
    parser.add_argument("--stability-steps", type=int, default=0,
                        help="look at a tenth of the examples, which is not trained on, every N steps: the stability gap")
    parser.add_argument("--tables", help="the page whose parts of these streams are written anew")
    parser.add_argument("--note", default="", help="what else the page says of the machine")
    parser.add_argument("--runs", metavar="FILE.jsonl", help="runs of before, which are not run again; new ones are added")
    parser.add_argument("--only-tables", action="store_true", help="run nothing: tables of the runs that are there")
    parser.add_argument("--machine", help="what the page says of the machine, where the runs come from another one")
    parser.add_argument("--device", default="cpu", help="where the models compute")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, each with its part of the cores: their seconds compare with nothing")
    parser.add_argument("--decoder", help="the causal model of the stream of instructions (decoder.py makes it); beside MODEL_DIR")
    parsed = parser.parse_args()
    parsed.methods = parsed.methods.split(",")
    parsed.decoder = parsed.decoder or str(Path(parsed.model).parent / "small-decoder")
    parsed.cores = queue.SimpleQueue()
    cores = sorted(os.sched_getaffinity(0))
    for place in range(parsed.jobs):
        parsed.cores.put(cores[place :: parsed.jobs] or cores)
    ours = {**METHODS, **COMPARED}
    unknown = [method for method in parsed.methods if method not in ours and method not in PEERS]
    unknown += [stream for stream in parsed.streams.split(",") if stream not in streams.STREAMS]
    if unknown:
        parser.error(f"unknown: {unknown}; methods are {[*ours, *PEERS]}, streams {list(streams.STREAMS)}")
    slow = set(parsed.streams.split(",")) - streams.QUICK
    if parsed.size == "quick" and slow:
        parser.error(f"no quick form: {sorted(slow)}; there is one of {sorted(streams.QUICK)}")
    parsed.runs = Runs(parsed.runs)
    return parsed


class Runs:
    """The runs that a file keeps, a line each; none where there is no file."""

    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()
        lines = Path(path).read_text(encoding="utf-8").splitlines() if path and Path(path).exists() else []
        self.known = {kept["name"]: kept["run"] for kept in map(json.loads, lines)}

    def add(self, name, machine, program, result):
        with self.lock:
            self.known[name] = result
            if self.path:
                with open(self.path, "a", encoding="utf-8") as file:
                    kept = {"name": name, "machine": machine, "trainer_sha256": program, "run": result}
                    file.write(json.dumps(kept, ensure_ascii=False, separators=(",", ":")) + "\n")


def run(args, stream, order, seed, method, memory):
    """One run, unless its result is there. Gives the result, or None where the run failed."""
    name = name_of(args, stream, order, seed, method, memory)
    if name not in args.runs.known:
        result = run_anew(args, name, stream, order, seed, method, memory)
        if result:
            args.runs.add(name, machine_of(args), program_of(args), result)
    return args.runs.known.get(name)


def name_of(args, stream, order, seed, method, memory):
    name = f"{args.size}-{stream}-{order}-{method.translate(str.maketrans(' ', '_', '()'))}-{memory}-{seed}"
    if is_watched(args, method):
        name += f"-watched{args.stability_steps}"
    return name if args.device == "cpu" else f"{name}-{args.device}"


def is_watched(args, method):
    return args.stability_steps > 0 and {**METHODS, **COMPARED}.get(method, ("peer", None))[0] == "stream"


def run_anew(args, name, stream, order, seed, method, memory):
    """One run, unless it has left its result in OUT_DIR. None where it failed, or nothing is to be run."""
    mode, settings = {**METHODS, **COMPARED}.get(method, (None, None))
    if is_watched(args, method):
        settings = watched(settings, args.stability_steps)
    folder = Path(args.out) / name
    path = folder / "run.json"
    if path.exists():
        return json.loads(path.read_text())
    if args.only_tables:
        return None
    made = Path(args.out) / f"{args.size}-{stream}-{order}.json"
    content = streams.make(stream, args.data, order, args.size)
    beside = made.with_name(f"{name}.stream")
    beside.write_text(json.dumps(content, ensure_ascii=False))
    beside.replace(made)
    model = args.decoder if content["task"] == "causal_lm" else args.model
    print(f"{name}", flush=True)
    environment = dict(os.environ, HF_HUB_OFFLINE="1", PYTHONDONTWRITEBYTECODE="1", RUST_BACKTRACE="0")
    if mode:
        toml = Path(args.out) / f"{name}.toml"
        toml.write_text(streams.SETTINGS.get(stream, "") + settings)
        command = [args.bench, made, toml, folder, model, args.trainer, "--mode", mode]
    else:
        command = [args.peers_python, "-W", "ignore", Path(__file__).parent / "peers.py", made, method, folder, model]
    command += ["--seed", str(seed), "--memory", str(0.0 if method in WITHOUT_MEMORY else memory), "--device", args.device]
    log = Path(args.out) / f"{name}.log"
    cores = args.cores.get()
    try:
        with open(log, "w") as file:
            done = subprocess.run([str(part) for part in command], stdout=file, stderr=file, env=environment,
                                  preexec_fn=lambda: os.sched_setaffinity(0, cores))
    finally:
        args.cores.put(cores)
    if done.returncode != 0 or not path.exists():
        print(f"  failed: {log}", flush=True)
        return None
    # What it was given, to be found again.
    result = dict(json.loads(path.read_text()), stream_sha256=hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest())
    path.write_text(json.dumps(result, indent=1))
    return result


def watched(settings, steps):
    """The settings with the accuracy on old examples measured every so many steps."""
    percent = "" if "validation_percent" in settings else "validation_percent = 10\n"
    return settings + percent + f"stability_steps = {steps}\n"


def figure(values, digits=1, factor=100.0):
    """Mean, and the deviation where there are several."""
    values = [factor * value for value in values if value is not None]
    if not values:
        return "–"
    text = f"{statistics.mean(values):.{digits}f}"
    return text + (f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else "")


def accuracy(result):
    """Mean over the deliveries after the last update."""
    return statistics.mean(score for score in result["matrix"][-1] if score is not None)


def of_the_gap(runs, results):
    """What each run closes of the gap between naive and joint training of its own order and seed, where all three are there."""
    beside = [list(map(accuracy, three)) for three in zip(runs, results.get("naive", []), results.get("joint (all data)", [])) if all(three)]
    return [(ours - low) / (high - low) for ours, low, high in beside if high != low]


def table(results, memory):
    """Rows of one stream: {method: [results]}."""
    gaps = {method: of_the_gap(runs, results) for method, runs in results.items()}
    results = {method: [run for run in runs if run] for method, runs in results.items()}
    head = ["method", "memory", "runs", "average accuracy %", "of the gap %", "forgetting points", "backward transfer points",
            "right before, wrong after %", "training s", "updates s", "whole run s", "peak MiB", "kept KiB"]
    # Told where a run measured it.
    told = any(run.get("stability_gap") is not None for runs in results.values() for run in runs)
    if told:
        head += ["stability gap points", "worst-case accuracy %"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for method, runs in results.items():
        if not runs:
            continue
        of = lambda key: [(run.get("scores") or {}).get(key) for run in runs]
        kept = [run["updates"][-1].get("kept_bytes") for run in runs]
        remembered = [run["updates"][-1].get("memory_examples") for run in runs]
        memory_cell = "–" if method in WITHOUT_MEMORY else (
            f"{figure(remembered, 0, 1)} examples" if remembered[0] is not None else f"{100 * memory:.0f} %")
        cells = [method, memory_cell, str(len(runs)), figure([accuracy(run) for run in runs]), figure(gaps[method]), figure(of("forgetting")),
                 figure(of("backward_transfer")), figure([run["negative_flips"] for run in runs]),
                 figure([sum(u["train_s"] for u in run["updates"]) for run in runs], 0, 1), figure([sum(map(whole_seconds, run["updates"])) for run in runs], 0, 1), figure([run["wall_s"] for run in runs], 0, 1),
                 figure([run["peak_memory_bytes"] for run in runs], 0, 2**-20),
                 figure(kept, 0, 2**-10)]
        if told:
            cells += [figure([run.get("stability_gap") for run in runs]), figure([run.get("worst_case_accuracy") for run in runs])]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def seconds(run, *phases):
    """Of these phases, over all updates of a run; None where the run does not tell."""
    told = [update.get("phase_s") for update in run["updates"]]
    return sum(of.get(phase, 0.0) for of in told for phase in phases) if told and all(told) else None


def whole_seconds(update):
    """Of an update, without loading, writing and answering for the gate. A peer's tells nothing else."""
    phases = update.get("phase_s")
    return sum(phases.get(phase, 0.0) for phase in ("train", "fisher", "teach", "statistics", "candidates")) if phases else update["train_s"]


def ewc_seconds(run):
    return seconds(run, "fisher") + sum(update["penalty_s"] for update in run["updates"])


def costs(results):
    """Where an update's seconds go: {method: [results]}. Nothing where no run tells."""
    results = {method: [run for run in runs if run and seconds(run, "train") is not None] for method, runs in results.items()}
    head = ["method", "training s", "EWC: penalty s", "EWC: Fisher s", "EWC % of the training", "more than without EWC %", "teacher s",
            "discriminant s", "logits for the memory s", "validation s", "answering s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for method, runs in results.items():
        if not runs:
            continue
        of = lambda *phases: figure([seconds(run, *phases) for run in runs], 1, 1)
        # The training without what EWC adds to it.
        share = [ewc_seconds(run) / (seconds(run, "train") - (ewc_seconds(run) - seconds(run, "fisher"))) for run in runs]
        without = results.get(WITHOUT_EWC.get(method)) or []
        both = lambda runs: statistics.mean(seconds(run, "train", "fisher") for run in runs)
        cells = [method, of("train"), figure([ewc_seconds(run) - seconds(run, "fisher") for run in runs], 1, 1), of("fisher"),
                 figure(share), f"{100 * (both(runs) / both(without) - 1):.1f}" if without else "–",
                 of("teach"), of("statistics"), of("candidates"), of("validate"), of("predict_champion", "predict_challenger")]
        lines.append("| " + " | ".join(cells) + " |")
    return lines if len(lines) > 2 else []


def by_update(results):
    """Seconds of every update, beside those of a peer or of training anew on all data."""
    lengths = {len(run["updates"]) for method in ["joint at each delivery", *PEERS] for run in results.get(method, []) if run}
    if not lengths:
        return []
    updates = max(lengths)
    shown = {method: [run for run in runs if run and len(run["updates"]) == updates] for method, runs in results.items()}
    shown = {method: runs for method, runs in shown.items() if runs}
    lines = ["| seconds of update | " + " | ".join(shown) + " |", "|" + "---|" * (1 + len(shown))]
    for update in range(updates):
        cells = [figure([whole_seconds(run["updates"][update]) for run in runs], 1, 1) for runs in shown.values()]
        lines.append(f"| {update + 1} | " + " | ".join(cells) + " |")
    return lines


def page(old, title, part):
    """The page with this part in the place of the one with the same title; the other parts of `old` stay as they are."""
    kept = {"## " + part.splitlines()[0]: "## " + part.rstrip() + "\n" for part in old.split("\n## ")[1:]}
    kept[f"## {title}"] = part
    return "\n".join([HEAD, *(kept[f"## {known}"] for known in TITLES if f"## {known}" in kept)])


def program_of(args):
    """The trainer that ran: the beginning of its SHA-256. A checkout says nothing of when a program was built."""
    return hashlib.sha256(Path(args.trainer).read_bytes()).hexdigest()[:12]


def machine_of(args):
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "")
    return args.machine or f"{cpu}, {os.cpu_count()} cores, {platform.machine()}"


def write_tables(args, stream, text):
    # What makes the runs; the rest is how this page was made of them.
    words, told = [], {"--machine", "--note", "--tables", "--runs"}
    for before, word in zip(["", *sys.argv[7:]], sys.argv[7:]):
        if word not in told | {"--only-tables"} and before not in told:
            words.append(f'"{word}"' if " " in word else word)
    title = f"{stream}, {args.size} stream" + (", on a device" if args.device != "cpu" else "")
    part = PART.format(title=title, command=f"scripts/bench-learning {' '.join(words)}", note=args.note and f"; {args.note}", machine=machine_of(args))
    path = Path(args.tables)
    path.write_text(page(path.read_text() if path.exists() else "", title, part + text))


def runs_of(args, stream, place, memory):
    """The runs of one table: {method: [the arguments of run after the first]}."""
    runs = {}
    for method in args.methods:
        if place > 0 and method in WITHOUT_MEMORY and method not in ("naive", "joint (all data)"):
            continue
        if method in NOT_FOR[streams.STREAMS[stream][1]]:
            continue
        # The first share of memory stands for all where there is no memory.
        share = float(args.memory.split(",")[0]) if method in WITHOUT_MEMORY else memory
        runs[method] = [(stream, order, seed, method, share) for order in range(args.orders) for seed in range(1, args.seeds + 1)]
    return runs


def main():
    args = arguments()
    Path(args.out).mkdir(parents=True, exist_ok=True)
    memories = [float(share) for share in args.memory.split(",")]
    tables = {stream: [runs_of(args, stream, *memory) for memory in enumerate(memories)] for stream in args.streams.split(",")}
    with ThreadPoolExecutor(args.jobs) as pool:
        try:
            # Each of them once, in the order of the tables.
            once = dict.fromkeys(of for parts in tables.values() for runs in parts for listed in runs.values() for of in listed)
            started = {of: pool.submit(run, args, *of) for of in once}
            least = write_all(args, memories, tables, started)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if args.at_least is not None and not least >= args.at_least:
        sys.exit(f"wengu closes {least:.1f} % of the gap, which is less than {args.at_least:g} %" if least == least else "no run of wengu to judge")


def write_all(args, memories, tables, started):
    """Prints, and writes where a page is named, the tables of each stream as soon as its runs are there. Gives the least share in percent that
    wengu closes of a gap, NaN where it was not measured."""
    closed = []
    for stream, parts in tables.items():
        lines = []
        for memory, runs in zip(memories, parts):
            results = {method: [started[of].result() for of in listed] for method, listed in runs.items()}
            made = streams.make(stream, args.data, 0, args.size)
            examples = [len(delivery["train"]) for delivery in made["deliveries"]]
            lines += [f"### {stream}, memory of {100 * memory:.0f} %", "",
                      f"{len(examples)} deliveries, {sum(examples)} examples; {args.orders} orders, {args.seeds} seeds.", ""]
            lines += table(results, memory) + [""]
            ours = of_the_gap(results.get("wengu", []), results)
            closed.append(100 * statistics.mean(ours) if ours else float("nan"))
            for words, more in [("Costs, over all updates:", costs(results)), ("Costs by update:", by_update(results))]:
                lines += [words, "", *more, ""] if more else []
        text = "\n".join(lines).rstrip() + "\n"
        print(text)
        if args.tables:
            write_tables(args, stream, text)
    # A NaN stays one, wherever it stands.
    return min(closed) if not any(share != share for share in closed) else float("nan")


if __name__ == "__main__":
    main()
