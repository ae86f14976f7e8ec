//! The receiver: what it accepts, notices and refuses.

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::hook::{endpoint, now, secret, stored};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use wengu_alert::client::{Client, Endpoint};
use wengu_alert::delivery::Outcome;
use wengu_alert::event::{CloudEvent, Event};
use wengu_alert::listen::{Arrival, BODY_MAX_BYTES, Received, serve};
use wengu_alert::secret::Secret;
use wengu_alert::signature::sign;

fn fixed_clock() -> DateTime<Utc> {
    now() + TimeDelta::seconds(10)
}

#[tokio::test]
async fn the_receiver_accepts_what_is_signed_notices_repetitions_and_says_no_to_the_rest() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/any/path", listener.local_addr().unwrap());
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let kept = arrivals.clone();
    let server = tokio::spawn(serve(listener, vec![secret()], fixed_clock, move |arrival| {
        let mut kept = kept.lock().unwrap();
        kept.push(arrival);
        let new = kept
            .iter()
            .filter(|a| matches!(a, Arrival::Event(e) if !e.repeated))
            .count();
        if new == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }));
    let client = Client::new(endpoint(url.clone())).unwrap();
    let body = |id: &str| {
        CloudEvent::new(
            id,
            "host",
            now(),
            &Event::WebhookTest {
                endpoint: "hook".into(),
            },
        )
        .body()
    };
    let code = |outcome: Outcome| match outcome {
        Outcome::Status { code, .. } => code,
        other => panic!("{other:?}"),
    };
    let stamp = now().timestamp();
    assert_eq!(code(client.send(&[stored("evt_1", &body("evt_1"))], now()).await), 204);
    assert_eq!(code(client.send(&[stored("evt_1", &body("evt_1"))], now()).await), 204);
    assert_eq!(
        code(
            client
                .send(&[stored("evt_9", &body("evt_9"))], now() - TimeDelta::seconds(400))
                .await
        ),
        401,
        "too old"
    );
    assert_eq!(
        code(client.send(&[stored("evt_9", "{}")], now()).await),
        400,
        "not an event"
    );
    assert_eq!(
        code(client.send(&[stored("evt_9", &body("evt_8"))], now()).await),
        400,
        "another id inside"
    );
    assert_eq!(
        code(
            client
                .send(&[stored("evt_9", &"x".repeat(BODY_MAX_BYTES + 1))], now())
                .await
        ),
        413
    );
    let stranger = Endpoint {
        secrets: vec![Secret::generate().unwrap()],
        ..endpoint(url.clone())
    };
    assert_eq!(
        code(
            Client::new(stranger)
                .unwrap()
                .send(&[stored("evt_9", &body("evt_9"))], now())
                .await
        ),
        401
    );
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(
        plain.post(&url).body("{}").send().await.unwrap().status(),
        400,
        "no headers"
    );
    assert_eq!(plain.get(&url).send().await.unwrap().status(), 405);
    // An event of a later wengu.
    let later = body("evt_2").replace("wengu.webhook.test", "wengu.moon.risen");
    let signature = sign(&[secret()], "evt_2", stamp, later.as_bytes());
    let request = plain
        .post(&url)
        .header("webhook-id", "evt_2")
        .header("webhook-timestamp", stamp);
    let answer = request
        .header("webhook-signature", signature)
        .body(later)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 204);
    tokio::time::timeout(Duration::from_secs(10), server)
        .await
        .expect("ends after two events")
        .unwrap()
        .unwrap();

    let arrivals = arrivals.lock().unwrap();
    let events: Vec<&Received> = arrivals
        .iter()
        .filter_map(|a| {
            if let Arrival::Event(e) = a {
                Some(e.as_ref())
            } else {
                None
            }
        })
        .collect();
    let seen: Vec<(&str, bool)> = events.iter().map(|e| (e.event.id.as_str(), e.repeated)).collect();
    assert_eq!(seen, [("evt_1", false), ("evt_1", true), ("evt_2", false)]);
    assert_eq!(
        arrivals.len() - events.len(),
        5,
        "each rejection is reported: {arrivals:?}"
    );
    assert_eq!(
        events[1].describe(),
        "2026-01-01T00:00:00.000Z wengu.webhook.test evt_1 (again: this id has come before)\n    A test of endpoint \
         hook: webhooks arrive."
    );
    assert!(events[2].describe().contains("of a type not known here"));
}
