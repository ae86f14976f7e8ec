//! HTTP by hand, so that it can be done wrongly too; a daemon with TCP and a certificate of its own.

use crate::harness::Site;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

/// Longer than any limit that a test sets.
const PATIENCE: Duration = Duration::from_secs(60);

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// What the daemon answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Why it was refused.
    pub fn error(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        body["error"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_string()
    }
}

/// Reads until the other side closes, and takes the answer apart.
pub fn answer(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {text:?}, {ended:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_string(),
    }
}

/// A request as it goes over the wire.
pub fn request(method: &str, path: &str, token: Option<&str>, body: &str) -> String {
    let bearer = token
        .map(|token| format!("authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: wengu\r\n{bearer}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What a command said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A daemon that can be reached over TCP.
pub struct Reachable {
    pub site: Site,
    pub port: u16,
}

impl Reachable {
    /// `limits`: keys of `[api.limits]`.
    pub fn new(limits: &str) -> Reachable {
        // Free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let site = Site::new(&format!(
            "[domains.leaflets]\nwatch = [\"leaflets\"]\nmodel = \"base\"\n\
             [api.tcp]\nlisten = \"127.0.0.1:{port}\"\ncertificate = \"tls.pem\"\nkey = \"tls.key\"\n[api.limits]\n{limits}\n"
        ));
        fs::create_dir(site.path("leaflets")).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
        fs::write(site.path("tls.pem"), made.cert.pem()).unwrap();
        fs::write(site.path("tls.key"), made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(site.path("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
        Reachable { site, port }
    }

    pub fn started(limits: &str) -> Reachable {
        let mut reachable = Reachable::new(limits);
        reachable.site.start();
        reachable
    }

    /// A token, made on the daemon's machine.
    pub fn token(&self, name: &str, more: &[&str]) -> String {
        let made = self.site.json(&[&["token", "create", "--name", name], more].concat());
        made["token"].as_str().unwrap().to_string()
    }

    /// The command line as a client from elsewhere.
    pub fn elsewhere(&self, token: &str, arguments: &[&str]) -> Output {
        fs::write(self.site.path("token"), format!("{token}\n")).unwrap();
        fs::set_permissions(self.site.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
        let (token, ca) = (self.site.path("token"), self.site.path("tls.pem"));
        let url = format!("https://localhost:{}", self.port);
        let mut all = vec!["--url", &url, "--token-file", token.to_str().unwrap()];
        all.extend(["--ca-file", ca.to_str().unwrap()]);
        all.extend(arguments);
        self.site.bare(&all).output().unwrap()
    }

    pub fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn tls(&self) -> Tls {
        self.tls_with(rustls::DEFAULT_VERSIONS)
    }

    pub fn tls_with(&self, versions: &[&'static SupportedProtocolVersion]) -> Tls {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.site.path("tls.pem")).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), self.tcp())
    }

    /// One request over TLS.
    pub fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
        let mut stream = self.tls();
        stream.write_all(request(method, path, token, body).as_bytes()).unwrap();
        answer(&mut stream)
    }
}

/// A connection to the control socket, as the user that runs the tests.
pub fn socket(site: &Site) -> UnixStream {
    let stream = UnixStream::connect(site.path("state/wengu.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
