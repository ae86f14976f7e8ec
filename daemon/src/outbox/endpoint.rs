//! An endpoint of the configuration, with its secrets.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use wengu_alert::client::{Client, Endpoint};
use wengu_alert::secret::{Key, read_private, read_secrets};
use wengu_config::{Source, Webhook};
use wengu_protocol::events::Format;

/// A client for the endpoint. Reads its secrets from where they stand; nothing is sent.
pub fn client(webhook: &Webhook, now: DateTime<Utc>) -> Result<Client> {
    let url = match &webhook.url {
        Source::Plain(url) => url.clone(),
        source => {
            let text = read(source)?;
            Key::parse(&text).with_context(|| place(source))?.reveal().into()
        }
    };
    let (mut secrets, mut key) = (Vec::new(), None);
    if let Some(source) = &webhook.secret {
        let text = read(source)?;
        if webhook.format == Format::Standard {
            secrets = read_secrets(&text, now).with_context(|| place(source))?;
        } else {
            key = Some(Key::parse(&text).with_context(|| place(source))?);
        }
    }
    Ok(Client::new(Endpoint {
        id: webhook.name.clone(),
        url,
        format: webhook.format,
        language: webhook.language,
        prefix: webhook.prefix.clone(),
        secrets,
        key,
        allow_addresses: webhook.allow_addresses.clone(),
        allow_http: webhook.allow_http,
        ca_file: None,
        proxy: None,
        timeout: webhook.timeout,
    })?)
}

fn read(source: &Source) -> Result<String> {
    if let Source::Plain(text) = source {
        return Ok(text.clone());
    }
    let path = source.file().with_context(|| {
        format!(
            "{}: CREDENTIALS_DIRECTORY is not set; systemd sets it for units with `LoadCredential=`",
            place(source)
        )
    })?;
    Ok(read_private(&path)?)
}

fn place(source: &Source) -> String {
    match source {
        Source::Plain(_) => "the configuration's own text".into(),
        Source::File(path) => path.display().to_string(),
        Source::Credential(name) => format!("the credential {name}"),
    }
}
