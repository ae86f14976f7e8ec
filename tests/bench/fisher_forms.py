"""What is lost when the diagonal Fisher of a layer is kept in a smaller form: how far the EWC penalty is off on the moves that updates made.

usage: fisher_forms.py VERSION_DIR VERSION_DIR...

The directories are versions one after the other, as `bench_learning --keep versions` leaves them, with whole Fishers (`fisher_form =
"diagonal"`). For each update: the penalty of its move under the Fisher of the version before it, by every form beside the whole one.
"""
import sys
from pathlib import Path

import numpy
from safetensors.numpy import load_file


def by_sums(fisher):
    return numpy.outer(fisher.sum(1), fisher.sum(0)) / fisher.sum()


def one_number(fisher):
    return numpy.full_like(fisher, fisher.mean())


def rows_alone(fisher):
    return numpy.repeat(fisher.mean(1)[:, None], fisher.shape[1], 1)


def columns_alone(fisher):
    return numpy.repeat(fisher.mean(0)[None], fisher.shape[0], 0)


def of_rank(rank, rounds=200):
    """The nearest of that rank without negative numbers, in generalised Kullback-Leibler divergence (Lee and Seung 2001)."""
    def of(fisher):
        rng = numpy.random.default_rng(1)
        left, right = rng.random((fisher.shape[0], rank)), rng.random((rank, fisher.shape[1]))
        left *= fisher.sum() / (left @ right).sum()
        for _ in range(rounds):
            left *= (fisher / (left @ right + 1e-300)) @ right.T / right.sum(1)
            right *= left.T @ (fisher / (left @ right + 1e-300)) / left.sum(0)[:, None]
        return left @ right
    return of


# What each form keeps of a layer [out, in].
FORMS = {
    "one number": (one_number, lambda o, i: 1),
    "columns alone": (columns_alone, lambda o, i: i),
    "rows alone": (rows_alone, lambda o, i: o),
    "row and column sums": (by_sums, lambda o, i: o + i),
    "rank 4": (of_rank(4), lambda o, i: 4 * (o + i)),
    "rank 16": (of_rank(16), lambda o, i: 16 * (o + i)),
}


def main():
    versions = [load_file(Path(folder) / "fisher.safetensors") for folder in sys.argv[1:]]
    names = sorted(name.removeprefix("fisher/") for name in versions[0] if name.startswith("fisher/") and "classifier" not in name)
    print("| form | numbers, of 100 of the whole | penalty of a move, of the whole one's: all layers | layers, lowest to highest | |F - form| / |F| |")
    print("|---|---|---|---|---|")
    for form, (of, size) in FORMS.items():
        totals, layers, off, kept, whole_size = [], [], [], 0, 0
        for before, after in zip(versions, versions[1:]):
            whole = small = 0.0
            for name in names:
                fisher = before[f"fisher/{name}"].astype(float)
                move = (after[f"anchor/{name}"].astype(float) - before[f"anchor/{name}"].astype(float)) ** 2
                approximate = of(fisher)
                exact, found = (fisher * move).sum(), (approximate * move).sum()
                whole, small = whole + exact, small + found
                layers.append(found / exact)
                off.append(numpy.linalg.norm(fisher - approximate) / numpy.linalg.norm(fisher))
                kept, whole_size = kept + size(*fisher.shape), whole_size + fisher.size
            totals.append(small / whole)
        told = ", ".join(f"{total:.2f}" for total in totals)
        print(f"| {form} | {100 * kept / whole_size:.2f} | {told} | {min(layers):.2f} to {max(layers):.2f} | {numpy.mean(off):.2f} |", flush=True)


if __name__ == "__main__":
    main()
