//! A real Alertmanager: alerts of both kinds show up in it, and what it sends on is accepted by our receiver.
//!
//! WENGU_ALERTMANAGER, or `prometheus-alertmanager` or `alertmanager` on PATH (Debian: `apt-get install
//! prometheus-alertmanager`). Without it the test says that it was skipped; with WENGU_REQUIRE_ALERTMANAGER it fails.

mod common;

use chrono::{DateTime, Utc};
use common::incident;
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use wengu_alert::client::{Client, Endpoint};
use wengu_alert::delivery::Outcome;
use wengu_alert::event::{CloudEvent, Event};
use wengu_alert::format::{Format, Stored};
use wengu_alert::listen::{AlertGroup, Arrival, serve};
use wengu_alert::secret::{Key, Secret};
use wengu_alert::text::Language;

fn alertmanager() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("WENGU_ALERTMANAGER") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["prometheus-alertmanager", "alertmanager"];
    let found = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
    found.into_iter().find(|program| program.is_file())
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn endpoint(url: String, format: Format, key: Option<Key>) -> Endpoint {
    Endpoint {
        id: "am".into(),
        url,
        format,
        language: Language::English,
        prefix: None,
        secrets: vec![],
        key,
        allow_addresses: vec!["127.0.0.1/32".parse().unwrap()],
        allow_http: false,
        ca_file: None,
        proxy: None,
        timeout: Duration::from_secs(10),
    }
}

async fn send(client: &Client, id: &str, event: &Event, at: DateTime<Utc>) -> Outcome {
    let body = CloudEvent::new(id, "host-1", at, event).body();
    client.send(&[Stored { id, body: &body }], at).await
}

/// Waits until the alerts that Alertmanager holds satisfy `condition`.
async fn until(api: &str, what: &str, condition: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let began = Instant::now();
    loop {
        if let Ok(answer) = http.get(api).send().await {
            let text = answer.text().await.unwrap_or_default();
            if let Ok(alerts) = serde_json::from_str::<Vec<Value>>(&text)
                && condition(&alerts)
            {
                return alerts;
            }
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "waited too long until {what}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn alerts_show_up_in_alertmanager_and_come_back_through_its_webhook() {
    let Some(program) = alertmanager() else {
        assert!(
            std::env::var_os("WENGU_REQUIRE_ALERTMANAGER").is_none(),
            "no Alertmanager: apt-get install prometheus-alertmanager, or set WENGU_ALERTMANAGER"
        );
        println!("skipped: needs Alertmanager (apt-get install prometheus-alertmanager, or WENGU_ALERTMANAGER)");
        return;
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let secret = Secret::generate().unwrap();
    let groups: Arc<Mutex<Vec<AlertGroup>>> = Arc::default();
    let kept = groups.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, vec![secret.clone()], Utc::now, move |arrival| {
        match arrival {
            Arrival::Alerts(group) => kept.lock().unwrap().push(*group),
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    }));

    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "route:\n  receiver: wengu\n  group_by: [alertname, event]\n  group_wait: 1s\n  group_interval: 1s\nreceivers:\n\
         - name: wengu\n  webhook_configs:\n  - url: http://{receiver}/\n    send_resolved: true\n    http_config:\n      \
         authorization:\n        credentials: {}\n",
        secret.reveal()
    );
    std::fs::write(dir.path().join("am.yml"), config).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = Command::new(&program)
        .arg(format!("--config.file={}", dir.path().join("am.yml").display()))
        .arg(format!("--storage.path={}", dir.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let _ended = Ended(child);
    let api = format!("http://127.0.0.1:{port}/api/v2/alerts");
    until(&api, "Alertmanager answers", |_| true).await;

    let client = Client::new(endpoint(api.clone(), Format::Alertmanager, None)).unwrap();
    let ok = Outcome::Status {
        code: 200,
        retry_after: None,
    };
    let now = Utc::now();
    let mut fired = incident();
    fired.since = now - chrono::TimeDelta::hours(30);
    assert_eq!(
        send(&client, "evt_1", &Event::IncidentFiring(fired.clone()), now).await,
        ok
    );
    let told = Event::VersionRolledBack {
        domain: "合同".into(),
        from: "0007-3fa9c1".into(),
        to: "0006-b2c4d7".into(),
        automatic: true,
    };
    assert_eq!(send(&client, "evt_2", &told, now).await, ok);
    let alerts = until(&api, "both alerts are there", |alerts| alerts.len() == 2).await;
    let named = |alerts: &[Value], name: &str| {
        alerts
            .iter()
            .find(|alert| alert["labels"]["alertname"] == name)
            .cloned()
    };
    let shown = named(&alerts, "WenguIncident").unwrap();
    assert_eq!(shown["labels"]["fingerprint"], "9f2c6b1e4a7d3058");
    assert_eq!(shown["annotations"]["number_champion"], "0.8325");
    assert_eq!(shown["status"]["state"], "active");
    assert_eq!(
        named(&alerts, "WenguVersionRolledBack").unwrap()["labels"]["domain"],
        "合同"
    );

    // Sent again, it is the same alert; resolved, it is gone.
    assert_eq!(
        send(&client, "evt_1", &Event::IncidentFiring(fired.clone()), Utc::now()).await,
        ok
    );
    until(&api, "it was told to the receiver", |alerts| {
        assert!(alerts.len() <= 2, "{alerts:?}");
        groups
            .lock()
            .unwrap()
            .iter()
            .any(|group| group.alerts[0].labels["alertname"] == "WenguIncident")
    })
    .await;
    assert_eq!(
        send(&client, "evt_3", &Event::IncidentResolved(fired), Utc::now()).await,
        ok
    );
    until(&api, "it is resolved", |alerts| {
        let resolved = |group: &AlertGroup| group.status == "resolved" && group.receiver == "wengu";
        named(alerts, "WenguIncident").is_none() && groups.lock().unwrap().iter().any(resolved)
    })
    .await;

    let groups = groups.lock().unwrap();
    let statuses: Vec<&str> = groups
        .iter()
        .filter(|group| group.alerts[0].labels["alertname"] == "WenguIncident")
        .map(|group| group.status.as_str())
        .collect();
    assert_eq!(
        (statuses.first(), statuses.last()),
        (Some(&"firing"), Some(&"resolved"))
    );
    assert!(
        groups[0].describe().starts_with("wengu firing\n    firing Wengu"),
        "{}",
        groups[0].describe()
    );
}

#[tokio::test]
async fn our_own_form_of_its_webhook_is_accepted_by_the_same_receiver() {
    let secret = Secret::generate().unwrap();
    let arrivals: Arc<Mutex<Vec<Arrival>>> = Arc::default();
    let kept = arrivals.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, vec![secret.clone()], Utc::now, move |arrival| {
        kept.lock().unwrap().push(arrival);
        ControlFlow::Continue(())
    }));
    let with = |key: Option<String>| {
        let key = key.map(|key| Key::parse(&key).unwrap());
        Client::new(endpoint(url.clone(), Format::AlertmanagerWebhook, key)).unwrap()
    };
    let firing = Event::IncidentFiring(incident());
    let code = |code| Outcome::Status {
        code,
        retry_after: None,
    };
    let good = with(Some(secret.reveal()));
    assert_eq!(send(&good, "evt_1", &firing, Utc::now()).await, code(204));
    let other = with(Some(Secret::generate().unwrap().reveal()));
    assert_eq!(send(&other, "evt_1", &firing, Utc::now()).await, code(401));
    assert_eq!(
        send(&with(None), "evt_1", &firing, Utc::now()).await,
        code(400),
        "neither a token nor a signature"
    );
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |body: &'static str| {
        let request = http
            .post(&url)
            .header("authorization", format!("Bearer {}", secret.reveal()));
        request.body(body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("{}").await, 400);
    let old = r#"{"version":"3","status":"firing","receiver":"r","groupKey":"g","alerts":[]}"#;
    assert_eq!(post(old).await, 400);
    let arrivals = arrivals.lock().unwrap();
    let Some(Arrival::Alerts(group)) = arrivals.first() else {
        panic!("{arrivals:?}")
    };
    assert_eq!(group.alerts[0].fingerprint, "9f2c6b1e4a7d3058");
    assert_eq!(arrivals.len(), 5);
}
