//! A process that records verdicts and delivers their alerts is killed again and again, at random moments. Each recorded
//! event arrives, repeats carry the id that they had, and "resolved" never comes before "firing" or "firing" after it.
//!
//! The process is the daemon's own engine, store, outbox and client; the verdicts are made up. 30 kills, and 1,000 with
//! `make soak`.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wengu::alerts::{self, OutboxRecord};
use wengu::engine::Engine;
use wengu::outbox;
use wengu_alert::event::{CloudEvent, Event, Incident};
use wengu_alert::outbox::OutboxState;
use wengu_alert::secret::Secret;
use wengu_alert::signature::verify;
use wengu_store::{Batch, Options, Record, Store};

const DIR: &str = "WENGU_ALERT_KILLS_DIR";
const ENDS: &str = "WENGU_ALERT_KILLS_ENDS";

/// What was decided, in the transaction of the alert that tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Verdict {
    fires: bool,
}

impl Record for Verdict {
    const TABLE: &'static str = "test_verdicts";
    const VERSION: u16 = 1;
}

/// Verdict n: the even ones open incident n / 2, the odd ones close it.
fn event(n: u64) -> Event {
    let incident = Incident {
        domain: "contracts".into(),
        slice: None,
        metric: "accuracy".into(),
        fingerprint: format!("{:08x}", n / 2),
        since: DateTime::from_timestamp(1_767_225_600, 0).unwrap(),
        numbers: BTreeMap::from([("items".into(), n as f64)]),
    };
    match n % 2 {
        0 => Event::IncidentFiring(incident),
        _ => Event::IncidentResolved(incident),
    }
}

fn random(seed: &str) -> u64 {
    let hash = blake3::hash(seed.as_bytes());
    u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap())
}

/// Records and delivers until it is killed; or, if it `ends`, delivers what is left.
fn child(dir: &Path, ends: bool) {
    let config = wengu_config::load(&dir.join("wengu.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let engine = Engine::open(config).unwrap();
        tokio::spawn(outbox::run(engine.clone()));
        let mut n = engine.store.count::<Verdict>("").unwrap();
        loop {
            if ends {
                let items = engine.store.scan::<OutboxRecord>("").unwrap();
                if items.iter().all(|(_, record)| record.0.state != OutboxState::Pending) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            let now = Utc::now().timestamp_millis();
            let batch = Batch::new("test.verdict")
                .put(
                    &format!("{n:08}"),
                    &Verdict {
                        fires: n.is_multiple_of(2),
                    },
                )
                .unwrap();
            let batch = alerts::enqueue(&engine, batch, now, &event(n)).unwrap();
            engine.store.commit(batch).unwrap();
            engine.outbox_wake.notify_waiters();
            n += 1;
            tokio::time::sleep(Duration::from_millis(random(&format!("{n}{now}")) % 25)).await;
        }
    });
}

/// An arrival: fingerprint, whether it fires, id.
type Log = Arc<Mutex<Vec<(String, bool, String)>>>;

#[derive(Clone)]
struct Receiver {
    secret: Secret,
    log: Log,
    seed: u32,
}

/// Some requests fail before they are taken and some after: the sender cannot tell the two apart.
async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap();
    let id = header("webhook-id").to_string();
    let (stamp, signature) = (header("webhook-timestamp"), header("webhook-signature"));
    let secrets = [receiver.secret];
    assert_eq!(verify(&secrets, &id, stamp, signature, &body, Utc::now()), Ok(()));
    let luck = random(&format!("{} {stamp} {id}", receiver.seed)) % 50;
    if luck == 0 {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    tokio::time::sleep(Duration::from_millis(luck / 10)).await;
    let cloud: CloudEvent = serde_json::from_slice(&body).unwrap();
    assert_eq!(cloud.id, id);
    let event = cloud.event().unwrap();
    let fingerprint = event.incident().unwrap().fingerprint.clone();
    let fires = matches!(event, Event::IncidentFiring(_));
    receiver.log.lock().unwrap().push((fingerprint, fires, id));
    match luck {
        1 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::NO_CONTENT,
    }
}

fn kill_and_check(test: &str, kills: u32) {
    if let Some(dir) = env::var_os(DIR) {
        return child(Path::new(&dir), env::var_os(ENDS).is_some());
    }
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let secret = Secret::generate().unwrap();
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = Receiver {
        secret: secret.clone(),
        log: log.clone(),
        seed,
    };
    let router = Router::new()
        .fallback(axum::routing::post(receive))
        .with_state(receiver);
    runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });

    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "state_dir = \"state\"\n[models.base]\npath = \"model\"\n[domains.contracts]\nwatch = [\"inbox\"]\nmodel = \
         \"base\"\n[webhooks.oncall]\nurl = \"http://127.0.0.1:{port}/\"\nallow_addresses = [\"127.0.0.1\"]\nsecret = \
         \"{}\"\nsecret_plaintext_i_know = true\n",
        secret.reveal()
    );
    std::fs::write(dir.path().join("wengu.toml"), config).unwrap();
    let command = || {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args([test, "--exact", "--nocapture", "--include-ignored"])
            .env(DIR, dir.path())
            .stdout(Stdio::null());
        command
    };
    let mut alive = 0;
    for kill in 0..kills {
        let before = log.lock().unwrap().len();
        let mut process = command().spawn().unwrap();
        // Some die while they are still opening the store.
        std::thread::sleep(Duration::from_millis(20 + random(&format!("{seed} {kill}")) % 250));
        process.kill().unwrap();
        let status = process.wait().unwrap();
        assert_eq!(status.code(), None, "it ended by itself: {status}");
        alive += u32::from(log.lock().unwrap().len() > before);
    }
    assert!(alive > kills / 4, "only {alive} of {kills} lived to deliver anything");
    let began = Instant::now();
    let ended = command().env(ENDS, "1").status().unwrap();
    assert!(ended.success(), "{ended}");
    let drained = began.elapsed();

    let (store, _) = Store::open(&dir.path().join("state/store"), Options::default()).unwrap();
    let verdicts = store.scan::<Verdict>("").unwrap();
    let recorded: BTreeSet<(String, bool)> = (0..verdicts.len())
        .map(|n| (format!("{:08x}", n / 2), n % 2 == 0))
        .collect();
    let log = log.lock().unwrap();
    let mut ids: BTreeMap<(String, bool), BTreeSet<&str>> = BTreeMap::new();
    let mut resolved = BTreeSet::new();
    for (fingerprint, fires, id) in log.iter() {
        ids.entry((fingerprint.clone(), *fires)).or_default().insert(id);
        if *fires {
            assert!(
                !resolved.contains(fingerprint),
                "{fingerprint} fires after it was resolved"
            );
        } else {
            assert!(
                ids.contains_key(&(fingerprint.clone(), true)),
                "{fingerprint} was resolved before it fired"
            );
            resolved.insert(fingerprint);
        }
    }
    let arrived: BTreeSet<(String, bool)> = ids.keys().cloned().collect();
    let lost: Vec<_> = recorded.difference(&arrived).collect();
    assert!(
        lost.is_empty(),
        "{} of {} events were lost: {lost:?}",
        lost.len(),
        recorded.len()
    );
    assert_eq!(arrived, recorded, "nothing arrived that was not recorded");
    assert!(ids.values().all(|ids| ids.len() == 1), "a repeat came under another id");
    println!(
        "{kills} kills: {} events recorded and arrived, {} arrivals were repeats, the rest drained in {drained:?}",
        recorded.len(),
        log.len() - recorded.len()
    );
}

#[test]
fn no_event_is_lost_or_out_of_order_whenever_the_process_is_killed() {
    kill_and_check("no_event_is_lost_or_out_of_order_whenever_the_process_is_killed", 30);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn no_event_is_lost_or_out_of_order_in_a_thousand_kills() {
    kill_and_check("no_event_is_lost_or_out_of_order_in_a_thousand_kills", 1_000);
}
