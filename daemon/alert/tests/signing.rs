//! Secrets and signatures, against values made by other implementations.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;
use wengu_alert::secret::{Key, Secret, SecretError, read_secret_file, read_secrets, rotated};
use wengu_alert::signature::{VerifyError, sign, verify};

const FIRST: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SECOND: &str = "whsec_ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7";
const BODY: &str = "{\"text\":\"温故而知新\"}";
const SECONDS: i64 = 1_767_225_600;

fn secret(text: &str) -> Secret {
    Secret::parse(text).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

#[test]
fn known_answers() {
    // Computed with Python's hmac, and the first also with the Python package standardwebhooks 1.1.0.
    assert_eq!(
        sign(&[secret(FIRST), secret(SECOND)], "evt_0001", SECONDS, BODY.as_bytes()),
        "v1,oFuDx6cWw6ylXSYS/+55rwNrOAnidLzcUaTmLy1dQ+o= v1,A9vQ1BnSc9EprP0wUfSZfYUAQVgucDzTs4w9TtScNAI="
    );
    // The example of the reference libraries' own tests.
    let example = [secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
    assert_eq!(
        sign(
            &example,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            b"{\"test\": 2432232314}"
        ),
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
}

proptest! {
    #[test]
    fn signatures_are_the_reference_librarys(
        key in prop::collection::vec(any::<u8>(), 24..=64), id in "[a-z0-9_]{1,30}", seconds in 0i64..4_000_000_000,
        body in ".{0,200}",
    ) {
        use base64::Engine;
        let text = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(&key));
        let reference = standardwebhooks::Webhook::new(&text).unwrap();
        let ours = sign(&[secret(&text)], &id, seconds, body.as_bytes());
        prop_assert_eq!(&ours, &reference.sign(&id, seconds, body.as_bytes()).unwrap());
        let now = at(seconds);
        let check = verify(&[secret(&text)], &id, &seconds.to_string(), &ours, body.as_bytes(), now);
        prop_assert_eq!(check, Ok(()));
    }
}

#[test]
fn a_receiver_with_either_secret_accepts_during_a_rotation() {
    let both = sign(&[secret(FIRST), secret(SECOND)], "evt_1", SECONDS, BODY.as_bytes());
    for one in [FIRST, SECOND] {
        assert_eq!(
            verify(
                &[secret(one)],
                "evt_1",
                "1767225600",
                &both,
                BODY.as_bytes(),
                at(SECONDS)
            ),
            Ok(())
        );
    }
    let other = Secret::generate().unwrap();
    let refused = verify(&[other], "evt_1", "1767225600", &both, BODY.as_bytes(), at(SECONDS));
    assert_eq!(refused, Err(VerifyError::Signature));
}

#[test]
fn whatever_is_changed_is_refused() {
    let secrets = [secret(FIRST)];
    let good = sign(&secrets, "evt_1", SECONDS, BODY.as_bytes());
    let check = |id: &str, timestamp: &str, signatures: &str, body: &[u8]| {
        verify(&secrets, id, timestamp, signatures, body, at(SECONDS))
    };
    assert_eq!(check("evt_1", "1767225600", &good, BODY.as_bytes()), Ok(()));
    assert_eq!(
        check("evt_1", "1767225600", &format!("v9,zz {good} junk"), BODY.as_bytes()),
        Ok(())
    );
    assert_eq!(
        check("evt_2", "1767225600", &good, BODY.as_bytes()),
        Err(VerifyError::Signature)
    );
    assert_eq!(
        check("evt_1", "1767225601", &good, BODY.as_bytes()),
        Err(VerifyError::Signature)
    );
    assert_eq!(check("evt_1", "1767225600", &good, b"{}"), Err(VerifyError::Signature));
    for signatures in [
        "",
        "v1,",
        "v1",
        "v1,AAAA",
        "v2,oFuDx6cWw6ylXSYS/+55rwNrOAnidLzcUaTmLy1dQ+o=",
        &good[3..],
    ] {
        assert_eq!(
            check("evt_1", "1767225600", signatures, BODY.as_bytes()),
            Err(VerifyError::Signature)
        );
    }
    assert_eq!(
        check("evt_1", "soon", &good, BODY.as_bytes()),
        Err(VerifyError::Timestamp)
    );
    // Under one signature, "a.1" at time 2 and "a" at time 1 with a body "2.…" would be the same message.
    let moved = sign(&secrets, "a.1", SECONDS, b"x");
    assert_eq!(check("a.1", "1767225600", &moved, b"x"), Err(VerifyError::Id));
    assert_eq!(
        verify(&[], "evt_1", "1767225600", &good, BODY.as_bytes(), at(SECONDS)),
        Err(VerifyError::Signature)
    );
}

#[test]
fn five_minutes_either_way() {
    let secrets = [secret(FIRST)];
    let good = sign(&secrets, "evt_1", SECONDS, BODY.as_bytes());
    let check = |late: i64| {
        let now = at(SECONDS) + TimeDelta::seconds(late);
        verify(&secrets, "evt_1", "1767225600", &good, BODY.as_bytes(), now)
    };
    for late in [-300, 0, 300] {
        assert_eq!(check(late), Ok(()), "{late}");
    }
    for late in [-301, 301, 86_400] {
        assert_eq!(check(late), Err(VerifyError::Clock { age_seconds: late }));
    }
}

#[test]
fn secrets_are_checked_and_never_shown() {
    let made = Secret::generate().unwrap();
    assert_eq!(Secret::parse(&made.reveal()).unwrap(), made);
    assert_ne!(Secret::generate().unwrap(), made);
    assert_eq!(format!("{made:?}"), "Secret(32 bytes)");
    assert!(matches!(Secret::parse("abc"), Err(SecretError::Prefix)));
    assert!(matches!(Secret::parse("whsec_!!!"), Err(SecretError::Base64)));
    assert!(matches!(Secret::parse("whsec_AAAA"), Err(SecretError::Length(3))));
    let long = format!("whsec_{}", "A".repeat(88));
    assert!(matches!(Secret::parse(&long), Err(SecretError::Length(66))));
}

#[test]
fn secret_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hook.secret");
    let write = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write(&format!("# new\n{FIRST}\n\n# old, until Friday\n  {SECOND}  \n"), 0o440);
    assert_eq!(
        read_secret_file(&path, at(SECONDS)).unwrap(),
        [secret(FIRST), secret(SECOND)]
    );
    write(FIRST, 0o644);
    assert!(matches!(
        read_secret_file(&path, at(SECONDS)),
        Err(SecretError::WorldReadable(_))
    ));
    write("# nothing\n", 0o600);
    assert!(
        matches!(read_secret_file(&path, at(SECONDS)), Err(SecretError::In { error, .. }) if matches!(*error, SecretError::Empty))
    );
    write(&format!("{FIRST}\nwhsec_SECRETPART*\n"), 0o600);
    let error = read_secret_file(&path, at(SECONDS)).unwrap_err().to_string();
    assert!(error.contains("line 2") && !error.contains("SECRETPART"), "{error}");
    assert!(matches!(
        read_secret_file(&dir.path().join("none"), at(SECONDS)),
        Err(SecretError::Read { .. })
    ));
}

#[test]
fn a_rotated_secret_signs_beside_the_old_one_until_its_time() {
    let (now, day) = (at(SECONDS), TimeDelta::days(1));
    let third = Secret::generate().unwrap();
    let text = rotated(&format!("# first\n{FIRST}\n"), &secret(SECOND), now, now + day).unwrap();
    assert_eq!(text, format!("{SECOND}\n{FIRST} until 2026-01-02T00:00:00Z\n"));
    assert_eq!(read_secrets(&text, now).unwrap(), [secret(SECOND), secret(FIRST)]);
    assert_eq!(read_secrets(&text, now + day).unwrap(), [secret(SECOND)]);
    // A second rotation shortens nothing and lengthens nothing of the first.
    let twice = rotated(&text, &third, now + day / 2, now + day * 3).unwrap();
    let all = [third.clone(), secret(SECOND), secret(FIRST)];
    assert_eq!(read_secrets(&twice, now + day / 2).unwrap(), all);
    assert_eq!(read_secrets(&twice, now + day).unwrap(), all[..2]);
    assert_eq!(read_secrets(&twice, now + day * 3).unwrap(), all[..1]);
    // What is over is not written again.
    assert!(
        !rotated(&text, &third, now + day * 2, now + day * 3)
            .unwrap()
            .contains(FIRST)
    );
    assert!(rotated("", &third, now, now + day).is_err());
    let wrong = read_secrets(&format!("{FIRST} until Friday"), now)
        .unwrap_err()
        .to_string();
    assert!(wrong.contains("line 1: after `until` there must be a time"), "{wrong}");
}

#[test]
fn keys_of_others_are_one_line_and_never_shown() {
    let key = Key::parse("# the robot's\n\n SECabc123 \nsecond\n").unwrap();
    assert_eq!(key.reveal(), "SECabc123");
    assert!(!format!("{key:?}").contains("SEC"));
    assert!(matches!(Key::parse("# nothing\n"), Err(SecretError::NoKey)));
    for bad in ["two words", "密钥", "a\u{7}b"] {
        assert!(matches!(Key::parse(bad), Err(SecretError::KeyCharacters)), "{bad}");
    }
}
