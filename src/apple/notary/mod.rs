//! Apple's notary service: hands a signed package in, waits for the verdict, staples the
//! ticket (Apple, Notary API; stapling was never documented, see [`ticket`]).
//!
//! ```text
//! POST notary/v2/submissions {name, sha256}   → id, credentials for one object of Amazon S3
//! PUT  the package there                                                        (storage)
//! GET  notary/v2/submissions/{id}             → In Progress … Accepted | Invalid | Rejected
//! GET  notary/v2/submissions/{id}/logs        → where the reasons are
//! POST the ticket database, by the digest of the package's table of contents     (ticket)
//! ```
//!
//! Every request to the notary carries a fresh token of the API key ([`key`]).

mod key;
mod storage;
mod ticket;

pub use key::{ApiKey, ApiKeyError};

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::hint::Hint;
use crate::store::{HttpOptions, client};
use storage::Grant;

/// An answer of Apple's is never longer than this.
const ANSWER: u64 = 4 << 20;

/// Where Apple's services are; another place for tests.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The notary service, without a slash at its end.
    pub notary: String,
    /// The storage service with the bucket; `None` is Amazon's.
    pub storage: Option<String>,
    /// The ticket database's lookup.
    pub tickets: String,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            notary: "https://appstoreconnect.apple.com/notary/v2".into(),
            storage: None,
            tickets: "https://api.apple-cloudkit.com/database/1/com.apple.gk.ticket-delivery/production/public/records/lookup".into(),
        }
    }
}

/// How long to wait, and what tells the time.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between two questions.
    pub pause: Duration,
    /// For the verdict, and as many questions for the ticket.
    pub questions: u32,
    /// The time, for tokens and signatures.
    pub clock: fn() -> Timestamp,
}

impl Default for Patience {
    /// An hour, by questions every ten seconds.
    fn default() -> Self {
        Self {
            pause: Duration::from_secs(10),
            questions: 360,
            clock: Timestamp::now,
        }
    }
}

/// A package could not be notarised.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// No connection.
    #[error("cannot reach {url}")]
    Transport {
        /// Address.
        url: String,
        /// What the connection said.
        source: Box<ureq::Error>,
    },
    /// The key is not accepted.
    #[error(
        "the notary service refuses the API key, which must have the role Developer (status {0})"
    )]
    Unauthorized(u16),
    /// Any other status.
    #[error("{url} answers with status {status}: {words}")]
    Status {
        /// Address.
        url: String,
        /// HTTP status.
        status: u16,
        /// The beginning of what it said.
        words: String,
    },
    /// An answer that is none.
    #[error("{url} gives an answer that cannot be read")]
    Answer {
        /// Address.
        url: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The verdict.
    #[error(
        "Apple's notary service does not accept the package ({status}, submission {id}){issues}"
    )]
    Refused {
        /// The submission's identifier.
        id: String,
        /// Apple's word.
        status: String,
        /// Apple's reasons, one a line.
        issues: String,
    },
    /// No verdict yet.
    #[error("the notary service has no verdict on submission {0} yet")]
    NoVerdict(String),
    /// Accepted, but there is no ticket.
    #[error("there is no ticket for the notarised package yet: {0}")]
    NoTicket(String),
    /// A package that cannot be read, or is none.
    #[error("cannot read the package")]
    Package(#[source] io::Error),
    /// The ticket could not be added to the package.
    #[error("cannot staple the ticket to the package")]
    Ticket(#[source] io::Error),
    /// A token could not be made.
    #[error(transparent)]
    Key(#[from] ApiKeyError),
}

impl Hint for NotaryError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unauthorized(_) => Some(
                "--app-store-connect-api-key-id ID --app-store-connect-api-key-issuer UUID --app-store-connect-api-key-content \"$(cat FILE)\""
                    .into(),
            ),
            Self::Refused { id, .. } | Self::NoVerdict(id) => {
                Some(format!("on a Mac: xcrun notarytool log {id}"))
            }
            Self::NoTicket(_) => Some("later, on a Mac: xcrun stapler staple FILE".into()),
            _ => None,
        }
    }
}

/// The notary service, spoken to with one API key.
pub struct Notary {
    agent: ureq::Agent,
    key: ApiKey,
    endpoints: Endpoints,
    patience: Patience,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Data<T>,
}

#[derive(Deserialize)]
struct Data<T> {
    #[serde(default)]
    id: String,
    attributes: T,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    developer_log_url: String,
}

#[derive(Deserialize)]
struct Reasons {
    #[serde(default)]
    issues: Option<Vec<Issue>>,
    #[serde(rename = "statusSummary", default)]
    summary: Option<String>,
}

#[derive(Deserialize)]
struct Issue {
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    message: String,
}

impl Notary {
    /// Nothing is asked yet.
    pub fn new(key: ApiKey, endpoints: Endpoints, patience: Patience) -> Self {
        let https = endpoints.notary.starts_with("https:");
        Self {
            agent: client(HttpOptions::default(), https),
            key,
            endpoints,
            patience,
        }
    }

    /// Hands the signed package in and waits for the verdict. `name` is what Apple lists it
    /// by; `say` is told what happens.
    pub fn notarize(
        &self,
        package: &File,
        name: &str,
        say: &dyn Fn(&str),
    ) -> Result<(), NotaryError> {
        let sha256 = hash(package).map_err(NotaryError::Package)?;
        let url = format!("{}/submissions", self.endpoints.notary);
        let body = json!({ "submissionName": name, "sha256": sha256 });
        let answer: Answer<Grant> = self.ask(&url, Some(&body))?;
        let id = answer.data.id;
        say(&format!(
            "handing {name} in to Apple's notary service as {id}"
        ));
        let place = self.endpoints.storage.as_deref();
        let now = (self.patience.clock)();
        storage::put(
            &self.agent,
            place,
            &answer.data.attributes,
            package,
            &sha256,
            now,
        )?;
        say("waiting for the verdict");
        self.verdict(&id)
    }

    /// Fetches the ticket of a notarised package and appends it to the file, which will be
    /// called `path`.
    pub fn staple(&self, package: &File, path: &Path) -> Result<(), NotaryError> {
        let record = ticket::record_name(package).map_err(NotaryError::Package)?;
        let mut missing = String::new();
        for question in 0..self.patience.questions.clamp(1, 12) {
            if question > 0 {
                std::thread::sleep(self.patience.pause);
            }
            match ticket::look_up(&self.agent, &self.endpoints.tickets, &record) {
                Ok(found) => {
                    return ticket::append(package, path, &found).map_err(NotaryError::Ticket);
                }
                Err(NotaryError::NoTicket(why)) => missing = why,
                Err(other) => return Err(other),
            }
        }
        Err(NotaryError::NoTicket(missing))
    }

    fn verdict(&self, id: &str) -> Result<(), NotaryError> {
        let url = format!("{}/submissions/{id}", self.endpoints.notary);
        for _ in 0..self.patience.questions {
            let answer: Answer<Status> = self.ask(&url, None)?;
            match answer.data.attributes.status.as_str() {
                "Accepted" => return Ok(()),
                "In Progress" => std::thread::sleep(self.patience.pause),
                status => {
                    return Err(NotaryError::Refused {
                        id: id.to_owned(),
                        status: status.to_owned(),
                        issues: self.issues(&url),
                    });
                }
            }
        }
        Err(NotaryError::NoVerdict(id.to_owned()))
    }

    // What Apple's log says; without one the verdict still stands.
    fn issues(&self, submission: &str) -> String {
        let log = self.ask::<Answer<Log>>(&format!("{submission}/logs"), None);
        let Ok(url) = log.map(|log| log.data.attributes.developer_log_url) else {
            return String::new();
        };
        // The address carries its own right to read; the token is none of its business.
        let Ok(reasons) = answer::<Reasons>(&url, self.agent.get(&url).call()) else {
            return String::new();
        };
        let summary = reasons.summary.into_iter();
        let issues = reasons.issues.unwrap_or_default().into_iter();
        let lines = issues.map(|issue| match issue.path {
            Some(path) => format!("{path}: {}", issue.message),
            None => issue.message,
        });
        summary
            .chain(lines)
            .map(|line| format!("\n  {line}"))
            .collect()
    }

    fn ask<T: DeserializeOwned>(
        &self,
        url: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, NotaryError> {
        let token = self.key.token((self.patience.clock)())?;
        let bearer = format!("Bearer {token}");
        let sent = match body {
            Some(body) => self
                .agent
                .post(url)
                .header("Authorization", &bearer)
                .content_type("application/json")
                .send(body.to_string()),
            None => self.agent.get(url).header("Authorization", &bearer).call(),
        };
        match answer(url, sent) {
            Err(NotaryError::Status { status, .. }) if matches!(status, 401 | 403) => {
                Err(NotaryError::Unauthorized(status))
            }
            done => done,
        }
    }
}

type Sent = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

fn received(url: &str, sent: Sent) -> Result<Vec<u8>, NotaryError> {
    let transport = |source| NotaryError::Transport {
        url: url.split('?').next().unwrap_or_default().to_owned(),
        source: Box::new(source),
    };
    let mut response = sent.map_err(transport)?;
    let status = response.status();
    let body = response.body_mut().with_config().limit(ANSWER);
    let bytes = body.read_to_vec().map_err(transport)?;
    match status.is_success() {
        true => Ok(bytes),
        false => Err(NotaryError::Status {
            url: url.split('?').next().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            words: String::from_utf8_lossy(&bytes).chars().take(300).collect(),
        }),
    }
}

fn answer<T: DeserializeOwned>(url: &str, sent: Sent) -> Result<T, NotaryError> {
    let bytes = received(url, sent)?;
    serde_json::from_slice(&bytes).map_err(|source| NotaryError::Answer {
        url: url.split('?').next().unwrap_or_default().to_owned(),
        source,
    })
}

fn hash(package: &File) -> io::Result<String> {
    let length = package.metadata()?.len();
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 256 * 1024];
    let mut at = 0;
    while at < length {
        let step = (length - at).min(buffer.len() as u64) as usize;
        package.read_exact_at(&mut buffer[..step], at)?;
        context.update(&buffer[..step]);
        at += step as u64;
    }
    Ok(hex::encode(context.finish()))
}
