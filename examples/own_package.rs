//! fleetpack's own packages, made by its own builders.
//!
//! ```text
//! cargo run --example own_package -- PROGRAM FOLDER [amd64|arm64]
//! ```
//!
//! writes a deb, an rpm and a pkg.tar.zst with the program, manual pages, completions, documents
//! (those that `packaging/own/documents` names) and units. Nothing in it knows of Fleet: it shows
//! what the library's builders take. The time in the packages is `SOURCE_DATE_EPOCH`; the same
//! input gives the same bytes.

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

use clap_complete::Shell;
use flate2::{Compression, GzBuilder};
use fleetpack::compress::Compressor;
use fleetpack::fs::AtomicFile;
use fleetpack::install::{Arch, Content, Entry, Event, Identity, Lifecycle, Os, Shared, Tree};
use fleetpack::package::{BuildContext, Format, Output, builder};

type Failed = Box<dyn Error>;

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (program, folder, arch) = match &args[..] {
        [program, folder] => (program, folder, Arch::Amd64),
        [program, folder, arch] if arch == "amd64" => (program, folder, Arch::Amd64),
        [program, folder, arch] if arch == "arm64" => (program, folder, Arch::Arm64),
        _ => return Err("own_package PROGRAM FOLDER [amd64|arm64]".into()),
    };
    let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds.parse()?,
        Err(_) => 0,
    };
    let tree = tree(Path::new(program), arch)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let compressor = Compressor::new(threads)?;
    for format in [Format::Deb, Format::Rpm, Format::PkgTarZst] {
        let builder = builder(format);
        let path = Path::new(folder).join(builder.file_name(&tree.identity));
        let context = BuildContext {
            compressor: &compressor,
            compression: None,
            epoch,
            cancelled: &|| false,
        };
        let file = AtomicFile::create(&path, 0o644)?;
        let mut output = Output::new(file.handle()?, &path);
        builder.build(&tree, &context, &mut output)?;
        let _: File = output.finish()?;
        file.commit()?;
        writeln!(std::io::stdout(), "{}", path.display())?;
    }
    Ok(())
}

fn tree(program: &Path, arch: Arch) -> Result<Tree, Failed> {
    let mut lifecycle = Lifecycle::default();
    for (event, body) in [
        (
            Event::AfterInstall,
            include_str!("../packaging/own/after-install.sh"),
        ),
        (
            Event::AfterRemove,
            include_str!("../packaging/own/after-remove.sh"),
        ),
    ] {
        lifecycle.bodies.insert(event, body.to_owned());
    }
    Ok(Tree {
        os: Os::Linux,
        identity: identity(arch),
        entries: Tree::settle(Os::Linux, entries(program)?)?,
        service: None,
        settings: Vec::new(),
        properties: Vec::new(),
        lifecycle,
        leftovers: Vec::new(),
        windows: None,
    })
}

fn identity(arch: Arch) -> Identity {
    Identity {
        name: "fleetpack".into(),
        display_name: "fleetpack".into(),
        identifier: "fleetpack".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        arch,
        vendor: "The fleetpack authors".into(),
        maintainer: "The fleetpack authors <fleetpack@example.com>".into(),
        homepage: "https://example.com/fleetpack".into(),
        summary: "update repositories and installers for Fleet's agent".into(),
        description: "Keeps an update repository of Fleet's agent, and makes deb, rpm, pkg, msi\n\
            and pkg.tar.zst installers from it. Needs no other program."
            .into(),
        license: env!("CARGO_PKG_LICENSE").into(),
    }
}

fn entries(program: &Path) -> Result<Vec<Entry>, Failed> {
    let text = |path: &str, bytes: &[u8]| Entry::file(path, 0o644, shared(bytes.to_vec(), path));
    let units = "/usr/lib/systemd/system/fleetpack-timestamp";
    let mut entries = vec![
        Entry::file(
            "/usr/bin/fleetpack",
            0o755,
            shared(std::fs::read(program)?, "fleetpack"),
        ),
        text(
            &format!("{units}.service"),
            include_bytes!("../packaging/systemd/fleetpack-timestamp.service"),
        ),
        text(
            &format!("{units}.timer"),
            include_bytes!("../packaging/systemd/fleetpack-timestamp.timer"),
        ),
        text(
            "/usr/lib/sysusers.d/fleetpack.conf",
            include_bytes!("../packaging/own/sysusers.conf"),
        ),
    ];
    for name in include_str!("../packaging/own/documents").lines() {
        documents(name, &mut entries)?;
    }
    for (shell, path) in [
        (
            Shell::Bash,
            "/usr/share/bash-completion/completions/fleetpack",
        ),
        (Shell::Zsh, "/usr/share/zsh/site-functions/_fleetpack"),
        (
            Shell::Fish,
            "/usr/share/fish/vendor_completions.d/fleetpack.fish",
        ),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(
            shell,
            &mut fleetpack::cli::definitions(),
            "fleetpack",
            &mut script,
        );
        entries.push(text(path, &script));
    }
    for (name, page) in fleetpack::cli::man::pages(fleetpack::cli::definitions())? {
        // Without a time and a name, so that the bytes depend on the page alone.
        let mut packed = GzBuilder::new().write(Vec::new(), Compression::best());
        packed.write_all(&page)?;
        entries.push(text(
            &format!("/usr/share/man/man1/{name}.gz"),
            &packed.finish()?,
        ));
    }
    Ok(entries)
}

/// A file of the project, or all of a folder, where links between them lead on: below the
/// folder of documents as they lie in the project.
fn documents(name: &str, entries: &mut Vec<Entry>) -> Result<(), Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if !path.is_dir() {
        let content = shared(std::fs::read(&path)?, name);
        let target = format!("/usr/share/doc/fleetpack/{name}");
        entries.push(Entry::file(&target, 0o644, content));
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&path)? {
        names.push(entry?.file_name());
    }
    names.sort();
    names
        .iter()
        .try_for_each(|below| documents(&format!("{name}/{}", below.display()), entries))
}

fn shared(bytes: Vec<u8>, name: &str) -> Content {
    Content::Shared(Shared::verified_bytes(bytes, Path::new(name)))
}
