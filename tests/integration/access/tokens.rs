//! Tokens from their making to their end, and what each may reach.

use super::client::{Answer, Reachable, said};
use crate::harness::root;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Whether these bytes are in a file somewhere below.
fn is_in(dir: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .any(|path| {
            if path.is_dir() {
                return is_in(&path, bytes);
            }
            let file = std::fs::read(&path).unwrap_or_default();
            file.windows(bytes.len()).any(|window| window == bytes)
        })
}

#[test]
fn a_token_lives_over_a_restart_and_ends_when_it_is_revoked() {
    let mut reachable = Reachable::started("");
    let token = reachable.token("ci", &["--role", "operator"]);
    assert!(reachable.elsewhere(&token, &["status", "--json"]).status.success());
    assert!(reachable.elsewhere(&token, &["train", "contracts"]).status.success());
    let denied = reachable.elsewhere(&token, &["token", "list"]);
    assert_eq!(denied.status.code(), Some(77));
    assert!(
        said(&denied).contains("token ci has the role operator; GET /v1/tokens needs the role admin"),
        "{}",
        said(&denied)
    );
    let again = reachable
        .site
        .wengu(&["token", "create", "--name", "ci", "--role", "admin"]);
    assert!(
        !again.status.success() && said(&again).contains("there is a token ci"),
        "{}",
        said(&again)
    );
    reachable.site.kill();
    reachable.site.start();
    assert!(reachable.elsewhere(&token, &["status"]).status.success());
    let listed = reachable.site.json(&["token", "list"]);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["state"]),
        (&"ci".into(), &"valid".into())
    );
    // By whose token: the log says it. What the token is, nothing on the disk says.
    let log = reachable.site.wengu(&["audit", "export", "--json"]).stdout;
    let events: Vec<Value> = String::from_utf8(log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let asked = |what: &str| {
        events
            .iter()
            .find(|event| event["note"]["what"] == what)
            .unwrap_or_else(|| panic!("no {what}"))
    };
    assert_eq!(asked("POST /v1/train")["note"]["by"]["token"], "ci");
    assert_eq!(asked("POST /v1/tokens")["note"]["request"]["name"], "ci");
    assert!(events.iter().any(|event| event["event"] == "token.created"));
    assert!(!is_in(
        &reachable.site.path("state"),
        &token.as_bytes()["wengu_".len()..]
    ));
    assert!(!reachable.site.log().contains(&token[6..]));

    assert!(reachable.site.wengu(&["token", "revoke", "ci"]).status.success());
    let ended = reachable.elsewhere(&token, &["status"]);
    assert_eq!(ended.status.code(), Some(77), "{}", said(&ended));
    reachable.site.stop();
    reachable.site.start();
    assert_eq!(reachable.elsewhere(&token, &["status"]).status.code(), Some(77));
    assert_eq!(reachable.site.json(&["token", "list"])[0]["state"], "revoked");
    // Its name is free again, and the old token stays what it is.
    let new = reachable.token("ci", &["--role", "viewer"]);
    assert!(reachable.elsewhere(&new, &["status"]).status.success());
    assert_eq!(reachable.elsewhere(&token, &["status"]).status.code(), Some(77));
}

#[test]
fn unknown_expired_and_revoked_tokens_are_refused_with_the_same_words() {
    let reachable = Reachable::started("refused_tokens = 100");
    let (short, revoked) = (
        reachable.token("short", &["--role", "admin", "--expires", "1s"]),
        reachable.token("revoked", &["--role", "admin"]),
    );
    assert!(reachable.site.wengu(&["token", "revoke", "revoked"]).status.success());
    std::thread::sleep(Duration::from_millis(1100));
    let unknown = format!("wengu_{}", "A".repeat(43));
    let ask = |token: Option<&str>| -> Answer {
        let mut answer = reachable.ask("GET", "/v1/status", token, "");
        answer.head = answer.head.lines().filter(|line| !line.starts_with("date:")).collect();
        answer
    };
    let first = ask(Some(&unknown));
    assert_eq!(first.status, 401);
    assert!(first.head.contains("www-authenticate: bearer"), "{first:?}");
    for token in [
        Some(short.as_str()),
        Some(&revoked),
        Some(""),
        Some("wengu_"),
        Some(&revoked[..20]),
        None,
    ] {
        assert_eq!(ask(token), first, "{token:?}");
    }
    // Whatever is asked for, and whether or not it is there.
    assert_eq!(reachable.ask("GET", "/v1/nothing", None, "").status, 401);
    assert_eq!(reachable.ask("POST", "/v1/promote", Some(&short), "{}").status, 401);
}

/// Who may ask for what, written down a second time: method, path, the least role, and whether a domain bounds it.
const ROUTES: &[(&str, &str, &str, bool)] = &[
    ("GET", "/v1/status", "viewer", true),
    ("GET", "/v1/files", "viewer", true),
    ("GET", "/v1/files/explain", "viewer", true),
    ("GET", "/v1/files/review", "viewer", true),
    ("GET", "/v1/functions", "viewer", true),
    ("GET", "/v1/learning", "viewer", true),
    ("GET", "/v1/versions", "viewer", true),
    ("GET", "/v1/versions/explain", "viewer", true),
    ("GET", "/v1/run", "viewer", true),
    ("GET", "/v1/tune", "viewer", true),
    ("GET", "/v1/gate/explain", "viewer", true),
    ("GET", "/v1/gate/replay", "viewer", true),
    ("GET", "/v1/incidents", "viewer", true),
    ("GET", "/v1/webhooks", "viewer", false),
    ("POST", "/v1/train", "operator", true),
    ("POST", "/v1/tune", "operator", true),
    ("POST", "/v1/tune/reset", "operator", true),
    ("POST", "/v1/files/release", "operator", true),
    ("POST", "/v1/files/retry", "operator", true),
    ("POST", "/v1/files/review", "operator", true),
    ("POST", "/v1/feedback", "operator", true),
    ("POST", "/v1/incidents/silence", "operator", true),
    ("POST", "/v1/webhooks/test", "operator", false),
    ("POST", "/v1/webhooks/replay", "operator", false),
    ("POST", "/v1/store/verify", "operator", false),
    ("POST", "/v1/rollback", "admin", true),
    ("POST", "/v1/promote", "admin", true),
    ("POST", "/v1/gate/anchor", "admin", true),
    ("POST", "/v1/plugins/enable", "admin", false),
    ("POST", "/v1/store/backup", "admin", false),
    ("GET", "/v1/forget", "admin", false),
    ("GET", "/v1/forget/show", "admin", false),
    ("GET", "/v1/forget/key", "admin", false),
    ("POST", "/v1/forget", "admin", false),
    ("GET", "/v1/tokens", "admin", false),
    ("POST", "/v1/tokens", "admin", false),
    ("POST", "/v1/tokens/revoke", "admin", false),
];

#[test]
fn every_route_is_refused_to_a_lower_role_and_outside_a_tokens_domains() {
    let server = std::fs::read_to_string(root().join("daemon/src/api/server.rs")).unwrap();
    let there = server.matches("(\"/v1/").count();
    assert_eq!(there, ROUTES.len(), "a route is missing in this test, or gone");

    let reachable = Reachable::started("refused_tokens = 1000");
    let roles = ["viewer", "operator", "admin"];
    let whole = roles.map(|role| reachable.token(role, &["--role", role]));
    let scoped = reachable.token("scoped", &["--role", "admin", "--domain", "leaflets"]);
    for (method, path, least, in_domain) in ROUTES {
        let (route, body) = match *method {
            "GET" => (format!("{path}?domain=contracts&path=x&run=1"), String::new()),
            // Right as JSON, and not what any route asks for.
            _ => (path.to_string(), r#"{"domain":"contracts"}"#.to_string()),
        };
        assert_eq!(reachable.ask(method, &route, None, &body).status, 401, "{path}");
        let needed = roles.iter().position(|role| role == least).unwrap();
        for (index, token) in whole.iter().enumerate() {
            let answer = reachable.ask(method, &route, Some(token), &body);
            let denied = answer.status == 403;
            assert_eq!(denied, index < needed, "{path} as {}: {answer:?}", roles[index]);
            if denied {
                assert!(
                    answer.error().contains(&format!("needs the role {least}")),
                    "{answer:?}"
                );
            }
        }
        let answer = reachable.ask(method, &route, Some(&scoped), &body);
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        let why = if *in_domain {
            "this is about contracts"
        } else {
            "about the daemon as a whole"
        };
        assert!(answer.error().contains(why), "{path}: {answer:?}");
        let other = if *method == "GET" { "POST" } else { "DELETE" };
        if !ROUTES.iter().any(|(method, same, ..)| same == path && *method == other) {
            assert_eq!(reachable.ask(other, path, Some(&whole[2]), "{}").status, 405, "{path}");
        }
    }
    assert_eq!(reachable.ask("GET", "/v1/nothing", Some(&whole[2]), "").status, 404);
    assert_eq!(reachable.ask("GET", "/v1/status/", Some(&whole[0]), "").status, 404);
}

#[test]
fn a_token_of_one_domain_sees_that_domain_and_nothing_else() {
    let reachable = Reachable::started("");
    for (folder, name) in [("inbox", "secret-clause.txt"), ("leaflets", "leaflet.txt")] {
        std::fs::write(reachable.site.path(folder).join(name), "温故而知新").unwrap();
    }
    reachable.site.until("both files are known", |site| {
        site.json(&["files"]).as_array().unwrap().len() == 2
    });
    let token = reachable.token("leaflets", &["--role", "operator", "--domain", "leaflets"]);
    let json = |arguments: &[&str]| -> Value {
        let output = reachable.elsewhere(&token, &[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
    };
    let status = json(&["status"]);
    let domains: Vec<&str> = status["domains"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["name"].as_str().unwrap())
        .collect();
    assert_eq!(domains, ["leaflets"]);
    assert_eq!(json(&["files"]).as_array().unwrap().len(), 1);
    assert!(json(&["versions"]).as_object().unwrap().contains_key("leaflets"));
    assert!(reachable.elsewhere(&token, &["train", "leaflets"]).status.success());
    assert_eq!(
        reachable
            .elsewhere(&token, &["files", "--domain", "contracts"])
            .status
            .code(),
        Some(77)
    );
    let about = |what: &str, name: &str| {
        reachable.elsewhere(&token, &["files", what, reachable.site.path(name).to_str().unwrap()])
    };
    assert!(about("explain", "leaflets/leaflet.txt").status.success());
    assert!(said(&about("retry", "leaflets/leaflet.txt")).contains("not quarantined"));
    // A file of another domain is as one that is not there.
    for what in ["explain", "retry"] {
        let (other, none) = (
            about(what, "inbox/secret-clause.txt"),
            about(what, "inbox/no-such-clause.txt"),
        );
        assert_eq!(said(&other).replace("secret", "no-such"), said(&none), "{what}");
        assert_eq!(other.status.code(), Some(1), "{what}");
    }
}

#[test]
fn an_address_whose_tokens_are_refused_has_to_wait_and_others_do_not() {
    let reachable = Reachable::started("refused_tokens = 3\nbackoff_max_s = 2");
    let token = reachable.token("ci", &["--role", "viewer"]);
    for _ in 0..4 {
        assert_eq!(reachable.ask("GET", "/v1/status", Some("wengu_wrong"), "").status, 401);
    }
    let waits = reachable.ask("GET", "/v1/status", Some(&token), "");
    assert_eq!(waits.status, 429, "{waits:?}");
    assert!(waits.head.contains("retry-after: "), "{waits:?}");
    // The socket is another way in.
    reachable.site.json(&["status"]);
    let began = Instant::now();
    while reachable.ask("GET", "/v1/status", Some(&token), "").status == 429 {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_is_said_in_private_requests_stands_neither_in_the_log_nor_in_the_audit() {
    let reachable = Reachable::started("");
    let token = reachable.token("feeder", &["--role", "operator", "--domain", "contracts"]);
    // Right, of a wrong shape, of a wrong domain, and with the text where a name belongs.
    for (body, status) in [
        (r#"{"domain":"contracts","text":"主诉QX7","label":"QX7"}"#, 200),
        (r#""主诉QX7""#, 400),
        (r#"{"domain":{"text":"主诉QX7"}}"#, 400),
        (r#"{"domain":"leaflets","text":"主诉QX7","label":"QX7"}"#, 403),
    ] {
        let answer = reachable.ask("POST", "/v1/feedback", Some(&token), body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    let exported = reachable.site.wengu(&["audit", "export"]).stdout;
    let exported = String::from_utf8(exported).unwrap();
    assert!(
        exported.contains("POST /v1/feedback") && exported.contains("feeder"),
        "{exported}"
    );
    assert!(!exported.contains("QX7"), "{exported}");
    let log = std::fs::read_to_string(reachable.site.path("daemon.log")).unwrap();
    assert!(log.contains("request_refused") && !log.contains("QX7"), "{log}");
}
