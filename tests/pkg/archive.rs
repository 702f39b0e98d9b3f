//! The containers: xar, cpio in gzip, bill of materials. Four reader crates, bsdtar, 7-Zip,
//! gzip and GNU cpio read them; the extracted tree is the tree that was to be installed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use apple_bom::ParsedBom;
use apple_flat_package::{PkgFlavor, PkgReader};
use apple_xar::reader::XarReader;
use libtest_mimic::Trial;

use fleetpack::install::{Content, Entry, Node, Tree};
use fleetpack::package::Compression;

use super::sample::{self, EPOCH, build, build_with, config, tree};
use crate::harness::{Scratch, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("pkg::reader_crates_read_all_of_it", reader_crates),
        trial("pkg::payload_is_the_tree", payload_is_the_tree),
        trial("pkg::bill_of_materials_is_the_payload", bom_is_payload),
        trial("pkg::archives_are_one_gzip_member", one_member),
        trial("pkg::same_bytes_on_any_number_of_threads", deterministic),
        trial("pkg::members_ascend_in_the_heap", members_ascend),
        trial("pkg::other_compressions_are_refused", other_compressions),
        trial_needing("pkg::bsdtar_extracts_the_tree", &["bsdtar", "root"], bsdtar),
        trial_needing("pkg::seven_zip_tests_it", &["7z"], seven_zip),
        trial_needing(
            "pkg::gnu_cpio_extracts_the_tree",
            &["cpio", "gzip", "root"],
            gnu_cpio,
        ),
        trial_needing("pkg::damage_is_seen", &["bsdtar", "7z"], damage),
        trial_needing("pkg::cksum_agrees", &["cksum", "bsdtar"], cksum),
    ]
}

/// Paths of an archive: mode, owner, size, contents.
type Paths = BTreeMap<String, (u32, u32, u32, u64, String)>;

/// Wants the same paths; tells only those that differ.
#[track_caller]
fn same(seen: &Paths, expected: &Paths) {
    let names: BTreeSet<_> = seen.keys().chain(expected.keys()).collect();
    let differing: Vec<_> = names
        .into_iter()
        .filter(|name| seen.get(*name) != expected.get(*name))
        .map(|name| (name, seen.get(name), expected.get(name)))
        .collect();
    assert!(differing.is_empty(), "seen, expected: {differing:#?}");
}

pub fn members(package: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(package).unwrap();
    let mut reader = XarReader::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> = reader.files().unwrap().into_iter().map(|f| f.0).collect();
    let mut read = |name: &String| reader.get_file_data_from_path(name).unwrap();
    names
        .iter()
        .filter(|name| *name != "base.pkg")
        .map(|name| (name.clone(), read(name).unwrap()))
        .collect()
}

fn cpio(bytes: &[u8]) -> Paths {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .unwrap();
    let mut reader = cpio_archive::reader(Cursor::new(plain)).unwrap();
    let (mut paths, mut inodes) = (Paths::new(), BTreeSet::new());
    while let Some(member) = reader.read_next().unwrap() {
        let mut contents = Vec::new();
        reader.read_to_end(&mut contents).unwrap();
        assert!(inodes.insert(member.inode()), "inode of {}", member.name());
        assert_eq!(u64::from(member.mtime()), EPOCH, "{}", member.name());
        assert_eq!(member.device(), 0);
        let described = describe(member.mode(), &contents);
        let owner = (member.uid(), member.gid());
        let size = contents.len() as u64;
        let path = (member.mode(), owner.0, owner.1, size, described);
        let twice = paths.insert(member.name().to_owned(), path);
        assert!(twice.is_none(), "{} twice", member.name());
    }
    paths
}

fn describe(mode: u32, contents: &[u8]) -> String {
    match mode & 0o170_000 {
        0o040_000 => String::new(),
        0o120_000 => format!("-> {}", String::from_utf8_lossy(contents)),
        _ => hex::encode(fleetpack::compress::sha256(contents)),
    }
}

pub fn contents(content: &Content) -> Vec<u8> {
    match content {
        Content::Customer(customer) => customer.bytes().to_vec(),
        Content::Shared(shared) => {
            let mut bytes = vec![0; shared.len() as usize];
            shared.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        }
    }
}

fn of_tree(tree: &Tree) -> Paths {
    let one = |entry: &Entry| {
        let (mode, bytes) = match &entry.node {
            Node::Directory => (0o040_000 | entry.mode, Vec::new()),
            Node::File(content) => (0o100_000 | entry.mode, contents(content)),
            Node::Link(target) => (0o120_755, target.clone().into_bytes()),
        };
        let described = describe(mode, &bytes);
        let size = bytes.len() as u64;
        (format!(".{}", entry.path), (mode, 0, 80, size, described))
    };
    let root = (".".to_owned(), (0o040_755, 0, 80, 0, String::new()));
    std::iter::once(root)
        .chain(tree.entries.iter().map(one))
        .collect()
}

fn reader_crates() {
    let scratch = Scratch::new();
    let package = build(&tree(&config()), &scratch.join("a.pkg"));
    let bytes = std::fs::read(package).unwrap();

    let mut xar = XarReader::new(Cursor::new(bytes.clone())).unwrap();
    assert_eq!(xar.header().size, 28);
    assert!(xar.verify_table_of_contents_checksum().unwrap());
    let names: Vec<_> = xar.files().unwrap().into_iter().map(|f| f.0).collect();
    let expected = [
        "Distribution",
        "base.pkg",
        "base.pkg/Bom",
        "base.pkg/PackageInfo",
        "base.pkg/Scripts",
        "base.pkg/Payload",
    ];
    assert_eq!(names, expected);

    let mut reader = PkgReader::new(Cursor::new(bytes)).unwrap();
    assert_eq!(reader.flavor(), PkgFlavor::Product);
    let components = reader.component_packages().unwrap();
    assert_eq!(components.len(), 1);
    let info = components[0].package_info().unwrap();
    assert_eq!(info.identifier, "com.fleetdm.orbit.base.pkg");
    assert_eq!(info.version, "1.50.0");
    assert_eq!(info.install_location.as_deref(), Some("/"));
    let mut payload = components[0].payload_reader().unwrap().unwrap();
    let mut count = 0;
    while payload.read_next().unwrap().is_some() {
        std::io::copy(&mut payload, &mut std::io::sink()).unwrap();
        count += 1;
    }
    let payload = info.payload.as_ref().unwrap();
    assert_eq!(payload.number_of_files, count);
}

fn payload_is_the_tree() {
    let scratch = Scratch::new();
    // An older orbit gets the archives as well.
    for version in ["1.50.0", "1.40.0"] {
        let tree = sample::tree_of(version, &config());
        let package = build(&tree, &scratch.join("a.pkg"));
        let members = members(&package);
        same(&cpio(&members["base.pkg/Payload"]), &of_tree(&tree));
        let scripts = cpio(&members["base.pkg/Scripts"]);
        let names: Vec<_> = scripts.keys().map(String::as_str).collect();
        assert_eq!(names, [".", "./postinstall"]);
        assert_eq!(scripts["./postinstall"].0, 0o100_755);
    }
}

fn bom_is_payload() {
    let scratch = Scratch::new();
    let package = build(&tree(&config()), &scratch.join("a.pkg"));
    let members = members(&package);
    let mut payload = cpio(&members["base.pkg/Payload"]);
    let bom = ParsedBom::parse(&members["base.pkg/Bom"]).unwrap();
    let mut listed = Paths::new();
    for path in bom.paths().unwrap() {
        // Of contents the bill knows links alone; `cksum_agrees` looks at the sums.
        let link = path.link_name().map(|target| format!("-> {target}"));
        let owner = (path.user_id(), path.group_id());
        let entry = (
            path.file_mode().into(),
            owner.0,
            owner.1,
            path.size() as u64,
        );
        let described = link.unwrap_or_default();
        let entry = (entry.0, entry.1, entry.2, entry.3, described);
        listed.insert(path.path().to_owned(), entry);
    }
    for path in payload.values_mut() {
        if path.0 & 0o170_000 != 0o120_000 {
            path.4.clear();
        }
    }
    same(&listed, &payload);
    let count = bom.bom_info().unwrap().number_of_paths as usize;
    assert_eq!(count, payload.len() + 1);
}

fn one_member() {
    let scratch = Scratch::new();
    let package = build(&tree(&config()), &scratch.join("a.pkg"));
    let members = members(&package);
    for name in ["base.pkg/Payload", "base.pkg/Scripts"] {
        let (mut one, mut all) = (Vec::new(), Vec::new());
        let bytes = &members[name][..];
        flate2::bufread::GzDecoder::new(bytes)
            .read_to_end(&mut one)
            .unwrap();
        flate2::bufread::MultiGzDecoder::new(bytes)
            .read_to_end(&mut all)
            .unwrap();
        assert!(one == all && !one.is_empty(), "{name}");
    }
}

fn deterministic() {
    let scratch = Scratch::new();
    let tree = tree(&config());
    let paths = [1, 2, 5].map(|threads| {
        let path = scratch.join(format!("{threads}.pkg"));
        build_with(&tree, &path, threads, None).unwrap();
        std::fs::read(path).unwrap()
    });
    assert!(paths[0] == paths[1] && paths[1] == paths[2]);
}

fn members_ascend() {
    let scratch = Scratch::new();
    let package = build(&tree(&config()), &scratch.join("a.pkg"));
    let length = std::fs::metadata(&package).unwrap().len();
    let reader = XarReader::new(std::fs::File::open(package).unwrap()).unwrap();
    let mut end = 20;
    for (name, file) in reader.files().unwrap() {
        let Some(data) = file.data else { continue };
        assert_eq!(data.offset, end, "{name}");
        assert_eq!(data.size, data.length, "{name}");
        end += data.length;
    }
    assert_eq!(reader.heap_start_offset() + end, length);
}

fn other_compressions() {
    let scratch = Scratch::new();
    let path = scratch.join("a.pkg");
    let error = build_with(&tree(&config()), &path, 1, Some(Compression::Zstd)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pkg cannot carry a payload compressed by Zstd; macOS is known to read gzip alone"
    );
}

fn unpack(scratch: &Scratch, package: &Path) {
    std::fs::create_dir(scratch.join("x")).unwrap();
    scratch
        .tool("bsdtar", ["-xf"])
        .arg(package)
        .within("x")
        .ok();
}

// What lies on disk, in the words of an archive's paths.
fn on_disk(folder: &Path) -> Paths {
    let mut paths = Paths::new();
    let mut queue = vec![(".".to_owned(), folder.to_owned())];
    while let Some((name, path)) = queue.pop() {
        let metadata = path.symlink_metadata().unwrap();
        let bytes = match () {
            () if metadata.is_dir() => {
                for child in std::fs::read_dir(&path).unwrap() {
                    let child = child.unwrap();
                    let name = format!("{name}/{}", child.file_name().to_string_lossy());
                    queue.push((name, child.path()));
                }
                Vec::new()
            }
            () if metadata.is_symlink() => {
                let target = std::fs::read_link(&path).unwrap();
                target.to_string_lossy().into_owned().into_bytes()
            }
            () => std::fs::read(&path).unwrap(),
        };
        // Linux gives every link the mode 0777.
        let mode = match metadata.is_symlink() {
            true => 0o120_755,
            false => metadata.mode(),
        };
        let described = describe(mode, &bytes);
        let size = bytes.len() as u64;
        paths.insert(
            name,
            (mode, metadata.uid(), metadata.gid(), size, described),
        );
    }
    paths
}

fn bsdtar() {
    let scratch = Scratch::new();
    let tree = tree(&config());
    let package = build(&tree, &scratch.join("a.pkg"));
    unpack(&scratch, &package);
    scratch
        .tool("bsdtar", ["-tvf", "x/base.pkg/Payload"])
        .ok()
        .prints("-rwxr-xr-x  1 0      80")
        .never_says("?rw");
    std::fs::create_dir(scratch.join("payload")).unwrap();
    scratch
        .tool(
            "bsdtar",
            ["--numeric-owner", "-xpf", "../x/base.pkg/Payload"],
        )
        .within("payload")
        .ok();
    same(&on_disk(&scratch.join("payload")), &of_tree(&tree));
}

fn gnu_cpio() {
    let scratch = Scratch::new();
    let tree = tree(&config());
    let package = build(&tree, &scratch.join("a.pkg"));
    scratch.write("Payload.gz", &members(&package)["base.pkg/Payload"]);
    scratch.tool("gzip", ["-t", "Payload.gz"]).ok();
    scratch.tool("gzip", ["-d", "Payload.gz"]).ok();
    let bytes = scratch.read("Payload");
    let payload = scratch.join("payload");
    std::fs::create_dir(&payload).unwrap();
    std::fs::set_permissions(&payload, PermissionsExt::from_mode(0o755)).unwrap();
    scratch
        .tool("cpio", ["-itv"])
        .input(&bytes)
        .ok()
        .never_says("?");
    scratch
        .tool("cpio", ["-idm", "--no-absolute-filenames"])
        .input(&bytes)
        .within("payload")
        .ok();
    // It leaves the folder alone that it extracts into.
    let (mut seen, mut expected) = (on_disk(&payload), of_tree(&tree));
    assert!(seen.remove(".").is_some() && expected.remove(".").is_some());
    same(&seen, &expected);
}

fn seven_zip() {
    let scratch = Scratch::new();
    let package = build(&tree(&config()), &scratch.join("a.pkg"));
    let listed = scratch.tool("7z", ["l", "-tXar"]).arg(&package).ok();
    for name in ["Distribution", "base.pkg/Bom", "base.pkg/Payload"] {
        listed.prints(name);
    }
    scratch
        .tool("7z", ["t", "-tXar"])
        .arg(&package)
        .ok()
        .prints("Everything is Ok");
}

fn damage() {
    let scratch = Scratch::new();
    let package = build(&tree(&config()), &scratch.join("a.pkg"));
    let bytes = std::fs::read(&package).unwrap();
    for (name, at) in [("table", 300), ("payload", bytes.len() - 1000)] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        let path = scratch.write("damaged.pkg", damaged);
        let tested = scratch.tool("7z", ["t", "-tXar"]).arg(&path).run();
        assert_ne!(tested.code, Some(0), "{name}\n{tested}");
        let extracted = scratch.tool("bsdtar", ["-xOf"]).arg(&path).run();
        assert_ne!(extracted.code, Some(0), "{name}\n{extracted}");
    }
}

fn cksum() {
    let scratch = Scratch::new();
    let tree = tree(&config());
    let package = build(&tree, &scratch.join("a.pkg"));
    let members = members(&package);
    let bom = ParsedBom::parse(&members["base.pkg/Bom"]).unwrap();
    let listed = bom.paths().unwrap();
    let sums: BTreeMap<&str, (Option<u32>, usize)> = listed
        .iter()
        .map(|path| (path.path(), (path.crc32(), path.size())))
        .collect();
    for entry in &tree.entries {
        let bytes = match &entry.node {
            Node::File(content) => contents(content),
            Node::Link(target) => target.clone().into_bytes(),
            Node::Directory => continue,
        };
        let sum = scratch.tool("cksum", [""; 0]).input(&bytes).ok();
        let (checksum, size) = sums[format!(".{}", entry.path).as_str()];
        let said = format!("{} {size}\n", checksum.unwrap());
        assert_eq!(sum.text(), said, "{}", entry.path);
    }
}
