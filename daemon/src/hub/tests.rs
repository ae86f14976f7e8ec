//! Against a server that speaks the hub's protocol, and one that stands for its content servers.

mod server;

use super::*;
use server::{Asked, Log, Reply, serve};
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const REPO: &str = "org/name";

fn weights() -> Vec<u8> {
    (0..200_000u32).map(|n| (n % 251) as u8).collect()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn listing(asked: &Asked) -> Option<Reply> {
    asked.path.starts_with("/api/models/org/name/revision/").then(|| {
        let names = ["README.md", "config.json", "model.safetensors", "pytorch_model.bin"];
        let siblings: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({"rfilename": name}))
            .collect();
        let body = serde_json::json!({"sha": COMMIT, "siblings": siblings});
        Reply::new("200 OK\r\ncontent-type: application/json", body.to_string().as_bytes())
    })
}

/// A hub of one model, whose weights lie where `weights` says.
fn hub(weights: impl Fn(&Asked, usize) -> Reply + Send + 'static) -> (String, Log) {
    serve(move |asked, times| {
        let file = asked.path.strip_prefix(&format!("/{REPO}/resolve/{COMMIT}/"));
        match (listing(asked), file) {
            (Some(listing), _) => listing,
            (None, Some("config.json")) => {
                let headers = format!("etag: \"{}\"\r\nx-repo-commit: {COMMIT}", "a".repeat(40));
                Reply::file(asked, &headers, b"{\"model_type\": \"bert\"}")
            }
            (None, Some("model.safetensors")) => weights(asked, times),
            _ => Reply::new("404 Not Found", b"Entry not found"),
        }
    })
}

fn linked(bytes: &[u8]) -> String {
    format!(
        "x-repo-commit: {COMMIT}\r\nx-linked-etag: \"{}\"\r\nx-linked-size: {}",
        digest(bytes),
        bytes.len()
    )
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn to(&self) -> PathBuf {
        self.dir.path().join("models/name")
    }

    fn cache(&self) -> Cache {
        Cache::new(self.dir.path().join("cache"))
    }

    fn client(&self, endpoint: &str, token: Option<&str>) -> Hub {
        let mut hub = Hub::new(endpoint, token.map(str::to_owned), self.cache()).unwrap();
        hub.pause = Duration::from_millis(1);
        hub
    }

    fn pull(&self, hub: &Hub, revision: &str) -> Result<Source> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(hub.pull(REPO, revision, &self.to(), &mut |_, _, _, _| {}))
    }

    fn refused(&self, hub: &Hub) -> String {
        let refused = self.pull(hub, "main").unwrap_err();
        assert!(!self.to().exists());
        format!("{refused:#}")
    }
}

fn asked_for<'l>(log: &'l [Asked], end: &str) -> Vec<&'l Asked> {
    log.iter().filter(|asked| asked.path.ends_with(end)).collect()
}

#[test]
fn a_model_is_pinned_to_its_commit_and_only_what_is_needed_is_downloaded() {
    let (endpoint, log) = hub(|asked, _| Reply::file(asked, &linked(&weights()), &weights()));
    let place = Place::new();
    let source = place.pull(&place.client(&endpoint, None), "v1.0").unwrap();
    assert_eq!((source.commit.as_str(), source.revision.as_str()), (COMMIT, "v1.0"));
    assert_eq!(
        files::names(&place.to()).unwrap(),
        ["config.json", "model.safetensors", SOURCE_FILE]
    );
    assert_eq!(std::fs::read(place.to().join("model.safetensors")).unwrap(), weights());
    let kept: Source = serde_json::from_slice(&std::fs::read(place.to().join(SOURCE_FILE)).unwrap()).unwrap();
    assert_eq!(kept, source);
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 3);
    assert!(
        log[0].path.ends_with("/revision/v1.0") && log.iter().all(|asked| !asked.headers.contains_key("authorization"))
    );
    let again = place
        .pull(&place.client(&endpoint, None), "main")
        .unwrap_err()
        .to_string();
    assert!(again.contains("exists already"), "{again}");
}

#[test]
fn a_connection_cut_in_mid_file_is_taken_up_where_it_was_cut() {
    let (endpoint, log) = hub(|asked, times| {
        let mut reply = Reply::file(asked, &linked(&weights()), &weights());
        if times <= 2 {
            reply.sends.truncate(70_000);
        }
        reply
    });
    let place = Place::new();
    place.pull(&place.client(&endpoint, None), "main").unwrap();
    assert_eq!(std::fs::read(place.to().join("model.safetensors")).unwrap(), weights());
    let log = log.lock().unwrap();
    let ranges: Vec<_> = asked_for(&log, "model.safetensors")
        .iter()
        .map(|asked| asked.range())
        .collect();
    assert_eq!(ranges, [None, Some(70_000), Some(140_000)]);
}

#[test]
fn a_download_that_was_stopped_goes_on_in_another_run() {
    let (endpoint, _) = hub(|asked, _| {
        let mut reply = Reply::file(asked, &linked(&weights()), &weights());
        // One start, and then nothing but failures.
        reply.sends.truncate(if asked.range().is_none() { 50_000 } else { 0 });
        reply
    });
    let place = Place::new();
    let said = place.refused(&place.client(&endpoint, None));
    assert!(said.contains("model.safetensors"), "{said}");
    let (endpoint, log) = hub(|asked, _| Reply::file(asked, &linked(&weights()), &weights()));
    place.pull(&place.client(&endpoint, None), "main").unwrap();
    assert_eq!(std::fs::read(place.to().join("model.safetensors")).unwrap(), weights());
    let log = log.lock().unwrap();
    assert_eq!(asked_for(&log, "model.safetensors")[0].range(), Some(50_000));
    assert!(
        asked_for(&log, "config.json").is_empty(),
        "what is whole is not fetched again"
    );
}

#[test]
fn a_server_without_ranges_begins_anew_and_one_that_says_all_is_there_is_believed_by_the_digest() {
    let place = Place::new();
    let partial = PathBuf::from(format!("{}.partial", place.to().display()));
    let begun = |bytes: &[u8]| {
        let source = Source {
            repo: REPO.into(),
            revision: "main".into(),
            commit: COMMIT.into(),
        };
        begin(&partial, &source).unwrap();
        std::fs::write(partial.join("model.safetensors.incomplete"), bytes).unwrap();
    };
    begun(b"other bytes");
    let (endpoint, _) = hub(|_, _| Reply::new(&format!("200 OK\r\n{}", linked(&weights())), &weights()));
    place.pull(&place.client(&endpoint, None), "main").unwrap();
    assert_eq!(std::fs::read(place.to().join("model.safetensors")).unwrap(), weights());

    std::fs::remove_dir_all(place.to()).unwrap();
    begun(&weights());
    let (endpoint, log) = hub(|asked, _| Reply::file(asked, &linked(&weights()), &weights()));
    place.pull(&place.client(&endpoint, None), "main").unwrap();
    assert_eq!(asked_for(&log.lock().unwrap(), "model.safetensors").len(), 1);
}

#[test]
fn a_file_with_another_digest_is_thrown_away() {
    let (endpoint, _) = hub(|asked, _| Reply::file(asked, &linked(b"what it should be"), &weights()));
    let place = Place::new();
    let said = place.refused(&place.client(&endpoint, None));
    assert!(
        said.contains(&digest(&weights())) && said.contains(&digest(b"what it should be")),
        "{said}"
    );
    let partial = PathBuf::from(format!("{}.partial", place.to().display()));
    assert_eq!(files::names(&partial).unwrap(), ["config.json", SOURCE_FILE]);
}

#[test]
fn what_the_hub_refuses_is_said_with_what_to_do() {
    for (status, token, told) in [
        ("401 Unauthorized", None, "set HF_TOKEN"),
        ("403 Forbidden", Some("secret"), "accept the model's terms"),
        ("404 Not Found", None, "no such model"),
    ] {
        let (endpoint, log) = serve(move |_, _| Reply::new(status, b"{}"));
        let place = Place::new();
        let said = place.refused(&place.client(&endpoint, token));
        assert!(
            said.contains(told) && said.contains("org/name") && !said.contains("secret"),
            "{said}"
        );
        assert_eq!(log.lock().unwrap().len(), 1, "asking again would not help");
    }
}

#[test]
fn a_busy_hub_is_asked_again() {
    let (endpoint, _) = hub(|asked, times| match times {
        1 => Reply::new("503 Service Unavailable", b""),
        2 => Reply::new("429 Too Many Requests", b""),
        _ => Reply::file(asked, &linked(&weights()), &weights()),
    });
    let place = Place::new();
    place.pull(&place.client(&endpoint, None), "main").unwrap();
}

#[test]
fn the_token_stays_with_its_host_and_the_digest_is_that_of_the_hub() {
    let (content, of_content) = serve(|asked, times| {
        let mut reply = Reply::file(asked, "etag: \"of another kind\"", &weights());
        if times == 1 {
            reply.sends.truncate(1000);
        }
        reply
    });
    let (endpoint, of_hub) = hub(move |_, _| {
        let head = format!(
            "302 Found\r\nlocation: {content}/blob?signature=s\r\n{}",
            linked(&weights())
        );
        Reply::new(&head, b"")
    });
    let place = Place::new();
    place.pull(&place.client(&endpoint, Some("secret")), "main").unwrap();
    assert_eq!(std::fs::read(place.to().join("model.safetensors")).unwrap(), weights());
    let has_token = |asked: &Asked| {
        asked
            .headers
            .get("authorization")
            .is_some_and(|value| value == "Bearer secret")
    };
    assert!(of_hub.lock().unwrap().iter().all(has_token));
    let of_content = of_content.lock().unwrap();
    assert_eq!(
        of_content.iter().map(Asked::range).collect::<Vec<_>>(),
        [None, Some(1000)]
    );
    assert!(
        of_content
            .iter()
            .all(|asked| !asked.headers.contains_key("authorization"))
    );
}

#[test]
fn another_commit_than_the_pinned_one_is_refused() {
    let (endpoint, _) = hub(|asked, _| Reply::file(asked, &format!("x-repo-commit: {}", "f".repeat(40)), &weights()));
    let place = Place::new();
    let said = place.refused(&place.client(&endpoint, None));
    assert!(said.contains("ffff") && said.contains("mirror"), "{said}");
}

/// The model as other tools keep it: blobs, and a snapshot of links to them.
fn fill(cache: &Cache, bytes: &[u8]) {
    let repo = cache.repo(Repo::new(REPO.into(), RepoType::Model));
    repo.create_ref(COMMIT).unwrap();
    let snapshot = repo.pointer_path(COMMIT);
    std::fs::create_dir_all(&snapshot).unwrap();
    for (name, blob, content) in [
        ("config.json", "a".repeat(40), b"{}".as_slice()),
        ("model.safetensors", digest(&weights()), bytes),
    ] {
        let blob = snapshot.join("../../blobs").join(blob);
        std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
        std::fs::write(&blob, content).unwrap();
        let blob = blob.canonicalize().unwrap();
        std::os::unix::fs::symlink(&blob, snapshot.join(name)).unwrap();
    }
}

#[test]
fn offline_only_the_cache_is_read() {
    let place = Place::new();
    let mut hub = place.client("http://127.0.0.1:1", None);
    hub.offline = true;
    let said = place.refused(&hub);
    assert!(said.contains("is not in the cache"), "{said}");
    fill(&place.cache(), &weights());
    for revision in ["main", COMMIT] {
        assert_eq!(place.pull(&hub, revision).unwrap().commit, COMMIT);
        assert_eq!(std::fs::read(place.to().join("model.safetensors")).unwrap(), weights());
        std::fs::remove_dir_all(place.to()).unwrap();
    }
}

#[test]
fn what_the_cache_holds_whole_is_not_downloaded() {
    let place = Place::new();
    fill(&place.cache(), &weights());
    let (endpoint, log) = hub(|asked, _| Reply::file(asked, &linked(&weights()), &weights()));
    place.pull(&place.client(&endpoint, None), "main").unwrap();
    assert_eq!(log.lock().unwrap().len(), 1);

    // A blob that is cut is no blob.
    let place = Place::new();
    fill(&place.cache(), &weights()[..10]);
    place.pull(&place.client(&endpoint, None), "main").unwrap();
    assert_eq!(std::fs::read(place.to().join("model.safetensors")).unwrap(), weights());
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let place = Place::new();
    let hub = place.client("http://127.0.0.1:1", None);
    for (repo, revision) in [
        ("../x", "main"),
        ("a/b/c", "main"),
        ("org/name?x", "main"),
        (REPO, "../main"),
        ("", "main"),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let refused = runtime.block_on(hub.pull(repo, revision, &place.to(), &mut |_, _, _, _| {}));
        assert!(refused.unwrap_err().to_string().contains("is not the name"));
    }
}

#[test]
fn a_list_of_files_that_does_not_end_is_not_read_to_its_end() {
    let (endpoint, _) = serve(|_, _| Reply::new("200 OK", &vec![b' '; answer::LIST_BYTES_MAX + 1]));
    let place = Place::new();
    let told = place.refused(&place.client(&endpoint, None));
    assert!(told.contains("more than 16777216 bytes"), "{told}");
}
