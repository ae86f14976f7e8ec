"""Reference numbers for the metrics, from scikit-learn, seqeval, sacrebleu, rouge-score and torchmetrics.

Run: python tests/oracle/metrics.py DATA   (packages: requirements.txt beside this file)

DATA is a folder with cuad_clause (CC BY 4.0), bc5cdr (CC BY 4.0), medquad_sft (CC BY 4.0) and
tw_law_zh_en (Taiwan OGDL 1.0). Writes tests/golden/metrics/*.json: predictions of simple models that were trained on
the training parts (naive Bayes; each token's most frequent tag; the nearest training question's answer), for a part of
the test parts, and what the packages make of them.
"""

import collections
import importlib.metadata
import json
import pathlib
import re
import sys

import numpy as np
import sacrebleu
import seqeval.metrics
import torch
from rouge_score import rouge_scorer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.naive_bayes import MultinomialNB
from torchmetrics.functional.classification.calibration_error import _ce_compute

DATA = pathlib.Path(sys.argv[1])
OUT = pathlib.Path(__file__).parent.parent / "golden" / "metrics"


def read(name, part, limit=None):
    lines = (DATA / name / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:limit]]


def write(name, source, value):
    packages = ["scikit-learn", "seqeval", "sacrebleu", "rouge-score", "torchmetrics"]
    versions = {package: importlib.metadata.version(package) for package in packages}
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"source": source, "versions": versions, **value}, ensure_ascii=False, indent=1)
    (OUT / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def classes():
    train, test = read("cuad_clause", "train"), read("cuad_clause", "test", 400)
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
    model = MultinomialNB(alpha=0.05).fit(vectorizer.fit_transform(r["text"] for r in train), [r["label"] for r in train])
    probabilities = model.predict_proba(vectorizer.transform(r["text"] for r in test))
    names = list(model.classes_)
    expected = [names.index(r["label"]) for r in test]
    predicted = [int(i) for i in probabilities.argmax(axis=1)]
    confidences = [float(p) for p in probabilities.max(axis=1)]
    right = [e == p for e, p in zip(expected, predicted)]
    # Certainty has a bin of its own in torchmetrics; naive Bayes is never quite there.
    edges = [0.0, 0.2, 1 / 3, 0.5, 0.999, 1.0, 1.0]
    edges_right = [False, True, False, True, True, True, False]

    def ece(confidences, right, bins):
        # The metric's own core: the functions around it take logits, not the confidence of an answer.
        return float(_ce_compute(torch.tensor(confidences, dtype=torch.float64),
                                 torch.tensor(right, dtype=torch.float64),
                                 torch.linspace(0, 1, bins + 1, dtype=torch.float64), norm="l1"))

    occurring = sorted(set(expected) | set(predicted))
    write("classes", "cuad_clause, CC BY 4.0: labels only", {
        "labels": len(names), "expected": expected, "predicted": predicted, "confidences": confidences,
        "accuracy": accuracy_score(expected, predicted),
        "micro_f1": f1_score(expected, predicted, average="micro"),
        "macro_f1": f1_score(expected, predicted, average="macro", labels=occurring),
        "recalls": dict(zip(map(str, sorted(set(expected))), recall_score(
            expected, predicted, average=None, labels=sorted(set(expected))).tolist())),
        "ece_15": ece(confidences, right, 15), "ece_10": ece(confidences, right, 10),
        "edges": {"confidences": edges, "right": edges_right, "ece_10": ece(edges, edges_right, 10)},
    })


def spans():
    counts = collections.defaultdict(collections.Counter)
    for record in read("bc5cdr", "train"):
        for token, tag in zip(record["tokens"], record["tags"]):
            counts[token.lower()][tag] += 1
    best = {token: tags.most_common(1)[0][0] for token, tags in counts.items()}
    expected, predicted = [], []
    for record in read("bc5cdr", "test", 400):
        expected.append(record["tags"])
        predicted.append([best.get(token.lower(), "O") for token in record["tokens"]])
    # Every order of tags that can meet, so that no rule goes untested.
    tags = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    for a in tags:
        for b in tags:
            for c in tags:
                expected.append(["B-X", "I-X", "O", "B-Y"])
                predicted.append([a, b, c, "I-Y"])
    report = seqeval.metrics.classification_report(expected, predicted, output_dict=True)
    types = {name: row["f1-score"] for name, row in report.items() if not name.endswith("avg")}
    write("spans", "bc5cdr, CC BY 4.0: tags only", {
        "expected": expected, "predicted": predicted, "types": types,
        "micro_f1": seqeval.metrics.f1_score(expected, predicted),
        "macro_f1": seqeval.metrics.f1_score(expected, predicted, average="macro"),
    })


def nearest(train_questions, train_answers, questions, **options):
    vectorizer = TfidfVectorizer(sublinear_tf=True, **options)
    known = vectorizer.fit_transform(train_questions)
    return [train_answers[int(i)] for i in np.asarray((vectorizer.transform(questions) @ known.T).argmax(axis=1)).ravel()]


class WordsAndHan:
    def tokenize(self, text):
        return re.findall(r"[a-z0-9]+|[\u3400-\u4dbf\u4e00-\u9fff]", text.lower())


def texts(name, source, tokenizer, expected, predicted):
    bleu = sacrebleu.metrics.BLEU(tokenize=tokenizer)
    sentence = sacrebleu.metrics.BLEU(tokenize=tokenizer, effective_order=True)
    own = None if tokenizer == "13a" else WordsAndHan()
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False, tokenizer=own)
    items = []
    for e, p in zip(expected, predicted):
        rouge = scorer.score(e, p)["rougeL"]
        items.append({"expected": e, "actual": p, "bleu": sentence.sentence_score(p, [e]).score,
                      "rouge_l": [rouge.precision, rouge.recall, rouge.fmeasure]})
    corpus = bleu.corpus_score(predicted, [expected])
    write(name, source, {"tokenizer": tokenizer, "items": items, "corpus_bleu": corpus.score,
                         "signature": bleu.get_signature().format(),
                         "sentence_signature": sentence.get_signature().format()})


def english():
    train, test = read("medquad_sft", "train"), read("medquad_sft", "test", 120)
    cut = lambda text: " ".join(text.split(" ")[:60])
    predicted = nearest([r["instruction"] for r in train], [cut(r["output"]) for r in train], [r["instruction"] for r in test])
    expected = [cut(r["output"]) for r in test]
    # What the tokenizer has rules for, too short for four words, and equal.
    pairs = [("&quot;5,000.5&quot; mg/day -\nend", "\"5,000.5\" mg/day - end"), ("one two", "one two"), ("a b c d e", "x y z"),
             ("yes", "yes it is so"), ("3-4 times a day, <skipped>.", "3 - 4 times a day , ."), ("é—naïve…", "é — naïve …")]
    texts("english", "medquad_sft, CC BY 4.0", "13a", expected + [e for e, _ in pairs], predicted + [p for _, p in pairs])


def chinese():
    train, test = read("tw_law_zh_en", "train"), read("tw_law_zh_en", "test", 120)
    predicted = nearest([r["en"] for r in train], [r["zh"][:120] for r in train], [r["en"] for r in test])
    pairs = [("第180条，第2款。", "第 180 条，第 2 款。"), ("HbA1c为7.5%", "HbA1c 是 7.5 %"), ("甲\u2014乙😀", "甲——乙😀")]
    texts("chinese", "tw_law_zh_en, Taiwan OGDL 1.0", "zh", [r["zh"][:120] for r in test] + [e for e, _ in pairs],
          predicted + [p for _, p in pairs])


classes()
spans()
english()
chinese()
