//! From the bytes of a page of markup to text: the encoding that it names, or that is found out.

use encoding_rs::Encoding;
use wengu_intake::decode;
use wengu_protocol::reader::{Refusal, Verdict};

/// Where the name of an encoding is looked for, as browsers do.
const PROLOG_BYTES: usize = 1024;

/// The text and the WHATWG name of its encoding. `named` finds the name in the page's beginning. An order of bytes at the
/// very beginning goes first, then UTF-8 where the page is that, whatever it says.
pub fn decoded(
    bytes: &[u8],
    named: impl Fn(&str) -> Option<String>,
    fallback: Option<&str>,
) -> Result<(String, &'static str), Refusal> {
    let beginning: String = bytes[..bytes.len().min(PROLOG_BYTES)]
        .iter()
        .map(|&b| char::from(b))
        .collect();
    let label = named(&beginning).filter(|label| Encoding::for_label_no_replacement(label.as_bytes()).is_some());
    let label = label.as_deref().or(fallback);
    let decoded = decode(bytes, label).map_err(|e| Refusal::new(Verdict::Malformed, e.to_string()))?;
    Ok((decoded.text, decoded.encoding))
}

/// The value after `key` and an equals sign, in quotes or not.
pub fn value_after(text: &str, key: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let at = lower.find(key)? + key.len();
    let rest = text[at..]
        .trim_start()
        .strip_prefix('=')?
        .trim_start()
        .trim_start_matches(['"', '\'']);
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c)))
        .unwrap_or(rest.len());
    (end > 0).then(|| rest[..end].to_owned())
}
