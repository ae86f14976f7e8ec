"""Reference numbers for the label model, from crowd-kit and Snorkel.

Run: python tests/oracle/label_model.py VOTES   (packages: requirements.txt beside this file)

VOTES is what `cargo run -p wengu-plugin-legal-en --example votes -- cuad_clause/test.jsonl` prints: the votes of that
plugin on the test clauses of the Contract Understanding Atticus Dataset (CC BY 4.0), without their texts. Writes
tests/golden/label_model/votes.json.
"""

import importlib.metadata
import json
import pathlib
import sys

import numpy as np
import pandas as pd
from crowdkit.aggregation import DawidSkene
from snorkel.labeling import LFAnalysis
from snorkel.labeling.model import LabelModel, MajorityLabelVoter

ITERATIONS = 30
votes = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
labels, functions, items = len(votes["labels"]), len(votes["functions"]), votes["items"]
# One vote for each function: those that contradict themselves abstain.
matrix = np.full((len(items), functions), -1)
for i, item in enumerate(items):
    for f in {f for f, _, _ in item["votes"]}:
        said = {label for g, label, _ in item["votes"] if g == f}
        if len(said) == 1:
            matrix[i, f] = said.pop()

rows = [(i, f, int(matrix[i, f])) for i in range(len(items)) for f in range(functions) if matrix[i, f] >= 0]
frame = pd.DataFrame(rows, columns=["task", "worker", "label"])
posteriors = DawidSkene(n_iter=ITERATIONS, tol=-1e9).fit_predict_proba(frame)
posteriors = posteriors.reindex(columns=range(labels), fill_value=0.0)
summary = LFAnalysis(matrix).lf_summary()

gold = np.array([-1 if item["gold"] is None else item["gold"] for item in items])
voted = (matrix >= 0).any(axis=1)
model = LabelModel(cardinality=labels, verbose=False)
model.fit(matrix, n_epochs=500, seed=1, progress_bar=False)


def right(predicted):
    return float((predicted[voted] == gold[voted]).mean())


accuracy = {
    "majority": right(MajorityLabelVoter(cardinality=labels).predict(matrix, tie_break_policy="random")),
    "dawid_skene": right(np.array([posteriors.loc[i].to_numpy().argmax() if i in posteriors.index else -1 for i in range(len(items))])),
    "snorkel": right(model.predict(matrix, tie_break_policy="random")),
}
print({name: round(value, 4) for name, value in accuracy.items()}, "of", int(voted.sum()), "items with votes")
sample = [int(i) for i in posteriors.index[::7]]
out = {
    "source": "votes of legal-en on the test clauses of cuad_clause, CC BY 4.0",
    "versions": {p: importlib.metadata.version(p) for p in ["crowd-kit", "snorkel"]},
    **votes,
    "iterations": ITERATIONS,
    "dawid_skene": [[i, [float(p) for p in posteriors.loc[i]]] for i in sample],
    "analysis": summary[["Coverage", "Overlaps", "Conflicts"]].to_numpy().tolist(),
    "accuracy_of_voted": accuracy,
}
path = pathlib.Path(__file__).parent.parent / "golden" / "label_model" / "votes.json"
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps(out, separators=(",", ":")) + "\n", encoding="utf-8")
