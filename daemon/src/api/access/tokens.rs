//! Tokens: how they are made, how one that is shown is found, and how they end.

use super::caller::{Caller, Who};
use crate::api::types::{TokenMade, TokenName, TokenRequest, TokenView};
use crate::clock::now_ms;
use crate::digest::sha256;
use crate::engine::Engine;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::{Mutex, MutexGuard};
use subtle::{Choice, ConstantTimeEq};
use wengu_store::Batch;
use wengu_store::records::TokenRecord;

/// Begins every token, for people and for programs that look for secrets in the wrong places.
const PREFIX: &str = "wengu_";
/// More would be a way to fill the disk, and each is looked at with every request.
const TOKENS_MAX: usize = 1000;
const NAME_CHARS_MAX: usize = 64;
/// Ten years.
const LIFE_S_MAX: u64 = 10 * 365 * 86_400;

/// Held while tokens are looked at to change one: two of one name could be made at once, and a revoked one be written over a new one.
static CHANGING: Mutex<()> = Mutex::new(());

fn changing() -> MutexGuard<'static, ()> {
    CHANGING.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// 256 bits from the system's random source.
fn generate() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("no random bytes from the system")?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// What is kept of a token. A fast hash is right here: slow ones make guessing passwords dear, and 256 random bits are not
/// guessed, whatever a guess costs.
fn digest(token: &str) -> String {
    sha256(token.as_bytes())
}

/// The bearer of the token that is shown, if it counts. All tokens are compared, each in the same time, so that neither how
/// near a wrong one is nor why it does not count can be measured.
fn bearer(tokens: &[(String, TokenRecord)], shown: &str, now_ms: i64) -> Option<Caller> {
    let shown = digest(shown);
    let mut found = None;
    for (name, token) in tokens {
        let same = token.sha256.as_bytes().ct_eq(shown.as_bytes());
        let counts = same & Choice::from(u8::from(token.counts(now_ms)));
        if counts.into() {
            found = Some((name, token));
        }
    }
    found.map(|(name, token)| Caller {
        who: Who::Token { name: name.clone() },
        role: Some(token.role),
        domains: token.domains.clone(),
    })
}

/// The bearer of the token that is shown, if it is known, is not revoked and has not expired.
pub fn find(engine: &Engine, shown: &str) -> Result<Option<Caller>> {
    Ok(bearer(&engine.store.scan::<TokenRecord>("")?, shown, now_ms()))
}

/// Makes a token. It is in the answer and nowhere else.
pub fn create(engine: &Engine, request: TokenRequest) -> Result<TokenMade> {
    let TokenRequest {
        name,
        role,
        domains,
        expires_s,
    } = request;
    check_name(&name)?;
    ensure!(
        (1..=LIFE_S_MAX).contains(&expires_s),
        "a token is good for one second at least and ten years at most"
    );
    let _changing = changing();
    let now = now_ms();
    let tokens = engine.store.scan::<TokenRecord>("")?;
    if tokens.iter().any(|(known, token)| *known == name && token.counts(now)) {
        bail!("there is a token {name}; `wengu token revoke {name}` ends it, and then its name is free");
    }
    ensure!(
        tokens.len() < TOKENS_MAX,
        "there are {TOKENS_MAX} tokens; use names of ended ones again"
    );
    let token = generate()?;
    let record = TokenRecord {
        sha256: digest(&token),
        role,
        domains,
        created_ms: now,
        expires_ms: now.saturating_add_unsigned(expires_s.saturating_mul(1000)),
        revoked_ms: None,
    };
    engine
        .store
        .commit(Batch::new("token.created").at(now).put(&name, &record)?)?;
    Ok(TokenMade {
        name,
        token,
        role: record.role,
        domains: record.domains,
        expires_ms: record.expires_ms,
    })
}

/// Names become keys and stand in the log.
fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let count = name.chars().count();
    ensure!(
        (1..=NAME_CHARS_MAX).contains(&count) && name.chars().all(allowed),
        "\"{name}\" cannot be a token's name: use letters of any script, digits, `-`, `_` and `.`, {NAME_CHARS_MAX} at most"
    );
    Ok(())
}

/// Every token, by name.
pub fn list(engine: &Engine) -> Result<Vec<TokenView>> {
    let now = now_ms();
    let tokens = engine.store.scan::<TokenRecord>("")?;
    Ok(tokens.into_iter().map(|(name, token)| view(name, token, now)).collect())
}

fn view(name: String, token: TokenRecord, now_ms: i64) -> TokenView {
    let state = match token.revoked_ms {
        Some(_) => "revoked",
        None if token.counts(now_ms) => "valid",
        None => "expired",
    };
    TokenView {
        name,
        role: token.role,
        domains: token.domains,
        state: state.into(),
        created_ms: token.created_ms,
        expires_ms: token.expires_ms,
        revoked_ms: token.revoked_ms,
    }
}

/// Ends a token now.
pub fn revoke(engine: &Engine, TokenName { name }: TokenName) -> Result<TokenView> {
    let _changing = changing();
    let Some(mut token) = engine.store.get::<TokenRecord>(&name)? else {
        bail!("there is no token {name}; `wengu token list` shows them");
    };
    let now = now_ms();
    if token.revoked_ms.is_none() {
        token.revoked_ms = Some(now);
        engine
            .store
            .commit(Batch::new("token.revoked").at(now).put(&name, &token)?)?;
    }
    Ok(view(name, token, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wengu_store::records::Role;

    fn record(token: &str, expires_ms: i64, revoked_ms: Option<i64>) -> TokenRecord {
        TokenRecord {
            sha256: digest(token),
            role: Role::Operator,
            domains: vec!["合同".into()],
            created_ms: 0,
            expires_ms,
            revoked_ms,
        }
    }

    #[test]
    fn the_digest_is_sha_256() {
        // FIPS 180-2, appendix B.1
        assert_eq!(
            digest("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_token_has_256_bits_and_no_two_are_the_same() {
        let tokens: std::collections::HashSet<String> = (0..1000).map(|_| generate().unwrap()).collect();
        assert_eq!(tokens.len(), 1000);
        for token in tokens {
            let bits = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX).unwrap()).unwrap();
            assert_eq!(bits.len(), 32);
        }
    }

    #[test]
    fn only_a_known_token_counts_until_it_expires_or_is_revoked() {
        let tokens = vec![
            ("ends".to_string(), record("one", 1000, None)),
            ("revoked".to_string(), record("two", 9000, Some(10))),
            ("other".to_string(), record("three", 9000, None)),
        ];
        let name = |shown: &str, now| {
            bearer(&tokens, shown, now).map(|caller| match caller.who {
                Who::Token { name } => name,
                who => panic!("{who}"),
            })
        };
        assert_eq!(name("one", 999).as_deref(), Some("ends"));
        assert_eq!(name("one", 1000), None);
        assert_eq!(name("two", 999), None);
        assert_eq!(name("three", 999).as_deref(), Some("other"));
        for wrong in ["", "four", "One", "one ", &digest("one")] {
            assert_eq!(name(wrong, 999), None, "{wrong:?}");
        }
        let caller = bearer(&tokens, "three", 0).unwrap();
        assert_eq!(
            (caller.role, caller.domains),
            (Some(Role::Operator), vec!["合同".to_string()])
        );
    }

    #[test]
    fn names_may_be_of_any_script_and_hold_no_separators() {
        for good in ["ci", "院内-1", "a.b_c"] {
            check_name(good).unwrap();
        }
        for bad in ["", "a b", "a/b", "a\n", &"x".repeat(65)] {
            check_name(bad).unwrap_err();
        }
    }
}
