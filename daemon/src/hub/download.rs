//! One file over a connection that may be cut.

use super::answer;
use super::{Hub, Source};
use anyhow::{Context, Result, anyhow, bail};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, ETAG, HeaderMap, LOCATION, RANGE};
use reqwest::{Response, StatusCode, Url};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;
/// Failures in a row, with not a byte between them, after which a download is given up.
const FAILURES_MAX: u32 = 5;

/// An answer, with what the first server on the way to it said.
pub struct Answer {
    /// The last server's answer; its status is no error.
    pub response: Response,
    /// Headers of the first.
    first: HeaderMap,
}

/// What went wrong, and whether trying again may help.
struct Failure {
    error: anyhow::Error,
    again: bool,
}

impl Failure {
    fn again(error: impl Into<anyhow::Error>) -> Failure {
        Failure {
            error: error.into(),
            again: true,
        }
    }

    fn for_good(error: impl Into<anyhow::Error>) -> Failure {
        Failure {
            error: error.into(),
            again: false,
        }
    }
}

/// Where a file lies until it is whole.
pub fn incomplete(target: &Path) -> PathBuf {
    PathBuf::from(format!("{}.incomplete", target.display()))
}

impl Hub {
    /// Asks, and asks again where that may help.
    pub(super) async fn get(&self, url: &str, from: u64) -> Result<Answer> {
        let mut failures = 0;
        loop {
            match self.try_get(url, from).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.pause_after(failure, &mut failures).await?,
            }
        }
    }

    /// Waits before another try; gives up where none is left or none would help.
    async fn pause_after(&self, failure: Failure, failures: &mut u32) -> Result<()> {
        *failures += 1;
        if !failure.again || *failures >= FAILURES_MAX {
            return Err(failure.error);
        }
        tokio::time::sleep(self.pause * (1 << (*failures - 1))).await;
        Ok(())
    }

    /// Downloads a file of the model's commit to `target`, going on with what an earlier download left beside it.
    pub(super) async fn download(
        &self,
        source: &Source,
        name: &str,
        target: &Path,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let url = format!("{}/{}/resolve/{}/{name}", self.endpoint, source.repo, source.commit);
        let partial = incomplete(target);
        let (mut failures, mut before) = (0, size(&partial));
        let digest = loop {
            match self.fetch(&url, source, &partial, watch).await {
                Ok(digest) => break digest,
                Err(failure) => {
                    let now = size(&partial);
                    if now > before {
                        (failures, before) = (0, now);
                    }
                    self.pause_after(failure, &mut failures).await?;
                }
            }
        };
        if let Some(expected) = digest {
            let found = crate::digest::sha256_file(&partial)?;
            if found != expected {
                std::fs::remove_file(&partial)?;
                bail!(
                    "{url}: SHA-256 is {found}, the hub says {expected}; the file was thrown away, download it again"
                );
            }
        }
        std::fs::rename(&partial, target).with_context(|| target.display().to_string())
    }

    /// Gets what is missing of the file. Returns the SHA-256 that the hub gives it, if it is a large one.
    async fn fetch(
        &self,
        url: &str,
        source: &Source,
        partial: &Path,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Option<String>, Failure> {
        let local = |e: std::io::Error| Failure::for_good(anyhow!("{}: {e}", partial.display()));
        let from = size(partial);
        let Answer { mut response, first } = self.try_get(url, from).await?;
        let said = |name: &str| first.get(name).and_then(|value| value.to_str().ok());
        if let Some(commit) = said("x-repo-commit").filter(|commit| *commit != source.commit) {
            let error = anyhow!("{url}: the hub answers with commit {commit}; it or its mirror is at fault");
            return Err(Failure::for_good(error));
        }
        let etag = said("x-linked-etag").or_else(|| said(ETAG.as_str()));
        let digest = etag.and_then(answer::digest);
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // Everything is there, or what is there is no beginning of the file: its digest or its size tells.
            let whole = range(&response)
                .and_then(answer::range_total)
                .or_else(|| said("x-linked-size")?.parse().ok());
            if whole == Some(from) {
                return Ok(digest);
            }
            std::fs::remove_file(partial).map_err(local)?;
            return Err(Failure::again(anyhow!(
                "{url}: what was downloaded before does not fit"
            )));
        }
        let goes_on = response.status() == StatusCode::PARTIAL_CONTENT
            && range(&response).and_then(answer::range_start) == Some(from);
        let mut file = match goes_on {
            true => File::options().append(true).open(partial),
            false => File::create(partial),
        }
        .map_err(local)?;
        let mut done = if goes_on { from } else { 0 };
        let total = response.content_length().map(|rest| done + rest);
        watch(done, total.unwrap_or(0));
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|e| Failure::again(anyhow!("{url}: {e}")))?
        {
            file.write_all(&chunk).map_err(local)?;
            done += chunk.len() as u64;
            watch(done, total.unwrap_or(0));
        }
        match total {
            Some(total) if total != done => Err(Failure::again(anyhow!("{url}: cut at {done} of {total} bytes"))),
            _ => Ok(digest),
        }
    }

    /// Asks for the bytes from `from` on, through redirects. The token goes to the endpoint's own host alone.
    async fn try_get(&self, url: &str, from: u64) -> Result<Answer, Failure> {
        let own = Url::parse(&self.endpoint).map_err(|e| Failure::for_good(anyhow!("{}: {e}", self.endpoint)))?;
        let mut at = Url::parse(url).map_err(|e| Failure::for_good(anyhow!("{url}: {e}")))?;
        let mut first: Option<HeaderMap> = None;
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self.http.get(at.clone()).header(ACCEPT_ENCODING, "identity");
            if let Some(token) = self.token.as_ref().filter(|_| at.origin() == own.origin()) {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let response = request.send().await.map_err(|e| {
                let help = "set HF_ENDPOINT to a mirror, or copy the folder here and use `wengu model add`";
                Failure::again(anyhow::Error::new(e.without_url()).context(format!("{at} cannot be reached; {help}")))
            })?;
            let first = first.get_or_insert_with(|| response.headers().clone());
            if !response.status().is_redirection() {
                let first = std::mem::take(first);
                return self.judge(response, &at).map(|response| Answer { response, first });
            }
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let to = to.and_then(|to| at.join(to).ok());
            at = to.ok_or_else(|| Failure::for_good(anyhow!("{at} leads nowhere")))?;
        }
        Err(Failure::for_good(anyhow!("{url}: more than {REDIRECTS_MAX} redirects")))
    }

    fn judge(&self, response: Response, url: &Url) -> Result<Response, Failure> {
        let status = response.status();
        // Queries of content servers hold signatures.
        let mut place = url.clone();
        place.set_query(None);
        match status {
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
            _ if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let help = match self.token {
                    Some(_) => {
                        "the token of HF_TOKEN does not open it; accept the model's terms on its page, or use another"
                    }
                    None => "it may be private or not exist; set HF_TOKEN to a token that may read it",
                };
                Err(Failure::for_good(anyhow!("{place}: {status}; {help}")))
            }
            StatusCode::NOT_FOUND => {
                let help = "the hub has no such model, revision or file; look at its page for the names";
                Err(Failure::for_good(anyhow!("{place}: {status}; {help}")))
            }
            _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure::again(anyhow!("{place}: {status}; try again later")))
            }
            _ => Err(Failure::for_good(anyhow!("{place}: {status}"))),
        }
    }
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |about| about.len())
}

fn range(response: &Response) -> Option<&str> {
    response.headers().get(CONTENT_RANGE)?.to_str().ok()
}
