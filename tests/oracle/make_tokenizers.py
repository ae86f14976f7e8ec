"""Small tokenizers for the tests of wengu-tokenize, made from texts.jsonl."""

from collections import Counter

from common import ROOT, TEXTS
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FIXTURES = ROOT / "daemon/tokenize/tests/fixtures"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def wordpiece():
    """As BERT's: lower case, ideographs alone, `##` before what goes on."""
    normalizer, pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = Counter()
    for text in TEXTS:
        words.update(word for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text["text"])))
    # The library's trainer breaks ties at random.
    characters = sorted(set("".join(words)))
    going_on = [f"##{c}" for c in characters if c.isascii() and c.isalnum()]
    frequent = sorted((word for word in words if len(word) > 1), key=lambda word: (-words[word], word))[:200]
    vocabulary = [*SPECIAL, *characters, *going_on, *frequent]
    entries = {word: index for index, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(entries, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.add_special_tokens(SPECIAL)
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    tokenizer.decoder = decoders.WordPiece()
    # The published model's file has both, at a length that is not the model's.
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    return tokenizer


def byte_level():
    """As GPT-2's: any bytes, a space belongs to the token after it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=alphabet, special_tokens=["<|end|>"], show_progress=False
    )
    tokenizer.train_from_iterator([t["text"] for t in TEXTS], trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


for name, made in (("wordpiece", wordpiece()), ("byte_level", byte_level())):
    (FIXTURES / name).mkdir(parents=True, exist_ok=True)
    made.save(str(FIXTURES / name / "tokenizer.json"), pretty=False)
    print(f"{name}: {made.get_vocab_size()} entries")
