"""What a peer's network answers, and what its answers are worth: one label for a text, or a tag for each of its tokens."""
import json
from pathlib import Path

# No token, and no answer to be learned.
NOTHING = -100


def encodings(model_dir, records, max_length):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(Path(model_dir) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer.encode_batch([record["text"] for record in records])


def ids_of(encoded, max_length):
    import torch
    ids = torch.full((len(encoded), max_length), NOTHING, dtype=torch.long)
    for place, encoding in enumerate(encoded):
        ids[place, : len(encoding.ids)] = torch.tensor(encoding.ids)
    return ids


class Labels:
    """One label a text, from the mean of its tokens' vectors."""

    def __init__(self, model_dir, stream):
        self.model_dir, self.max_length = model_dir, stream["max_length"]
        self.names = sorted({record["label"] for delivery in stream["deliveries"] for record in delivery["train"]})

    def tensors(self, records):
        """Token ids [texts, max_length] and labels [texts]."""
        import torch
        ids = ids_of(encodings(self.model_dir, records, self.max_length), self.max_length)
        return ids, torch.tensor([self.names.index(record["label"]) for record in records])

    def split(self, given):
        """Of what `tensors` gives first: token ids, and what else the answers need."""
        return given, None

    def answers(self, head, hidden, mask, _):
        return head((hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True))

    def criterion(self):
        import torch
        return torch.nn.CrossEntropyLoss()

    def judge(self, records, outputs):
        """The share of right answers, and which are."""
        right = [self.names[answer] == record["label"] for answer, record in zip(outputs.argmax(1).tolist(), records)]
        return sum(right) / len(right), right


class Spans:
    """A tag for each token, as wengu has them: B for the first token that touches a span, I for the others.

    Avalanche's strategies know one class for each example, which its memories are balanced by. So every text is of one class, its tags
    travel beside its token ids, and the network answers [texts, tags + 1, tokens], of which the last row repeats the tags that are to be learned: the
    criterion finds them there.
    """

    def __init__(self, model_dir, stream):
        self.model_dir, self.max_length = model_dir, stream["max_length"]
        kinds = sorted({kind for delivery in stream["deliveries"] for record in delivery["train"] for _, _, kind in json.loads(record["label"])})
        self.names = ["O", *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI")]

    def tensors(self, records):
        """Token ids and tags [texts, 2, max_length], and a class that is the same for all [texts]."""
        import torch
        encoded = encodings(self.model_dir, records, self.max_length)
        tags = torch.full((len(records), self.max_length), NOTHING, dtype=torch.long)
        for place, (encoding, record) in enumerate(zip(encoded, records)):
            begun, marked = set(), json.loads(record["label"])
            for at, (begin, end) in enumerate(encoding.offsets):
                if begin == end:
                    continue
                touched = next((span for span, (b, e, _) in enumerate(marked) if b < end and begin < e), None)
                name = "O" if touched is None else f"{'I' if touched in begun else 'B'}-{marked[touched][2]}"
                begun.add(touched)
                tags[place, at] = self.names.index(name)
        return torch.stack([ids_of(encoded, self.max_length), tags], 1), torch.zeros(len(records), dtype=torch.long)

    def split(self, given):
        return given[:, 0], given[:, 1]

    def answers(self, head, hidden, _, tags):
        import torch
        logits = head(hidden).transpose(1, 2)
        missing = tags.shape[1] - logits.shape[2]
        logits = torch.nn.functional.pad(logits, (0, missing))
        return torch.cat([logits, tags.unsqueeze(1).to(logits)], 1)

    def criterion(self):
        import torch
        return lambda outputs, _: torch.nn.functional.cross_entropy(outputs[:, :-1], outputs[:, -1].long(), ignore_index=NOTHING)

    def judge(self, records, outputs):
        """F1 of the spans over all texts, and which texts have none too many and none too few."""
        tags = outputs[:, :-1].argmax(1).tolist()
        found = [self.spans(row, encoding.offsets) for row, encoding in zip(tags, encodings(self.model_dir, records, self.max_length))]
        wanted = [{tuple(span) for span in json.loads(record["label"])} for record in records]
        hits = sum(len(a & b) for a, b in zip(found, wanted))
        both = sum(map(len, found)) + sum(map(len, wanted))
        return 2 * hits / both if both else 0.0, [a == b for a, b in zip(found, wanted)]

    def spans(self, tags, offsets):
        """As conlleval reads tags: an I that follows nothing of its kind begins a span."""
        spans, open_kind = [], None
        for tag, (begin, end) in zip(tags, offsets):
            if begin == end:
                continue
            prefix, _, kind = self.names[tag].partition("-")
            if prefix == "I" and kind == open_kind:
                spans[-1][1] = end
            elif kind:
                spans.append([begin, end, kind])
            open_kind = kind or None
        return set(map(tuple, spans))
