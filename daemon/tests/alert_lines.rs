//! The daemon's delivery: several endpoints side by side, dead letters, digests, and what people ask of it. Real sockets.

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::Value;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use wengu::alerts;
use wengu::api::types::{ReplayRequest, WebhookView};
use wengu::clock::now_ms;
use wengu::engine::Engine;
use wengu::outbox::{self, by_hand};
use wengu_alert::event::{CloudEvent, Event, Incident};
use wengu_alert::secret::Secret;
use wengu_store::Batch;

/// What no wait takes longer than, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A receiver that keeps what comes; `answer`: status and body, by the number of the request.
async fn receiver(answer: fn(usize) -> (u16, &'static str)) -> (String, Arc<Mutex<Vec<String>>>) {
    let bodies: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = bodies.clone();
    let handler = move |_: HeaderMap, body: Bytes| {
        let mut kept = kept.lock().unwrap();
        kept.push(String::from_utf8_lossy(&body).into_owned());
        let (status, text) = answer(kept.len());
        std::future::ready((axum::http::StatusCode::from_u16(status).unwrap(), text))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await.unwrap() });
    (url, bodies)
}

/// Takes connections and never says a word; counts them.
async fn hanging() -> (String, Arc<Mutex<usize>>) {
    let count: Arc<Mutex<usize>> = Arc::default();
    let kept = count.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.unwrap());
            *kept.lock().unwrap() += 1;
        }
    });
    (url, count)
}

fn webhook(name: &str, url: &str, more: &str) -> String {
    let secret = match more.contains("format") {
        true => String::new(),
        false => format!("secret = \"{}\"\n", Secret::generate().unwrap().reveal()),
    };
    format!(
        "[webhooks.{name}]\nurl = \"{url}\"\nallow_addresses = [\"127.0.0.1\"]\nsecret_plaintext_i_know = \
         true\n{secret}{more}\n"
    )
}

/// An engine that delivers, in a folder that lives as long as the test.
fn engine(webhooks: &[String]) -> (Arc<Engine>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "state_dir = \"state\"\n[models.base]\npath = \"m\"\n[domains.contracts]\nwatch = [\"inbox\"]\nmodel = \
         \"base\"\n{}",
        webhooks.concat()
    );
    std::fs::write(dir.path().join("wengu.toml"), text).unwrap();
    let config = wengu_config::load(&dir.path().join("wengu.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    let engine = Engine::open(config).unwrap();
    tokio::spawn(outbox::run(engine.clone()));
    (engine, dir)
}

fn incident(number: u32) -> Incident {
    Incident {
        domain: "contracts".into(),
        slice: None,
        metric: "accuracy".into(),
        fingerprint: format!("{number:08x}"),
        since: wengu::clock::to_utc(0),
        numbers: Default::default(),
    }
}

/// Records the events in one transaction.
fn tell(engine: &Engine, events: &[Event]) {
    let now = now_ms();
    let batch = events.iter().fold(Batch::new("test.events"), |batch, event| {
        alerts::enqueue(engine, batch, now, event).unwrap()
    });
    engine.store.commit(batch).unwrap();
    engine.outbox_wake.notify_waiters();
}

fn view(engine: &Engine, name: &str) -> WebhookView {
    let views = by_hand::list(engine).unwrap();
    views.into_iter().find(|view| view.name == name).unwrap()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

fn kinds(bodies: &Mutex<Vec<String>>) -> Vec<String> {
    let bodies = bodies.lock().unwrap();
    bodies
        .iter()
        .map(|body| serde_json::from_str::<CloudEvent>(body).unwrap().kind)
        .collect()
}

#[test]
fn a_receiver_that_hangs_delays_nobody_else() {
    run(async {
        let (hang, connections) = hanging().await;
        let (fast, bodies) = receiver(|_| (204, "")).await;
        // Two that hang: their attempts last longer than the test may.
        let hooks = [
            webhook("a_hangs", &hang, "timeout_s = 300"),
            webhook("b_fast", &fast, ""),
            webhook("c_hangs", &hang, "timeout_s = 300"),
        ];
        let (engine, _dir) = engine(&hooks);
        tell(&engine, &[Event::IncidentFiring(incident(0))]);
        until("both hang", || *connections.lock().unwrap() == 2).await;
        let events: Vec<Event> = (1..20).map(|n| Event::IncidentFiring(incident(n))).collect();
        tell(&engine, &events);
        let took = until("the fast one has all", || bodies.lock().unwrap().len() == 20).await;
        println!("19 events beside two receivers that hang: {took:?}");
        assert_eq!(
            *connections.lock().unwrap(),
            2,
            "those that hang are still at their first attempt"
        );
        assert_eq!(
            (view(&engine, "a_hangs").pending, view(&engine, "b_fast").dead),
            (20, 0)
        );
        engine.stop();
    });
}

#[test]
fn what_is_given_up_is_told_on_the_second_channel_and_from_there_on_the_third() {
    run(async {
        let (gone, refused) = receiver(|_| (410, "")).await;
        let (third, bodies) = receiver(|_| (204, "")).await;
        let hooks = [
            webhook(
                "first",
                &gone,
                "second_channel = \"second\"\nevents = [\"wengu.incident.firing\"]",
            ),
            webhook(
                "second",
                &gone,
                "second_channel = \"third\"\nevents = [\"wengu.webhook.test\"]",
            ),
            webhook("third", &third, "events = [\"wengu.webhook.test\"]"),
        ];
        let (engine, _dir) = engine(&hooks);
        tell(&engine, &[Event::IncidentFiring(incident(1))]);
        until("the third has it", || bodies.lock().unwrap().len() == 1).await;
        assert_eq!(kinds(&refused), ["wengu.incident.firing", "wengu.webhook.dead_letter"]);
        assert_eq!(kinds(&bodies), ["wengu.webhook.dead_letter"]);
        let told: CloudEvent = serde_json::from_str(&bodies.lock().unwrap()[0]).unwrap();
        assert_eq!(told.data["endpoint"], "second");
        assert_eq!(told.data["event_type"], "wengu.webhook.dead_letter");
        assert!(told.data["reason"].as_str().unwrap().contains("410"), "{}", told.data);
        until("all is settled", || {
            by_hand::list(&engine).unwrap().iter().all(|view| view.pending == 0)
        })
        .await;
        assert_eq!((view(&engine, "first").dead, view(&engine, "third").delivered), (1, 1));
        engine.stop();
    });
}

#[test]
fn a_burst_is_one_digest_and_a_declined_one_is_sent_again_whole() {
    run(async {
        let answer = |request| match request {
            1 => (200, r#"{"code":19024,"msg":"Key Words Not Found"}"#),
            _ => (200, r#"{"code":0,"msg":"success"}"#),
        };
        let (url, bodies) = receiver(answer).await;
        let (engine, _dir) = engine(&[webhook("group", &url, "format = \"feishu\"\nlanguage = \"zh\"")]);
        let events: Vec<Event> = (0..12).map(|n| Event::IncidentFiring(incident(n))).collect();
        tell(&engine, &events);
        until("it was declined", || view(&engine, "group").last_outcome.is_some()).await;
        let declined = view(&engine, "group");
        assert_eq!((declined.pending, declined.delivered), (12, 0));
        let why = declined.last_outcome.unwrap();
        assert!(
            why.contains("declined: code 19024") && why.contains("set `prefix`"),
            "{why}"
        );
        until("it was taken", || view(&engine, "group").delivered == 12).await;
        let bodies = bodies.lock().unwrap();
        assert_eq!(bodies.len(), 2, "{bodies:?}");
        for body in bodies.iter() {
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["card"]["header"]["title"]["content"], "wengu: 12 个事件");
        }
        engine.stop();
    });
}

#[test]
fn above_a_robots_rate_the_daemon_waits() {
    run(async {
        let (url, bodies) = receiver(|_| (200, r#"{"errcode":0}"#)).await;
        let (engine, _dir) = engine(&[webhook("group", &url, "format = \"wecom\"")]);
        // Too few for a digest. The robot takes 20 a minute; a daemon that was just started does not know how many it had.
        tell(
            &engine,
            &[Event::IncidentFiring(incident(1)), Event::IncidentFiring(incident(2))],
        );
        until("the first is there", || bodies.lock().unwrap().len() == 1).await;
        let began = Instant::now();
        until("the second is there", || bodies.lock().unwrap().len() == 2).await;
        assert!(began.elapsed() > Duration::from_millis(3_000), "{:?}", began.elapsed());
        until("both are settled", || view(&engine, "group").delivered == 2).await;
        engine.stop();
    });
}

#[test]
fn replay_sends_again_under_the_same_id_what_was_not_overtaken() {
    run(async {
        // The first two requests find nobody at home.
        let (url, bodies) = receiver(|request| if request <= 2 { (410, "") } else { (204, "") }).await;
        let (engine, _dir) = engine(&[webhook("oncall", &url, "")]);
        tell(&engine, &[Event::IncidentFiring(incident(1))]);
        until("the first is given up", || view(&engine, "oncall").dead == 1).await;
        tell(&engine, &[Event::IncidentFiring(incident(2))]);
        until("the second is given up", || view(&engine, "oncall").dead == 2).await;
        tell(&engine, &[Event::IncidentResolved(incident(1))]);
        until("the first is resolved", || view(&engine, "oncall").delivered == 1).await;

        let other = ReplayRequest {
            since_ms: Some(now_ms() + 1),
            ..ReplayRequest::default()
        };
        assert_eq!(by_hand::replay(&engine, &other).unwrap().replayed, 0);
        let answer = by_hand::replay(&engine, &ReplayRequest::default()).unwrap();
        assert_eq!((answer.replayed, answer.overtaken), (1, 1));
        until("it arrives", || view(&engine, "oncall").delivered == 2).await;
        assert_eq!(view(&engine, "oncall").dead, 1);
        let bodies = bodies.lock().unwrap();
        assert_eq!(bodies.len(), 4);
        assert_eq!(bodies[1], bodies[3], "the same event under the same id");
        engine.stop();
    });
}

#[test]
fn an_endpoint_without_its_secret_fails_by_the_schedule_and_says_why() {
    run(async {
        let (url, bodies) = receiver(|_| (204, "")).await;
        let hook =
            format!("[webhooks.oncall]\nurl = \"{url}\"\nallow_addresses = [\"127.0.0.1\"]\nsecret_file = \"none\"\n");
        let (engine, dir) = engine(&[hook]);
        tell(&engine, &[Event::IncidentFiring(incident(1))]);
        until("it has failed", || view(&engine, "oncall").last_outcome.is_some()).await;
        let why = view(&engine, "oncall").last_outcome.unwrap();
        assert!(why.contains("not sent: cannot read the secret file"), "{why}");
        let secret = dir.path().join("none");
        std::fs::write(&secret, Secret::generate().unwrap().reveal()).unwrap();
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        until("the next attempt finds it", || bodies.lock().unwrap().len() == 1).await;
        engine.stop();
    });
}
