//! The address that agents use, looked at the way they do.
//!
//! Every changed file is fetched and compared. What stands between storage and agents can do
//! three things wrong: give an old copy, change how bytes arrive (a compressed body, a length
//! that is not exact), or answer something else than 404 for the root that does not exist yet,
//! which stops every agent (TUF 5.3.3).

use std::io::Read;
use std::time::{Duration, Instant};

use url::Url;

use super::PublishError;
use crate::store::HttpOptions;
use crate::store::http::Paced;
use crate::tuf::hashes::Digests;
use crate::tuf::metadata::Role;
use crate::tuf::repository::Repository;

/// For how long documents are looked at in turn, whatever patience is left.
const ROUND: Duration = Duration::from_secs(30);

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Problems, a sentence each.
    pub problems: Vec<String>,
    /// Names that came in an older state.
    pub stale: Vec<String>,
    /// For how long the address may go on giving them.
    pub cached_for: Duration,
    /// How many files were compared.
    pub compared: usize,
}

/// Compares `names` (relative to the repository) and all metadata with what `url` gives.
pub fn check(
    repository: &Repository,
    url: &str,
    names: &[String],
) -> Result<Checked, PublishError> {
    let base = parse(url)?;
    let agent = crate::store::client(HttpOptions::default(), base.scheme() == "https");
    let mut look = Look {
        repository,
        base,
        agent,
        checked: Checked::default(),
    };
    let root = repository.trusted().root();
    for role in [Role::Timestamp, Role::Snapshot, Role::Targets, Role::Root] {
        look.compare(&role.file());
    }
    look.compare(&Role::Root.versioned_file(root.version()));
    let targets = names.iter().filter(|name| name.starts_with("targets/"));
    targets.for_each(|name| look.compare(name));
    look.next_root(&Role::Root.versioned_file(root.version() + 1));
    Ok(look.checked)
}

type Response = ureq::http::Response<ureq::Body>;

/// Which of these documents the address still gives in another state. One that cannot be
/// fetched at all is [`check`]'s matter, as is one that `patience` does not suffice for.
pub(super) fn stale(
    url: &str,
    documents: &[&(String, String)],
    patience: Duration,
) -> Result<Vec<String>, PublishError> {
    let base = parse(url)?;
    let (begun, enough) = (Instant::now(), patience.max(ROUND));
    let agent = crate::store::client(HttpOptions::default(), base.scheme() == "https");
    let old = |name: &str, text: &str| {
        let Ok(response) = get(&agent, &base, name) else {
            return false;
        };
        let status = response.status();
        let mut body = body(response, text.len() as u64);
        let mut bytes = Vec::new();
        status == 200 && body.read_to_end(&mut bytes).is_ok() && bytes != text.as_bytes()
    };
    let stale = documents
        .iter()
        .filter(|(name, text)| begun.elapsed() < enough && old(name, text));
    Ok(stale.map(|(name, _)| name.clone()).collect())
}

fn parse(url: &str) -> Result<Url, PublishError> {
    Url::parse(url).map_err(|error| PublishError::Make("an address of --public-url", error.into()))
}

fn get(agent: &ureq::Agent, base: &Url, name: &str) -> Result<Response, String> {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(name.split('/'));
    }
    let answer = agent.get(url.as_str()).call();
    answer.map_err(|error| format!("{name} cannot be fetched: {error}"))
}

/// What comes, and a byte of what is more than it may be.
fn body(response: Response, length: u64) -> impl Read {
    Paced::new(response.into_body().into_reader()).take(length.saturating_add(1))
}

struct Look<'a> {
    repository: &'a Repository,
    base: Url,
    agent: ureq::Agent,
    checked: Checked,
}

impl Look<'_> {
    fn get(&self, name: &str) -> Result<Response, String> {
        get(&self.agent, &self.base, name)
    }

    fn compare(&mut self, name: &str) {
        if let Err(problem) = self.compared(name) {
            self.checked.problems.push(problem);
        }
    }

    fn compared(&mut self, name: &str) -> Result<(), String> {
        let here = self.repository.layout().repository().join(name);
        // A copy without its targets' files has nothing to compare them with.
        let Ok(mut file) = std::fs::File::open(&here) else {
            return Ok(());
        };
        let expected = Digests::read(&mut file).map_err(|error| format!("{name}: {error}"))?;
        let response = self.get(name)?;
        if response.status() != 200 {
            return Err(format!("{name} answers {}", response.status().as_u16()));
        }
        let header = |header: &str| {
            let value = response.headers().get(header);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let encoding = header("content-encoding").filter(|encoding| encoding != "identity");
        let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
        let cached = cached_for(header("cache-control").as_deref(), header("age").as_deref());
        let mut body = body(response, expected.length);
        let found = Digests::read(&mut body).map_err(|error| format!("{name}: {error}"))?;
        self.checked.compared += 1;
        if let Some(encoding) = encoding {
            return Err(format!("{name} comes with Content-Encoding: {encoding}"));
        }
        if found.length != expected.length || found.sha256 != expected.sha256 {
            self.checked.stale.push(name.to_owned());
            self.checked.cached_for = self.checked.cached_for.max(cached);
            return Ok(());
        }
        match length {
            Some(length) if length == expected.length => Ok(()),
            Some(length) => Err(format!(
                "{name} comes with Content-Length: {length}, and has {} bytes",
                expected.length
            )),
            None => Err(format!("{name} comes without Content-Length")),
        }
    }

    fn next_root(&mut self, name: &str) {
        let problem = match self.get(name) {
            Ok(response) if response.status() == 404 => None,
            Ok(response) => Some(format!(
                "{name} does not exist and answers {}, not 404: agents stop",
                response.status().as_u16()
            )),
            Err(problem) => Some(problem),
        };
        self.checked.problems.extend(problem);
    }
}

// RFC 9111 §4.2.1, as far as an answer tells.
fn cached_for(control: Option<&str>, age: Option<&str>) -> Duration {
    let directives = control.unwrap_or_default().split(',').map(str::trim);
    let seconds = |name: &str, directive: &str| {
        let (key, value) = directive.split_once('=')?;
        (key == name).then(|| value.parse::<u64>().ok()).flatten()
    };
    let mut shared = None;
    let mut own = None;
    for directive in directives {
        shared = shared.or(seconds("s-maxage", directive));
        own = own.or(seconds("max-age", directive));
    }
    let age = age.and_then(|age| age.parse().ok()).unwrap_or(0);
    Duration::from_secs(shared.or(own).unwrap_or(0).saturating_sub(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_caches() {
        for (control, age, seconds) in [
            (None, None, 0),
            (Some("no-cache"), None, 0),
            (Some("max-age=60"), Some("20"), 40),
            (Some("public, max-age=60, s-maxage=10"), None, 10),
            (Some("max-age=5"), Some("9"), 0),
        ] {
            assert_eq!(cached_for(control, age).as_secs(), seconds, "{control:?}");
        }
    }
}
