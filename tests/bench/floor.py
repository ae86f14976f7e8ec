"""What the machine's matrix products allow at most: FLOP of a BERT encoder with frozen weights and low-rank adapters, and measured peaks.

Counted are the products with frozen weights, forward (2 FLOP a weight and token) and for the gradient of their input (2 more, where
anything below is trained), and the two products of attention, whose FLOP grow with the square of a row's length. Left out are the
adapters' own products (1 % of the sum at rank 8), the head, normalisations, GELU, softmax, look-ups and the optimizer: no program
that computes in these numbers is faster than this floor.
"""
import json, time
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """FLOP of a pass over one row of `length` tokens: `token * length + pair * length ** 2`."""
    token: int
    pair: int
    # Products with frozen weights, (inputs, outputs, how often): what `token` is the sum of.
    products: tuple

    def of(self, shapes):
        """FLOP of batches, each (rows, width)."""
        return sum(rows * width * (self.token + self.pair * width) for rows, width in shapes)


def is_target(module, targets):
    """PEFT's rule for a list of target modules."""
    return any(module == target or module.endswith("." + target) for target in targets)


def cost(config, targets, training):
    """Of a model with BERT's layers, by its config.json; `targets` are the layers that have adapters."""
    if config["model_type"] not in ("bert", "roberta", "xlm-roberta"):
        raise SystemExit(f"the floor is counted for BERT's layers, not for {config['model_type']}")
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    products, pair, moved = [], 0, False  # moved: something at or below this point is trained

    def linear(name, inputs, outputs, moved):
        products.append((inputs, outputs, 1))
        if training and moved:
            products.append((outputs, inputs, 1))
        return moved or is_target(name, targets)

    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        query, key, value = (linear(f"{name}.attention.self.{part}", hidden, hidden, moved) for part in ("query", "key", "value"))
        # Scores and the sum over values; backward the values', the scores', and through these the queries' and the keys' gradient.
        pair += 2 * 2 * hidden
        if training:
            pair += 2 * hidden * (value + (query or key) + query + key)
        moved = linear(f"{name}.attention.output.dense", hidden, hidden, query or key or value)
        moved = linear(f"{name}.intermediate.dense", hidden, inner, moved)
        moved = linear(f"{name}.output.dense", inner, hidden, moved)
    counted = tuple((*shape, sum(other[:2] == shape for other in products)) for shape in sorted({each[:2] for each in products}))
    return Cost(sum(2 * inputs * outputs * times for inputs, outputs, times in counted), pair, counted)


def check():
    """The count of all-MiniLM-L6-v2 with adapters on query and value, by hand."""
    minilm = {"model_type": "bert", "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6}
    # A layer: four of 384 x 384, two of 384 x 1536.
    frozen = 6 * (4 * 147_456 + 2 * 589_824)
    assert frozen == 10_616_832
    predicting = cost(minilm, ["query", "value"], training=False)
    # Two products of 384 a layer, token and token of its row.
    assert (predicting.token, predicting.pair) == (2 * frozen, 6 * 2 * 2 * 384)
    # The lowest layer's query, key and value read embeddings, which are not trained: no gradient of their input, and none of the keys.
    training = cost(minilm, ["query", "value"], training=True)
    assert training.token == 2 * frozen + 2 * (frozen - 3 * 147_456) == 41_582_592
    assert training.pair == 6 * 4 * 384 + 5 * 8 * 384 + 6 * 384 == 26_880
    # Adapters in the upper half alone: nothing goes back through the lower three layers, nor into the fourth's input.
    upper = cost(minilm, [f"layer.{layer}.attention.self.{part}" for layer in (3, 4, 5) for part in ("query", "value")], training=True)
    assert upper.token == 2 * frozen + 2 * (frozen // 2 - 3 * 147_456)
    # One row of 64 and two of 10, which are padded to 16.
    assert training.of([(1, 64), (2, 16)]) == 96 * 41_582_592 + (64 * 64 + 2 * 16 * 16) * 26_880


def speeds(model, batch_tokens, threads, precision):
    """FLOP a second of products on this machine, each the best of several: large squares ("peak"), and a batch of this many tokens with
    each shape of the model's weights, "INPUTS OUTPUTS"."""
    import torch
    torch.set_num_threads(threads)
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    config = json.loads((model / "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]

    def speed(rows, inputs, outputs):
        left, right = torch.randn(rows, inputs).to(kind), torch.randn(inputs, outputs).to(kind)
        into = torch.empty(rows, outputs, dtype=kind)
        torch.mm(left, right, out=into)
        best, began = float("inf"), time.monotonic()
        while time.monotonic() - began < 0.6:
            start = time.perf_counter()
            torch.mm(left, right, out=into)
            best = min(best, time.perf_counter() - start)
        return 2 * rows * inputs * outputs / best

    found = {f"{inputs} {outputs}": speed(batch_tokens, inputs, outputs) for inputs, outputs in [(hidden, hidden), (hidden, inner), (inner, hidden)]}
    # One that is larger on its own is faster than any that a model of this size has.
    found["peak"] = max(speed(size, size, size) for size in (768, 1024, 1536, 2048))
    return {"speeds": found}


def fastest(cost, speeds, tokens, lengths, shapes):
    """Tokens a second at most: texts of these lengths without padding and with that of `shapes`, at the machine's peak, and that with each
    product at the speed that it has in a batch of the model."""
    peak = max(speeds.values())
    padded = cost.of(shapes)
    products = sum(2 * inputs * outputs * times / speeds[f"{inputs} {outputs}"] for inputs, outputs, times in cost.products)
    attention = padded - cost.token * sum(rows * width for rows, width in shapes)
    by_shape = products * sum(rows * width for rows, width in shapes) + attention / peak
    return {"floor": tokens * peak / cost.of([(1, length) for length in lengths]), "floor_padded": tokens * peak / padded,
            "floor_by_shape": tokens / by_shape}


if __name__ == "__main__":
    check()
    print("the count agrees with the one by hand")
