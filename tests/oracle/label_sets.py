"""Reference numbers for texts with several labels, from scikit-learn.

Run: python tests/oracle/label_sets.py DATA   (packages: requirements.txt beside this file)

DATA is a folder with zh_theft_ner (Apache-2.0). A text's labels are the kinds of entities that it names; the answers are those of
a logistic regression for each kind, over pairs of characters, trained on the training part. Writes
tests/golden/metrics/label_sets.json, which holds labels only; and for made-up answers of two models the exact chances of paired
approximate randomisation (Noreen 1989), over all ways to swap them.
"""

import importlib.metadata
import itertools
import json
import pathlib
import random
import sys

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

DATA = pathlib.Path(sys.argv[1])
OUT = pathlib.Path(__file__).parent.parent / "golden" / "metrics"


def read(part):
    rows = [json.loads(line) for line in (DATA / "zh_theft_ner" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()]
    return ["".join(r["tokens"]) for r in rows], [sorted({t[2:] for t in r["tags"] if t != "O"}) for r in rows]


def randomisation(seed):
    draw = random.Random(seed)
    sets = lambda: [sorted(label for label in "abcd" if draw.random() < p) for p in [0.2, 0.5, 0.4, 0.6, 0.3] * 2]
    expected, champion, challenger = sets(), sets(), sets()
    files = [str(i // 2) if seed % 2 else None for i in range(10)]
    units = [[i] for i in range(10)] if seed % 2 == 0 else [[i, i + 1] for i in range(0, 10, 2)]
    binarizer = MultiLabelBinarizer().fit([list("abcd")])
    indicators = lambda sets: binarizer.transform(sets)

    def difference(average, swaps):
        first, second = list(champion), list(challenger)
        for unit, swapped in zip(units, swaps):
            for i in unit if swapped else []:
                first[i], second[i] = second[i], first[i]
        f1 = []
        for said in (first, second):
            e, s = indicators(expected), indicators(said)
            seen = [i for i in range(4) if e[:, i].any() or s[:, i].any()]
            f1.append(f1_score(e, s, average=average, labels=seen, zero_division=0))
        return f1[1] - f1[0]

    def worse_p(average):
        observed = difference(average, [False] * len(units))
        ways = list(itertools.product([False, True], repeat=len(units)))
        return sum(difference(average, swaps) <= observed + 1e-12 for swaps in ways) / len(ways)

    return dict(expected=expected, champion=champion, challenger=challenger, files=files,
                macro_p=worse_p("macro"), micro_p=worse_p("micro"))  # fmt: skip


def main():
    (texts, sets), (test_texts, test_sets) = read("train"), read("test")
    binarizer = MultiLabelBinarizer().fit(sets + test_sets)
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 2))
    model = OneVsRestClassifier(LogisticRegression(C=20.0, max_iter=1000))
    model.fit(vectorizer.fit_transform(texts), binarizer.transform(sets))
    expected = binarizer.transform(test_sets)
    answered = (model.predict_proba(vectorizer.transform(test_texts)) >= 0.5).astype(int)
    seen = [i for i in range(expected.shape[1]) if expected[:, i].any() or answered[:, i].any()]
    precision, recall, f1, support = precision_recall_fscore_support(expected, answered, labels=seen, zero_division=0)
    golden = {
        "source": "zh_theft_ner, Apache-2.0: labels only",
        "versions": {"scikit-learn": importlib.metadata.version("scikit-learn")},
        "expected": test_sets,
        "answered": [list(names) for names in binarizer.inverse_transform(answered)],
        "subset_accuracy": accuracy_score(expected, answered),
        "micro_f1": f1_score(expected, answered, average="micro"),
        "macro_f1": f1_score(expected, answered, average="macro", labels=seen, zero_division=0),
        "labels": {
            binarizer.classes_[label]: dict(precision=precision[i], recall=recall[i], f1=f1[i], support=int(support[i]))
            for i, label in enumerate(seen)
        },
    }
    golden["randomisation"] = [randomisation(seed) for seed in range(6)]
    path = OUT / "label_sets.json"
    path.write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")
    path.chmod(0o644)
    print({key: golden[key] for key in ("subset_accuracy", "micro_f1", "macro_f1")}, len(seen), len(expected))


if __name__ == "__main__":
    main()
