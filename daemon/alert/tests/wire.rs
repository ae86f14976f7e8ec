//! Delivery over real sockets, to a receiver on this machine.

mod common;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use chrono::DateTime;
use common::hook::{endpoint, now, secret, stored};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wengu_alert::client::{Client, Endpoint, EndpointError};
use wengu_alert::delivery::{NextStep, Outcome};
use wengu_alert::event::{CloudEvent, Event};
use wengu_alert::outbox::{OutboxItem, OutboxState, due};
use wengu_alert::signature::verify;

fn item() -> OutboxItem {
    let event = Event::WebhookTest {
        endpoint: "hook".into(),
    };
    OutboxItem::new(&CloudEvent::new("evt_1", "host", now(), &event), "hook", 1, now())
}

/// A request as it came.
type Request = (HeaderMap, Bytes);
type Answer = (StatusCode, Vec<(&'static str, &'static str)>);

/// Answers with the given answers in turn (the last for ever) and keeps what came.
async fn receiver(answers: Vec<Answer>) -> (String, Arc<Mutex<Vec<Request>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = requests.clone();
    let handler = move |headers: HeaderMap, body: Bytes| {
        let mut kept = kept.lock().unwrap();
        let (status, extra) = answers[kept.len().min(answers.len() - 1)].clone();
        kept.push((headers, body));
        let mut answer = HeaderMap::new();
        for (name, value) in extra {
            answer.insert(name, value.parse().unwrap());
        }
        std::future::ready((status, answer))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await.unwrap() });
    (url, requests)
}

#[tokio::test]
async fn a_failure_and_then_success_with_the_same_id_and_body() {
    let (url, requests) = receiver(vec![
        (StatusCode::INTERNAL_SERVER_ERROR, vec![]),
        (StatusCode::NO_CONTENT, vec![]),
    ])
    .await;
    let client = Client::new(endpoint(url)).unwrap();
    let mut items = vec![item()];
    let mut clock = now();
    while let Some(head) = due(&items, clock).first() {
        let outcome = client.send(&[head.stored()], clock).await;
        if let NextStep::RetryAt(at) = items[0].settle(clock, &outcome, 5) {
            clock = at;
        }
    }
    assert_eq!((&items[0].state, items[0].attempts), (&OutboxState::Delivered, 2));
    let requests = requests.lock().unwrap();
    let mut stamps = Vec::new();
    for (headers, body) in requests.iter() {
        let header = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(
            (header("webhook-id"), body),
            ("evt_1", &Bytes::from(items[0].body.clone()))
        );
        assert_eq!(header("content-type"), "application/cloudevents+json");
        let (stamp, signature) = (header("webhook-timestamp"), header("webhook-signature"));
        let sent = DateTime::from_timestamp(stamp.parse().unwrap(), 0).unwrap();
        assert_eq!(verify(&[secret()], "evt_1", stamp, signature, body, sent), Ok(()));
        stamps.push(sent);
    }
    assert_eq!(stamps.len(), 2);
    assert!(stamps[1] > stamps[0], "the timestamp is that of the attempt");
}

#[tokio::test]
async fn answers_and_what_follows_from_them() {
    let date = vec![("retry-after", "Thu, 01 Jan 2026 00:10:00 GMT")];
    let cases = [
        (StatusCode::OK, vec![], 200, None),
        (StatusCode::GONE, vec![], 410, None),
        (
            StatusCode::TOO_MANY_REQUESTS,
            vec![("retry-after", "120")],
            429,
            Some(120),
        ),
        (StatusCode::SERVICE_UNAVAILABLE, date, 503, Some(600)),
        (
            StatusCode::TOO_MANY_REQUESTS,
            vec![("retry-after", "tomorrow")],
            429,
            None,
        ),
    ];
    for (status, headers, code, seconds) in cases {
        let (url, _) = receiver(vec![(status, headers)]).await;
        let outcome = Client::new(endpoint(url))
            .unwrap()
            .send(&[stored("evt_1", "{}")], now())
            .await;
        assert_eq!(
            outcome,
            Outcome::Status {
                code,
                retry_after: seconds.map(Duration::from_secs)
            }
        );
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let (target, reached) = receiver(vec![(StatusCode::OK, vec![])]).await;
    let location: &'static str = Box::leak(target.into_boxed_str());
    for status in [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::TEMPORARY_REDIRECT,
    ] {
        let (url, _) = receiver(vec![(status, vec![("location", location)])]).await;
        let outcome = Client::new(endpoint(url))
            .unwrap()
            .send(&[stored("evt_1", "{}")], now())
            .await;
        assert_eq!(
            outcome,
            Outcome::Status {
                code: status.as_u16(),
                retry_after: None
            }
        );
        assert!(outcome.describe().contains("redirects are not followed"));
    }
    assert!(reached.lock().unwrap().is_empty());
}

/// A server that reads the request, answers with the given bytes and then holds the connection.
async fn raw(answer: &'static [u8], hold: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
                if hold {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_receiver_that_never_answers_costs_the_timeout_and_no_more() {
    let client = Client::new(endpoint(raw(b"", true).await)).unwrap();
    let began = Instant::now();
    assert_eq!(client.send(&[stored("evt_1", "{}")], now()).await, Outcome::Timeout);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_waited_for() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nstill coming";
    let client = Client::new(endpoint(raw(answer, true).await)).unwrap();
    let began = Instant::now();
    let outcome = client.send(&[stored("evt_1", "{}")], now()).await;
    assert_eq!(
        outcome,
        Outcome::Status {
            code: 200,
            retry_after: None
        }
    );
    assert!(began.elapsed() < Duration::from_millis(1400), "{:?}", began.elapsed());
}

#[tokio::test]
async fn connections_that_fail_say_how() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let send = async |url: String| {
        Client::new(endpoint(url))
            .unwrap()
            .send(&[stored("evt_1", "{}")], now())
            .await
    };
    let refused = send(format!("http://{gone}/")).await;
    assert!(
        matches!(&refused, Outcome::ConnectFailed(why) if why.contains("refused")),
        "{refused:?}"
    );
    let broken = send(raw(b"", false).await).await;
    assert!(matches!(broken, Outcome::Broken(_)), "{broken:?}");
    let garbage = send(raw(b"SSH-2.0-OpenSSH_9.2\r\n", false).await).await;
    assert!(matches!(garbage, Outcome::Broken(_)), "{garbage:?}");
    let not_tls = send(
        raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", false)
            .await
            .replace("http:", "https:"),
    )
    .await;
    assert!(matches!(not_tls, Outcome::TlsFailed(_)), "{not_tls:?}");
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_if_configured() {
    use tokio_rustls::rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                let _ = stream.shutdown().await;
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let trusting = Endpoint {
        ca_file: Some(ca_file.clone()),
        ..endpoint(url.clone())
    };
    let outcome = Client::new(trusting)
        .unwrap()
        .send(&[stored("evt_1", "{}")], now())
        .await;
    assert_eq!(
        outcome,
        Outcome::Status {
            code: 204,
            retry_after: None
        }
    );
    let outcome = Client::new(endpoint(url.clone()))
        .unwrap()
        .send(&[stored("evt_1", "{}")], now())
        .await;
    assert!(matches!(outcome, Outcome::TlsFailed(_)), "{outcome:?}");
    std::fs::write(&ca_file, "no certificate").unwrap();
    let bad = Endpoint {
        ca_file: Some(ca_file),
        ..endpoint(url)
    };
    assert!(matches!(Client::new(bad), Err(EndpointError::Certificates { .. })));
}

#[tokio::test]
async fn addresses_that_are_refused() {
    let new = |url: &str| Client::new(endpoint(url.into())).map(|_| ()).map_err(|e| e.to_string());
    for url in [
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:169.254.169.254]/",
        "https://0xa9fea9fe/",
        "https://2852039166/",
        "https://100.100.100.200/",
        "http://10.1.2.3/hook",
        "ftp://example.com/",
        "hook",
        "https://user:password@example.com/",
    ] {
        assert!(new(url).is_err(), "{url}");
    }
    for url in [
        "https://10.1.2.3/hook",
        "http://127.0.0.1:9/",
        "http://[::1]:9/",
        "https://hooks.example/",
    ] {
        assert_eq!(new(url), Ok(()), "{url}");
    }
    let allowed = Endpoint {
        allow_http: true,
        ..endpoint("http://10.1.2.3/".into())
    };
    assert!(Client::new(allowed).is_ok());
    for url in [
        "http://127.0.0.1:9/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
    ] {
        let strict = Endpoint {
            allow_addresses: vec![],
            ..endpoint(url.into())
        };
        let why = Client::new(strict).map(|_| ()).unwrap_err().to_string();
        assert!(
            why.contains("a loopback address; webhooks reach it only if `allow_addresses` names it"),
            "{why}"
        );
    }
    let keyless = Endpoint {
        secrets: vec![],
        ..endpoint("https://hooks.example/".into())
    };
    assert!(matches!(Client::new(keyless), Err(EndpointError::NoSecret(_))));
    let proxied = Endpoint {
        proxy: Some("http://127.0.0.1:3128".into()),
        ..endpoint("http://hooks.example/".into())
    };
    assert!(matches!(Client::new(proxied), Err(EndpointError::Refused { .. })));
}

#[tokio::test]
async fn names_are_checked_when_they_are_resolved() {
    let (url, requests) = receiver(vec![(StatusCode::OK, vec![])]).await;
    let by_name = url.replace("127.0.0.1", "localhost");
    // The name says nothing, what it leads to does: nobody listened to this.
    let strict = Endpoint {
        allow_addresses: vec![],
        ..endpoint(by_name.clone())
    };
    let outcome = Client::new(strict).unwrap().send(&[stored("evt_1", "{}")], now()).await;
    assert!(
        matches!(&outcome, Outcome::Refused(why) if why.contains("loopback")),
        "{outcome:?}"
    );
    assert!(requests.lock().unwrap().is_empty());
    let outcome = Client::new(endpoint(by_name))
        .unwrap()
        .send(&[stored("evt_1", "{}")], now())
        .await;
    assert_eq!(
        (outcome, requests.lock().unwrap().len()),
        (
            Outcome::Status {
                code: 200,
                retry_after: None
            },
            1
        )
    );
}
