//! Which cryptography HTTPS uses, and what the daemon shows who comes by it.

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use std::sync::Arc;
use wengu_alert::secret::read_private;
use wengu_config::{Config, Problem, Source, Tcp};

/// Makes ring the process's provider. Clients panic without one; a second call changes nothing.
pub fn install() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// TLS 1.2 and 1.3 with the certificate and key of the configuration.
pub fn server(tcp: &Tcp) -> Result<Arc<ServerConfig>> {
    let certificate = &tcp.certificate;
    let chain: Vec<CertificateDer> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("certificate {}", certificate.display()))?;
    let key = key(&tcp.key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("certificate {} and its key", certificate.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn key(source: &Source) -> Result<PrivateKeyDer<'static>> {
    let path = source
        .file()
        .context("the key is in a credential, and systemd gave this process none")?;
    let pem = read_private(&path)?;
    // What is in it is said to nobody.
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .ok()
        .with_context(|| format!("{} holds no private key as PEM", path.display()))
}

/// A certificate or key that cannot be used. What is missing altogether has been told.
pub fn check(config: &Config) -> Vec<Problem> {
    let Some(tcp) = &config.api.tcp else { return Vec::new() };
    if !tcp.certificate.exists() || !tcp.key.file().is_some_and(|file| file.exists()) {
        return Vec::new();
    }
    let remedy = "`certificate` holds the chain as PEM, the server's own first, and `key` the private key of that one";
    match server(tcp) {
        Ok(_) => Vec::new(),
        Err(error) => vec![config.error_at("api.tcp", format!("{error:#}"), remedy)],
    }
}
