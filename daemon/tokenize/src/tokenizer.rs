//! The base model's tokenizer.

use crate::chunks;
use crate::growth;
use crate::guarded::guarded;
use crate::segments::{self, Span};
use crate::special::Special;
use crate::{Segment, SegmentKind, TokenizeError};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::Path;
use tokenizers::{Model, NormalizedString, OffsetType, PreTokenizedString, PreTokenizer};
use tokenizers::{OffsetReferential, tokenizer::normalizer::Range};
use wengu_protocol::model_files;

const TOKENIZER_FILE: &str = "tokenizer.json";
/// A token in a message is cut to so many.
const SHOWN_CHARACTERS: usize = 40;
/// Tokens that a model takes whose folder does not say.
const MAX_LENGTH_UNKNOWN: usize = 512;

/// The base model's tokenizer, from its folder.
pub struct Tokenizer {
    pub(crate) inner: tokenizers::Tokenizer,
    special: Special,
    sha256: String,
    max_length: usize,
    default_max_length: usize,
    /// Whether the vocabulary writes a space into the token after it.
    pub(crate) space_bound: bool,
}

#[derive(Default, Deserialize)]
struct ModelConfig {
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    model_type: String,
    pad_token_id: Option<usize>,
}

/// sentence_bert_config.json: the length that the model was trained at.
#[derive(Default, Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

impl Tokenizer {
    /// Reads tokenizer.json, and from config.json and sentence_bert_config.json, where they are, how many tokens
    /// the model takes.
    pub fn load(model_dir: &Path) -> Result<Tokenizer, TokenizeError> {
        let path = model_dir.join(TOKENIZER_FILE);
        let bad = |message: String| TokenizeError::Model {
            path: path.clone(),
            message,
        };
        let bytes = model_files::read(&path, model_files::TOKENIZER_BYTES_MAX).map_err(|e| bad(e.to_string()))?;
        guarded(|| growth::check(&bytes).map_err(Into::into)).map_err(bad)?;
        let mut inner = guarded(|| tokenizers::Tokenizer::from_bytes(&bytes)).map_err(bad)?;
        check_ids(&inner).map_err(bad)?;
        // Length and padding are decided by who asks, not by what the model's author left in the file.
        inner
            .with_truncation(None)
            .map_err(|e| bad(e.to_string()))?
            .with_padding(None);

        let config: ModelConfig = optional(&model_dir.join("config.json"), model_files::CONFIG_BYTES_MAX)?;
        let sentence: SentenceConfig = optional(
            &model_dir.join("sentence_bert_config.json"),
            model_files::CONFIG_BYTES_MAX,
        )?;
        // The RoBERTa family counts positions from the padding id on.
        let offset = match config.model_type.as_str() {
            "roberta" | "xlm-roberta" | "camembert" => config.pad_token_id.unwrap_or(1).saturating_add(1),
            _ => 0,
        };
        let max_length = config
            .max_position_embeddings
            .map_or(MAX_LENGTH_UNKNOWN, |n| n.saturating_sub(offset));
        let default_max_length = sentence.max_seq_length.unwrap_or(max_length).min(max_length);
        let space_bound = is_space_bound(&inner)?;
        Ok(Tokenizer {
            special: Special::of(&inner)?,
            sha256: Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            inner,
            max_length,
            default_max_length,
            space_bound,
        })
    }

    /// Lowercase hex SHA-256 of tokenizer.json.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Tokens that the model takes, special ones included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Tokens that the model's authors cut texts to; at most [`Tokenizer::max_length`].
    pub fn default_max_length(&self) -> usize {
        self.default_max_length
    }

    /// Entries of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The token that stands for what the vocabulary lacks, where there is one.
    pub fn unknown_id(&self) -> Option<u32> {
        ["[UNK]", "<unk>"]
            .iter()
            .find_map(|token| self.inner.token_to_id(token))
    }

    /// Token ids of the text with the special tokens around them, at most `max_length` in all. The segments tile
    /// the text; without any, the ids are those of the base model's own tokenizer.
    pub fn encode(&self, text: &str, segments: &[Segment], max_length: usize) -> Result<Vec<u32>, TokenizeError> {
        let (room, before, after) = self.room(max_length)?;
        let content = self.content(text, segments, room)?;
        Ok([before, &content, after].concat())
    }

    /// Tokens that are left of `max_length` beside the special ones, and those: before the text and after it.
    pub(crate) fn room(&self, max_length: usize) -> Result<(usize, &[u32], &[u32]), TokenizeError> {
        if max_length > self.max_length {
            return Err(TokenizeError::TooLong {
                asked: max_length,
                limit: self.max_length,
            });
        }
        let special = self.special.count();
        if max_length <= special {
            return Err(TokenizeError::TooShort {
                asked: max_length,
                special,
            });
        }
        Ok((max_length - special, &self.special.before, &self.special.after))
    }

    /// How many tokens the whole text has, without special ones.
    pub fn token_count_plain(&self, text: &str) -> Result<usize, TokenizeError> {
        Ok(self.content(text, &[], usize::MAX)?.len())
    }

    /// The special tokens that begin a text.
    pub(crate) fn before(&self) -> &[u32] {
        &self.special.before
    }

    /// The first `limit` ids of the text's own tokens.
    pub(crate) fn content(&self, text: &str, segments: &[Segment], limit: usize) -> Result<Vec<u32>, TokenizeError> {
        let mut spans = segments::checked(text, segments)?;
        if self.space_bound {
            segments::lend_spaces(text, &mut spans);
        }
        let mut ids = Vec::new();
        let mut begin = 0;
        while begin < text.len() && ids.len() < limit {
            let end = chunks::end(text, &spans, begin, chunks::MAX_BYTES);
            guarded(|| self.piece(&text[begin..end], &segments::within(&spans, begin, end), &mut ids))
                .map_err(TokenizeError::Encode)?;
            begin = end;
        }
        ids.truncate(limit);
        Ok(ids)
    }

    /// Appends the ids of a piece of the text, as `tokenizers::Tokenizer::encode` finds them, with the borders of
    /// terms and of what is dropped put in between normalisation and pre-tokenisation.
    fn piece(&self, text: &str, spans: &[Span], ids: &mut Vec<u32>) -> tokenizers::Result<()> {
        let mut text = self
            .inner
            .get_added_vocabulary()
            .extract_and_normalize(self.inner.get_normalizer(), text);
        let plain = spans.iter().all(|span| span.kind == SegmentKind::Text);
        if !plain {
            text.split(|_, part| Ok(self.cut(part, spans)))?;
        }
        self.pre_tokenize(&mut text)?;
        self.inner.get_model().tokenize_in_pretokenized(&mut text, None)?;
        if plain {
            ids.extend(text.into_encoding(None, 0, OffsetType::None)?.get_ids());
            return Ok(());
        }
        let encoding = text.into_encoding(None, 0, OffsetType::Byte)?;
        // A special token's own text ("[SEP]") was found before the borders were known.
        let shown = |begin: usize| {
            spans
                .iter()
                .any(|s| s.kind != SegmentKind::Drop && s.begin <= begin && begin < s.end)
        };
        let kept = encoding
            .get_ids()
            .iter()
            .zip(encoding.get_offsets())
            .filter(|(_, offsets)| shown(offsets.0));
        ids.extend(kept.map(|(id, _)| *id));
        Ok(())
    }

    fn pre_tokenize(&self, text: &mut PreTokenizedString) -> tokenizers::Result<()> {
        match self.inner.get_pre_tokenizer() {
            Some(pre_tokenizer) => pre_tokenizer.pre_tokenize(text),
            None => Ok(()),
        }
    }

    /// The shown parts of a normalised piece; a term that the vocabulary has as it is comes with its token.
    fn cut(&self, part: NormalizedString, spans: &[Span]) -> Vec<(NormalizedString, Option<Vec<tokenizers::Token>>)> {
        let (begin, end) = part.offsets_original();
        let mut cut = Vec::new();
        for span in spans.iter().filter(|span| span.kind != SegmentKind::Drop) {
            let (first, last) = (span.begin.max(begin), span.end.min(end));
            if first >= last {
                continue;
            }
            // None where the normaliser has left nothing of it.
            let Some(shown) = part.slice(Range::Original(first - begin..last - begin)) else {
                continue;
            };
            let token = if span.kind == SegmentKind::Term {
                self.whole(&shown)
            } else {
                None
            };
            cut.push((shown, token.map(|token| vec![token])));
        }
        cut
    }

    /// The one token of a term, looked up in the form that the pre-tokeniser gives it.
    fn whole(&self, term: &NormalizedString) -> Option<tokenizers::Token> {
        // Where spaces only separate, a term of several words is several tokens.
        if !self.space_bound && term.get_original().trim().contains(char::is_whitespace) {
            return None;
        }
        let mut alone = PreTokenizedString::from(term.clone());
        self.pre_tokenize(&mut alone).ok()?;
        let parts = alone.get_splits(OffsetReferential::Original, OffsetType::None);
        let value: String = parts.iter().map(|(text, ..)| *text).collect();
        let id = self.inner.get_model().token_to_id(&value)?;
        Some(tokenizers::Token {
            id,
            value,
            offsets: (0, term.len()),
        })
    }
}

/// Whether words have other ids after a space than without one.
fn is_space_bound(tokenizer: &tokenizers::Tokenizer) -> Result<bool, TokenizeError> {
    let ids = |text: &str| {
        let encoding = guarded(|| tokenizer.encode_fast(text, false)).map_err(TokenizeError::Encode)?;
        Ok(encoding.get_ids().to_vec())
    };
    Ok(ids("a b")? != [ids("a")?, ids("b")?].concat())
}

/// The library writes a vocabulary by counting to its largest id, and models have a row for each.
fn check_ids(tokenizer: &tokenizers::Tokenizer) -> Result<(), String> {
    let vocabulary = tokenizer.get_vocab(true);
    match vocabulary.into_iter().max_by_key(|(_, id)| *id) {
        Some((token, id)) if id >= model_files::VOCABULARY_MAX => {
            let shown: String = token.chars().take(SHOWN_CHARACTERS).collect();
            let most = model_files::VOCABULARY_MAX - 1;
            Err(format!("the token {shown:?} has the id {id}; at most {most} is read"))
        }
        _ => Ok(()),
    }
}

/// A JSON file of at most `most` bytes that need not be there.
pub(crate) fn optional<T: Default + for<'de> Deserialize<'de>>(path: &Path, most: u64) -> Result<T, TokenizeError> {
    let bad = |message: String| TokenizeError::Model {
        path: path.to_owned(),
        message,
    };
    match model_files::read(path, most) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(bad(error.to_string())),
    }
}
