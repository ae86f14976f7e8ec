//! Who vouches for a package: minisign signatures of its manifest, which holds the library's SHA-256.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minisign_verify::{Error, PublicKey, Signature};

/// The signature's file name, beside the manifest.
pub const SIGNATURE_FILE: &str = "manifest.toml.minisig";

/// Public keys that an operator trusts.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<(String, PublicKey)>);

/// What a signature turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// By the trusted key with this id.
    By(String),
    /// By a key with this id that is not trusted.
    Unknown(String),
    /// By nobody: the words say why.
    Bad(String),
}

impl Keys {
    /// Reads public keys as minisign writes them: the second line of `minisign.pub`.
    ///
    /// # Errors
    /// The index of each that is no key, and why.
    pub fn parse<S: AsRef<str>>(keys: &[S]) -> Result<Keys, Vec<(usize, String)>> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (at, text) in keys.iter().enumerate() {
            let text = text.as_ref().trim();
            match (PublicKey::from_base64(text), key_id(text)) {
                (Ok(key), Some(id)) => good.push((id, key)),
                (Err(e), _) => bad.push((at, e.to_string())),
                (Ok(_), None) => bad.push((at, "it is too short".to_owned())),
            }
        }
        if bad.is_empty() { Ok(Keys(good)) } else { Err(bad) }
    }

    /// Whether no key is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Judges the signature of `manifest`. Only signatures over the prehashed file count, which minisign makes since
    /// version 0.10; the trusted comment is covered, too.
    pub(crate) fn judge(&self, manifest: &[u8], signature: &str) -> Verdict {
        let parsed = match Signature::decode(signature) {
            Ok(parsed) => parsed,
            Err(e) => return Verdict::Bad(e.to_string()),
        };
        let id = signature.lines().nth(1).and_then(key_id);
        for (trusted, key) in &self.0 {
            match key.verify(manifest, &parsed, false) {
                Ok(()) => return Verdict::By(trusted.clone()),
                Err(Error::UnexpectedKeyId) => {}
                Err(e) => return Verdict::Bad(e.to_string()),
            }
        }
        match id {
            Some(id) => Verdict::Unknown(id),
            None => Verdict::Bad("it names no key".into()),
        }
    }
}

/// The id in a key or a signature: 8 bytes after the 2 of the algorithm, printed as minisign does.
fn key_id(base64: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(base64.trim()).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use minisign::KeyPair;
    use std::io::Cursor;

    fn signed(pair: &KeyPair, text: &str) -> String {
        minisign::sign(None, &pair.sk, Cursor::new(text), Some("trusted"), Some("untrusted"))
            .unwrap()
            .into_string()
    }

    #[test]
    fn only_a_trusted_key_over_these_very_bytes_counts() {
        let (mine, other) = (
            KeyPair::generate_unencrypted_keypair().unwrap(),
            KeyPair::generate_unencrypted_keypair().unwrap(),
        );
        let keys = Keys::parse(&[other.pk.to_base64(), mine.pk.to_base64()]).unwrap();
        let only_other = Keys::parse(&[other.pk.to_base64()]).unwrap();
        let id = format!("{:016X}", u64::from_le_bytes(mine.pk.keynum().try_into().unwrap()));
        let signature = signed(&mine, "id = 1");
        assert_eq!(keys.judge(b"id = 1", &signature), Verdict::By(id.clone()));
        assert_eq!(only_other.judge(b"id = 1", &signature), Verdict::Unknown(id));
        assert!(matches!(keys.judge(b"id = 2", &signature), Verdict::Bad(_)));
        let comment = signature.replace("trusted comment: trusted", "trusted comment: changed");
        assert_ne!(comment, signature);
        assert!(matches!(keys.judge(b"id = 1", &comment), Verdict::Bad(_)));
        assert!(matches!(keys.judge(b"id = 1", "nonsense"), Verdict::Bad(_)));
        assert!(Keys::parse(&["RWQ"]).is_err());
        assert!(Keys::default().is_empty());
    }
}
