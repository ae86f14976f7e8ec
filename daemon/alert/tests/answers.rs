//! Answers over real sockets: what is read of them, and what is sent for them.

use axum::Router;
use axum::body::Bytes;

use axum::http::{StatusCode, Uri};
use chrono::{DateTime, Utc};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wengu_alert::client::{Client, Endpoint};
use wengu_alert::delivery::Outcome;
use wengu_alert::event::{CloudEvent, Event};
use wengu_alert::format::{Format, Stored};
use wengu_alert::secret::Key;
use wengu_alert::text::Language;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_225_605_250).unwrap()
}

fn client(format: Format, url: &str, key: Option<&str>) -> Client {
    Client::new(Endpoint {
        id: "hook".into(),
        url: url.into(),
        format,
        language: Language::English,
        prefix: None,
        secrets: vec![],
        key: key.map(|key| Key::parse(key).unwrap()),
        allow_addresses: vec!["127.0.0.1/32".parse().unwrap()],
        allow_http: false,
        ca_file: None,
        proxy: None,
        timeout: Duration::from_millis(1_500),
    })
    .unwrap()
}

async fn send(client: &Client) -> Outcome {
    let event = Event::WebhookTest {
        endpoint: "hook".into(),
    };
    let body = CloudEvent::new("evt_1", "host", now(), &event).body();
    client
        .send(
            &[Stored {
                id: "evt_1",
                body: &body,
            }],
            now(),
        )
        .await
}

/// Answers always the same and keeps the addresses and bodies that were asked for.
async fn receiver(status: u16, answer: &'static str) -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    let requests: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let kept = requests.clone();
    let handler = move |uri: Uri, body: Bytes| {
        let body = String::from_utf8_lossy(&body).into_owned();
        kept.lock().unwrap().push((uri.to_string(), body));
        std::future::ready((StatusCode::from_u16(status).unwrap(), answer))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/robot/send?access_token=abc", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await.unwrap() });
    (url, requests)
}

#[tokio::test]
async fn a_200_with_an_error_in_its_body_is_no_delivery() {
    let cases = [
        (Format::Slack, 200, "ok", None),
        (
            Format::Slack,
            200,
            "invalid_payload",
            Some("not \"ok\" but \"invalid_payload\""),
        ),
        (
            Format::Feishu,
            200,
            r#"{"code":19021,"msg":"sign match fail"}"#,
            Some("code 19021"),
        ),
        (
            Format::Dingtalk,
            200,
            r#"{"errcode":310000,"errmsg":"keywords not in content"}"#,
            Some("errcode 310000"),
        ),
        (Format::Wecom, 200, r#"{"errcode":0,"errmsg":"ok"}"#, None),
        (Format::Teams, 202, "", None),
        (Format::Pagerduty, 202, r#"{"status":"success"}"#, None),
        (Format::Pagerduty, 202, "{}", Some("202 without a status")),
    ];
    for (format, code, answer, declined) in cases {
        let (url, requests) = receiver(code, answer).await;
        let outcome = send(&client(format, &url, Some("k"))).await;
        match (declined, &outcome) {
            (None, Outcome::Status { code: got, .. }) => assert_eq!(*got, code, "{format:?}"),
            (Some(says), Outcome::Declined { what, .. }) => assert!(what.contains(says), "{what}"),
            _ => panic!("{format:?} {answer}: {outcome:?}"),
        }
        assert_eq!(requests.lock().unwrap().len(), 1);
    }
    // A status that is a failure needs no body.
    let (url, _) = receiver(500, r#"{"errcode":0}"#).await;
    let outcome = send(&client(Format::Wecom, &url, None)).await;
    assert!(matches!(outcome, Outcome::Status { code: 500, .. }), "{outcome:?}");
}

#[tokio::test]
async fn signatures_are_in_the_address_or_the_body_of_what_is_sent() {
    let (url, requests) = receiver(200, r#"{"errcode":0}"#).await;
    send(&client(Format::Dingtalk, &url, Some("this-is-secret"))).await;
    let (uri, _) = requests.lock().unwrap()[0].clone();
    assert!(
        uri.starts_with("/robot/send?access_token=abc&timestamp=1767225605250&sign="),
        "{uri}"
    );
    let (url, requests) = receiver(200, r#"{"code":0}"#).await;
    send(&client(Format::Feishu, &url, Some("this-is-secret"))).await;
    let (uri, body) = requests.lock().unwrap()[0].clone();
    assert_eq!(uri, "/robot/send?access_token=abc");
    assert!(
        body.contains("\"timestamp\":\"1767225605\"") && body.contains("\"sign\":\""),
        "{body}"
    );
}

/// A server that reads the request, writes `answer`, and then goes on with `more` every 50 ms.
async fn dripping(answer: &'static [u8], more: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(answer).await;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if stream.write_all(more).await.is_err() {
                return;
            }
        }
    });
    url
}

#[tokio::test]
async fn a_body_that_never_ends_costs_the_timeout_or_a_few_kilobytes() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{";
    let slow = client(Format::Feishu, &dripping(head, b" ").await, None);
    let began = Instant::now();
    assert_eq!(send(&slow).await, Outcome::Timeout);
    assert!(began.elapsed() < Duration::from_secs(10));

    let fast = client(Format::Feishu, &dripping(head, &[b' '; 20_000]).await, None);
    let began = Instant::now();
    let outcome = send(&fast).await;
    assert!(
        matches!(&outcome, Outcome::Declined { what, .. } if what.contains("not JSON")),
        "{outcome:?}"
    );
    assert!(began.elapsed() < Duration::from_millis(1_400), "{:?}", began.elapsed());
}
