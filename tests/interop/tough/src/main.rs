//! tough's client as a command.
//!
//! ```text
//! tough-client FOLDER STATE ROOT [TARGET FILE]...
//! ```
//!
//! begins with the trusted root in ROOT and what lies in STATE from earlier runs, loads the
//! repository in FOLDER, and saves each TARGET as FILE. It prints the version of targets.json
//! that it then trusts.

use std::error::Error;
use std::path::Path;

use futures_util::StreamExt;
use tough::{FilesystemTransport, RepositoryLoader, TargetName};
use url::Url;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, state, root, targets @ ..] = args.as_slice() else {
        return Err("usage: tough-client FOLDER STATE ROOT [TARGET FILE]...".into());
    };
    let folder = Path::new(folder).canonicalize()?;
    let url = |path: &Path| Url::from_directory_path(path).map_err(|()| "no absolute path");
    let root = std::fs::read(root)?;
    std::fs::create_dir_all(state)?;
    let repository = RepositoryLoader::new(&root, url(&folder)?, url(&folder.join("targets"))?)
        .transport(FilesystemTransport)
        .datastore(state)
        .load()
        .await?;
    for pair in targets.chunks_exact(2) {
        let name = TargetName::new(&pair[0])?;
        let mut stream = repository.read_target(&name).await?.ok_or("no such target")?;
        let mut bytes = Vec::new();
        while let Some(part) = stream.next().await {
            bytes.extend_from_slice(&part?);
        }
        std::fs::write(&pair[1], bytes)?;
    }
    println!("{}", repository.targets().signed.version);
    Ok(())
}
