"""The streams of the learning benchmark, made from the public data sets: fixed by their seed and order.

A stream is {"name", "task", "max_length", "deliveries": [{"train": [{"text", "label"}], "test": [...]}]}.
"""
import json, random
from pathlib import Path


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def capped(records, per_label, rng):
    """At most `per_label` records of each label, drawn at random, in their old order."""
    if per_label is None:
        return records
    places = list(range(len(records)))
    rng.shuffle(places)
    taken, kept = {}, []
    for place in places:
        label = records[place]["label"]
        if taken.get(label, 0) < per_label:
            taken[label] = taken.get(label, 0) + 1
            kept.append(place)
    return [records[place] for place in sorted(kept)]


def plain(records, prefix=""):
    return [{"text": record["text"], "label": prefix + record["label"]} for record in records]


def at(size, whole, small, quick=None):
    """The number for the size of a stream."""
    return {"whole": whole, "small": small, "quick": quick}[size]


def by_labels(data, deliveries, order, per_label, per_label_test, most_labels=None):
    """The labels of one set (or `most_labels` of them) arrive in groups: random ones, dealt out in turn."""
    rng = random.Random(f"{data.name} {order}")
    train = capped(plain(rows(data / "train.jsonl")), per_label, rng)
    test = capped(plain(rows(data / "test.jsonl")), per_label_test, rng)
    labels = sorted({record["label"] for record in train})
    rng.shuffle(labels)
    labels = labels[:most_labels]
    groups = [set(labels[i::deliveries]) for i in range(deliveries)]
    return [{"train": [r for r in train if r["label"] in group], "test": [r for r in test if r["label"] in group]}
            for group in groups]


def clause_types(data, order, size):
    """(a) 28 types of contract clauses arrive in 4 deliveries; the quick form has 12 in 3."""
    deliveries, per_label, per_label_test, labels = {
        "whole": (4, None, None, None), "small": (4, 40, 20, None), "quick": (3, 24, 12, 12)}[size]
    return by_labels(data / "cuad_clause", deliveries, order, per_label, per_label_test, labels), 96 if size == "whole" else 64


def instructions(data, order, size):
    """(f) The stream of clause types as questions whose answer is the name of the type, for a causal model."""
    deliveries, _ = clause_types(data, order, size)
    asked = lambda record: dict(record, text=f"{record['text'][:300]}\n\nWhat kind of clause is this?")
    return [{side: [asked(record) for record in records] for side, records in delivery.items()} for delivery in deliveries], 256


def long_stream(data, order, size):
    """(d) 77 kinds of questions to a bank arrive in 15 deliveries; the quick form has 30 of them."""
    most = at(size, None, 40, 16), at(size, None, 15, 8), at(size, None, None, 30)
    return by_labels(data / "banking77", 15, order, *most), 48


TASKS = ["unfair_tos", "medquad_qtype", "pubmed_sentence_role", "agnews", "cuad_clause"]


def five_tasks(data, order, size):
    """(b) Five tasks with labels of their own, one after the other on one head."""
    rng = random.Random(f"five {order}")
    names = TASKS[:]
    rng.shuffle(names)
    deliveries = []
    for name in names:
        train, test = rows(data / name / "train.jsonl"), rows(data / name / "test.jsonl")
        known = {record["label"] for record in train}
        test = [record for record in test if record["label"] in known]
        deliveries.append({"train": plain(capped(train, at(size, 200, 60, 6), rng), f"{name}/"),
                           "test": plain(capped(test, at(size, 60, 20, 4), rng), f"{name}/")})
    return deliveries, at(size, 96, 96, 64)


def drift(data, order, size):
    """(c) One question, does the heading belong to the text, over contracts, medical leaflets and news."""
    names = ["cuad_clause", "medquad_qtype", "agnews"]
    if order % 2:
        names.reverse()
    deliveries = []
    for name in names:
        rng = random.Random(f"drift {name}")
        delivery = {}
        for side, most in [("train", at(size, 2400, 600)), ("test", at(size, 900, 300))]:
            records = rows(data / name / f"{side}.jsonl")
            labels = sorted({record["label"] for record in records})
            rng.shuffle(records)
            made = []
            for place, record in enumerate(records[:most]):
                right = place % 2 == 0
                heading = record["label"] if right else rng.choice([l for l in labels if l != record["label"]])
                made.append({"text": f"{heading}: {record['text']}", "label": "belongs" if right else "does not belong"})
            delivery[side] = made
        deliveries.append(delivery)
    return deliveries, 96


def spans(record, kinds):
    """Words and tags as a text with the places of its spans, as wengu's answers are written."""
    text, marked = "", []
    for token, tag in zip(record["tokens"], record["tags"]):
        text += " " if text else ""
        begin = len(text)
        text += token
        if tag == "O" or tag[2:] not in kinds:
            continue
        if tag.startswith("B-") or not marked or marked[-1][2] != tag[2:]:
            marked.append([begin, len(text), tag[2:]])
        else:
            marked[-1][1] = len(text)
    return {"text": text, "label": json.dumps(marked, ensure_ascii=False, separators=(",", ":"))}


def entity_types(data, order, size):
    """(e) Diseases, then chemicals, then the terms of Chinese judgments on theft: each set marks its own kinds only."""
    parts = [("ncbi_disease", {"Disease"}), ("bc5cdr", {"Chemical"}), ("zh_theft_ner", None)]
    if order % 2:
        parts.reverse()
    deliveries = []
    for name, kinds in parts:
        rng = random.Random(f"entities {name}")
        delivery = {}
        for side, most in [("train", at(size, 1500, 300)), ("test", at(size, 500, 150))]:
            records = rows(data / name / f"{side}.jsonl")
            rng.shuffle(records)
            found = kinds or {tag[2:] for record in records for tag in record["tags"] if tag != "O"}
            delivery[side] = [spans(record, found) for record in records[:most]]
        deliveries.append(delivery)
    return deliveries, 128


STREAMS = {
    "clause-types": (clause_types, "sequence_classification"),
    "five-tasks": (five_tasks, "sequence_classification"),
    "drift": (drift, "sequence_classification"),
    "long": (long_stream, "sequence_classification"),
    "entity-types": (entity_types, "token_classification"),
    "instructions": (instructions, "causal_lm"),
}

# What a stream needs beside a method's settings: a decoder of eight million parameters learns little from two adapted layers at 1e-3.
SETTINGS = {"instructions": """learning_rate = 0.003
rank = 16
alpha = 32
target_modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""}


# Those that have a quick form. Neither whether a heading belongs to a text nor where an entity ends is learned from a few hundred.
QUICK = set(STREAMS) - {"drift", "entity-types"}


def make(name, data, order, size):
    """The stream of this name, in this order of its deliveries. A method takes about an hour on a "whole" one, minutes on a "small" one and one
    on a "quick" one."""
    build, task = STREAMS[name]
    deliveries, max_length = build(Path(data), order, size)
    return {"name": name, "order": order, "task": task, "max_length": max_length, "deliveries": deliveries}
