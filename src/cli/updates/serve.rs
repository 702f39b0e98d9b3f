//! `updates serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use zeroize::Zeroizing;

use super::{CliError, Place, Printer};
use crate::publish::serve::{Catalogue, Server};
use crate::store::tls;

const EXAMPLES: &str = "\
Examples:
  fleetpack updates serve --path updates
  fleetpack updates serve --path updates --listen 0.0.0.0:8443 \\
    --tls-cert chain.pem --tls-key key.pem";

/// What follows `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub(super) place: Place,

    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Certificate chain (PEM) for TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Print one JSON object when the first request can come (docs/schema/updates-serve.json)
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    repository: String,
    url: String,
}

/// Serves until a signal says stop.
pub fn run(args: Args, printer: &Printer) -> Result<(), CliError> {
    let tls = match (args.tls_cert, args.tls_key) {
        (Some(certificate), Some(key)) => Some(Arc::new(tls_config(&certificate, &key)?)),
        _ => None,
    };
    let folder = args.place.looked_at(printer).repository();
    if !folder.join("root.json").is_file() {
        return Err(CliError::usage(
            format!("{} is not an update repository", folder.display()),
            "--path DIR, the folder that holds repository/",
        ));
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let server = Server::bind(args.listen, tls, Catalogue::new(&folder))?;
    let report = Report {
        repository: folder.display().to_string(),
        url: format!("{scheme}://{}/", server.address()?),
    };
    match args.json {
        true => printer.json(&report)?,
        false => printer.result(format!("serving {} at {}", report.repository, report.url))?,
    }
    server.run(&stop)?;
    printer.note("stopped");
    Ok(())
}

fn tls_config(certificate: &PathBuf, key: &PathBuf) -> Result<rustls::ServerConfig, CliError> {
    let read = |path: &PathBuf| super::tls::read(path, 1 << 20);
    let (chain, private) = (read(certificate)?, Zeroizing::new(read(key)?));
    let (chain_name, key_name) = (certificate.display().to_string(), key.display().to_string());
    let pair = tls::certified_key((&chain, &chain_name), (&private, &key_name))
        .map_err(crate::store::StoreError::from)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(pair)));
    Ok(config)
}
