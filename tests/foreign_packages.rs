//! Packages that other programs made, read back, and what is left of them after damage.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fleetpack::install::{Arch, Content, Entry, Identity, Lifecycle, Os, Shared, Tree};
use fleetpack::package::read::{self, Kind, Package, ReadError};
use fleetpack::package::{Compression, Format};
use libtest_mimic::Trial;

use crate::harness::schema::conforms;
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("foreign_packages::deb", &["dpkg-deb"], deb),
        trial_needing("foreign_packages::rpm", &["rpmbuild"], rpm),
        trial_needing("foreign_packages::pacman", &["bsdtar"], pacman),
        trial_needing("foreign_packages::pkg", &["bsdtar"], pkg),
        trial_needing("foreign_packages::msi", &["wixl"], msi),
        trial_needing(
            "foreign_packages::damaged",
            &["dpkg-deb", "bsdtar", "rpmbuild", "wixl"],
            damaged,
        ),
        trial_needing("foreign_packages::bombs", &["xz", "zstd", "bsdtar"], bombs),
        trial_needing(
            "foreign_packages::inspected",
            &["dpkg-deb", "rpmbuild", "wixl"],
            inspected,
        ),
        trial("foreign_packages::something_else", something_else),
    ]
}

/// A name longer than a ustar header has room for.
fn long_name() -> String {
    format!("/opt/demo/{}/{}", "a".repeat(90), "b".repeat(120))
}

/// What packages of this file hold, but for links where a format has none.
fn entries(os: Os) -> Vec<Entry> {
    let program: Vec<u8> = (0..300_000u32)
        .flat_map(|n| (n / 3).to_le_bytes())
        .collect();
    let shared =
        |bytes: &[u8]| Content::Shared(Shared::verified_bytes(bytes.to_vec(), Path::new("demo")));
    if os == Os::Windows {
        return vec![
            Entry::file("bin/demo.exe", 0o755, shared(&program)),
            Entry::file("some-readme.text", 0o644, shared(b"hello\n")),
            Entry::file("empty.txt", 0o644, shared(b"")),
        ];
    }
    vec![
        Entry::file("/opt/demo/bin/demo", 0o755, shared(&program)),
        Entry::file("/opt/demo/empty", 0o644, shared(b"")),
        Entry::file(long_name(), 0o644, shared(b"far away\n")),
        Entry::customer("/etc/default/demo", 0o600, "SECRET=1\n"),
        Entry::link("/usr/local/bin/demo", "/opt/demo/bin/demo"),
        Entry::directory("/var/log/demo"),
    ]
}

fn tree(os: Os) -> Tree {
    let text = |text: &str| text.to_owned();
    Tree {
        os,
        identity: Identity {
            name: text("demo"),
            display_name: text("Demo"),
            identifier: text("org.example.demo"),
            version: text("1.2.3"),
            arch: Arch::Amd64,
            vendor: text("Example"),
            maintainer: text("Example <demo@example.org>"),
            homepage: text("https://example.org"),
            summary: text("A demo"),
            description: text("A demo"),
            license: text("MIT"),
        },
        entries: Tree::settle(os, entries(os)).unwrap(),
        service: None,
        settings: Vec::new(),
        properties: Vec::new(),
        lifecycle: Lifecycle::default(),
        leftovers: Vec::new(),
        windows: None,
    }
}

/// Lays the tree down in a folder.
fn lay_down(tree: &Tree, root: &Path) {
    use fleetpack::install::Node;
    for entry in &tree.entries {
        let path = root.join(entry.path.trim_start_matches('/'));
        match &entry.node {
            Node::Directory => std::fs::create_dir_all(&path).unwrap(),
            Node::Link(to) => symlink(to, &path).unwrap(),
            Node::File(content) => {
                let mut bytes = vec![0; content.len() as usize];
                match content {
                    Content::Shared(shared) => shared.read_exact_at(&mut bytes, 0).unwrap(),
                    Content::Customer(own) => bytes.copy_from_slice(own.bytes()),
                }
                std::fs::write(&path, bytes).unwrap();
            }
        }
        if !matches!(entry.node, Node::Link(_)) {
            let mode = PermissionsExt::from_mode(entry.mode);
            std::fs::set_permissions(&path, mode).unwrap();
        }
    }
}

#[track_caller]
fn read_back(path: &Path) -> Package {
    let file = File::open(path).unwrap();
    let format = read::sniff(&file).unwrap().expect("a known format");
    read::read(format, &file).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[track_caller]
fn check(path: &Path, os: Os, format: Format, compression: Compression) -> Package {
    let package = read_back(path);
    assert_eq!(package.format, format);
    assert_eq!(package.payload.compression, compression);
    read::matches(&tree(os), &package).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    package
}

fn build_deb(scratch: &Scratch, compression: &str) -> PathBuf {
    let folder = format!("deb-{compression}");
    let root = scratch.join(&folder);
    lay_down(&tree(Os::Linux), &root);
    scratch.write(
        &format!("{folder}/DEBIAN/control"),
        "Package: demo\nVersion: 1.2.3\nArchitecture: amd64\nMaintainer: Example <d@example.org>\n\
         Description: A demo\n of two lines\n",
    );
    scratch.write_program(&format!("{folder}/DEBIAN/postinst"), "#!/bin/sh\nexit 0\n");
    // Empty, so its digest is well known.
    let sums = "d41d8cd98f00b204e9800998ecf8427e  opt/demo/empty\n";
    scratch.write(&format!("{folder}/DEBIAN/md5sums"), sums);
    let package = scratch.join(format!("{compression}.deb"));
    scratch
        .tool(
            "dpkg-deb",
            ["--root-owner-group", "-Z", compression, "--build"],
        )
        .arg(&root)
        .arg(&package)
        .ok();
    package
}

fn deb() {
    let scratch = Scratch::new();
    for (word, compression) in [
        ("gzip", Compression::Gzip),
        ("xz", Compression::Xz),
        ("zstd", Compression::Zstd),
        ("none", Compression::None),
    ] {
        let path = build_deb(&scratch, word);
        let package = check(&path, Os::Linux, Format::Deb, compression);
        assert_eq!(package.payload.parts, 1);
        assert_eq!(package.identity.name, "demo");
        assert_eq!(package.identity.version, "1.2.3");
        assert_eq!(package.identity.arch, "amd64");
        let script = ("postinst".to_owned(), "#!/bin/sh\nexit 0\n".to_owned());
        assert_eq!(package.scripts, [script]);
        let description = package.metadata.iter().find(|(k, _)| k == "Description");
        assert_eq!(description.unwrap().1, "A demo\nof two lines");
    }
    // A list of digests that lies.
    let lie = scratch.write(
        "deb-none/DEBIAN/md5sums",
        "00000000000000000000000000000000  opt/demo/empty\n",
    );
    assert!(lie.exists());
    let package = scratch.join("lie.deb");
    scratch
        .tool("dpkg-deb", ["-Znone", "--build"])
        .arg(scratch.join("deb-none"))
        .arg(&package)
        .ok();
    let error = read::read(Format::Deb, &File::open(package).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/opt/demo/empty is not what md5sums says: digest differs"
    );
}

fn build_rpm(scratch: &Scratch, word: &str) -> PathBuf {
    let root = scratch.join("rpm-root");
    if !root.exists() {
        lay_down(&tree(Os::Linux), &root);
    }
    let long = long_name();
    let long = long.rsplit_once('/').unwrap().0;
    let spec = scratch.write(
        "demo.spec",
        format!(
            "Name: demo\nVersion: 1.2.3\nRelease: 1\nSummary: A demo\nLicense: MIT\n\
             URL: https://example.org\n%description\nA demo\n\
             %define _binary_payload {word}\n%define __os_install_post %{{nil}}\n\
             %install\ncp -a {root}/. %{{buildroot}}/\nln %{{buildroot}}/opt/demo/empty \
             %{{buildroot}}/opt/demo/empty2\nln %{{buildroot}}/opt/demo/bin/demo \
             %{{buildroot}}/opt/demo/bin/demo2\n\
             %post\necho installed\n%preun -p /usr/bin/true\n\
             %files\n%defattr(-,root,root)\n%dir /opt/demo\n/opt/demo/bin/\n/opt/demo/empty\n\
             /opt/demo/empty2\n{long}\n%attr(600,root,root) /etc/default/demo\n/usr/local/bin/demo\n\
             /var/log/demo\n%ghost /opt/demo/later\n",
            root = root.display(),
        ),
    );
    let top = scratch.join(format!("rpm-{word}"));
    scratch
        .tool("rpmbuild", ["-bb", "--target", "x86_64", "--define"])
        .arg(format!("_topdir {}", top.display()))
        .arg(spec)
        .ok();
    top.join("RPMS/x86_64/demo-1.2.3-1.x86_64.rpm")
}

fn rpm() {
    let scratch = Scratch::new();
    for (word, compression) in [
        ("w6.gzdio", Compression::Gzip),
        ("w2.xzdio", Compression::Xz),
        ("w3.zstdio", Compression::Zstd),
    ] {
        let mut package = read_back(&build_rpm(&scratch, word));
        assert_eq!(package.payload.compression, compression);
        // Second names of files, which the tree does not ask for.
        let seconds = |kind: &Kind| matches!(kind, Kind::HardLink(_));
        let names: Vec<_> = package.files.iter().filter(|f| seconds(&f.kind)).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let second = if names[0].path.ends_with('2') {
            "2"
        } else {
            ""
        };
        let first = format!("/opt/demo/bin/demo{}", if second == "2" { "" } else { "2" });
        assert_eq!(names[0].kind, Kind::HardLink(first));
        let ghost = package.files.iter().find(|f| f.kind == Kind::Ghost);
        assert_eq!(ghost.unwrap().path, "/opt/demo/later");
        package.files.retain(|f| !f.path.ends_with("empty2"));
        for found in &mut package.files {
            if found.path == "/opt/demo/bin/demo2" && found.kind == Kind::File {
                found.path = "/opt/demo/bin/demo".to_owned();
            }
        }
        package.files.retain(|f| !seconds(&f.kind));
        read::matches(&tree(Os::Linux), &package).unwrap();
        assert_eq!(package.identity.arch, "x86_64");
        assert_eq!(
            package.scripts,
            [
                ("post".to_owned(), "#!/bin/sh\necho installed".to_owned()),
                ("preun".to_owned(), "#!/usr/bin/true\n".to_owned()),
            ]
        );
    }
}

fn build_pacman(scratch: &Scratch, filter: &str) -> PathBuf {
    let folder = format!("arch-{filter}");
    lay_down(&tree(Os::Linux), &scratch.join(&folder));
    scratch.write(
        &format!("{folder}/.PKGINFO"),
        "# made by hand\npkgname = demo\npkgver = 1.2.3-1\narch = x86_64\ndepend = glibc\n",
    );
    scratch.write(&format!("{folder}/.INSTALL"), "post_install() { :; }\n");
    let keywords = "--options=!all,use-set,type,uid,gid,mode,time,size,md5,sha256,link";
    scratch
        .tool("bsdtar", ["-czf", ".MTREE", "--format=mtree", keywords])
        .arg(".PKGINFO")
        .arg(".INSTALL")
        .arg("etc")
        .arg("opt")
        .arg("usr")
        .arg("var")
        .within(&folder)
        .ok();
    let package = scratch.join(format!("{filter}.pkg.tar"));
    scratch
        .tool("bsdtar", ["-cf"])
        .arg(&package)
        .arg(filter)
        .arg("--uid=0")
        .arg("--gid=0")
        .arg("--uname=root")
        .arg("--gname=root")
        .arg(".MTREE")
        .arg(".PKGINFO")
        .arg(".INSTALL")
        .arg("etc")
        .arg("opt")
        .arg("usr")
        .arg("var")
        .within(&folder)
        .ok();
    package
}

fn pacman() {
    let scratch = Scratch::new();
    for (filter, compression) in [
        ("--zstd", Compression::Zstd),
        ("--xz", Compression::Xz),
        ("--gzip", Compression::Gzip),
    ] {
        let path = build_pacman(&scratch, filter);
        let package = check(&path, Os::Linux, Format::PkgTarZst, compression);
        assert_eq!(package.identity.version, "1.2.3-1");
        assert_eq!(package.scripts[0].1, "post_install() { :; }\n");
        assert!(
            package
                .metadata
                .contains(&("depend".into(), "glibc".into()))
        );
    }
}

fn build_msi(scratch: &Scratch) -> PathBuf {
    lay_down(&tree(Os::Windows), &scratch.join("msi"));
    scratch.write(
        "demo.wxs",
        r#"<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="*" Name="Demo" Version="1.2.3" Manufacturer="Example" Language="1033"
      UpgradeCode="12345678-1234-1234-1234-111111111111">
    <Package InstallerVersion="500" Compressed="yes" Platform="x64"/>
    <Media Id="1" Cabinet="demo.cab" EmbedCab="yes"/>
    <Property Id="FLEET_URL" Value="https://fleet.example.org"/>
    <Directory Id="TARGETDIR" Name="SourceDir">
      <Directory Id="ProgramFiles64Folder">
        <Directory Id="ROOT" Name="Demo">
          <Component Id="C2" Guid="12345678-1234-1234-1234-222222222222" Win64="yes">
            <File Id="F2" Source="msi/some-readme.text" KeyPath="yes"/>
            <File Id="F3" Source="msi/empty.txt"/>
          </Component>
          <Directory Id="BIN" Name="bin">
            <Component Id="C1" Guid="12345678-1234-1234-1234-333333333333" Win64="yes">
              <File Id="F1" Source="msi/bin/demo.exe" KeyPath="yes"/>
            </Component>
          </Directory>
        </Directory>
      </Directory>
    </Directory>
    <Feature Id="All" Level="1"><ComponentRef Id="C1"/><ComponentRef Id="C2"/></Feature>
  </Product>
</Wix>
"#,
    );
    scratch
        .tool("wixl", ["-a", "x64", "-o", "demo.msi", "demo.wxs"])
        .ok();
    scratch.join("demo.msi")
}

fn msi() {
    let scratch = Scratch::new();
    let package = check(
        &build_msi(&scratch),
        Os::Windows,
        Format::Msi,
        Compression::Gzip,
    );
    assert_eq!(package.identity.name, "Demo");
    assert_eq!(package.identity.version, "1.2.3");
    assert_eq!(package.identity.arch, "x64");
    assert_eq!(package.base.as_deref(), Some("ProgramFiles64Folder/Demo"));
    let url = (
        "FLEET_URL".to_owned(),
        "https://fleet.example.org".to_owned(),
    );
    assert!(package.metadata.contains(&url));
}

/// A line of a Bom: path, mode, size, checksum, link.
type Line<'a> = (&'a str, u32, u32, u32, &'a str);

fn be(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// A Bom with one leaf, laid out by hand.
fn bom(lines: &[Line<'_>]) -> Vec<u8> {
    let mut blocks = vec![Vec::new()];
    let mut leaf = vec![0, 1, 0, lines.len() as u8, 0, 0, 0, 0, 0, 0, 0, 0];
    let position = |path: &str| lines.iter().position(|line| line.0 == path);
    let id = |path: &str| position(path).map_or(0, |at| at as u32 + 1);
    for line in lines {
        let (parent, name) = line.0.rsplit_once('/').unwrap_or(("", line.0));
        let first = blocks.len() as u32;
        blocks.push(details(line));
        blocks.push([be(id(line.0)), be(first)].concat());
        blocks.push([&be(id(parent)), name.as_bytes(), b"\0"].concat());
        leaf.extend(be(first + 1));
        leaf.extend(be(first + 2));
    }
    let count = be(lines.len() as u32);
    let child = be(blocks.len() as u32);
    blocks.push(leaf);
    let tree = be(blocks.len() as u32);
    blocks.push([b"tree", &be(1), &child, &be(4096), &count, &[0][..]].concat());
    let mut bytes = vec![0; 512];
    let mut index = be(blocks.len() as u32).to_vec();
    for block in &blocks {
        let at = if block.is_empty() { 0 } else { bytes.len() };
        index.extend(be(at as u32));
        index.extend(be(block.len() as u32));
        bytes.extend(block);
    }
    let vars = [&be(1), &tree, &[5][..], b"Paths"].concat();
    let (at, len) = (bytes.len() as u32, index.len() as u32);
    let blocks = blocks.len() as u32 - 1;
    let numbers = [1, blocks, at, len, at + len, vars.len() as u32];
    bytes[..8].copy_from_slice(b"BOMStore");
    for (place, number) in bytes[8..].chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&be(number));
    }
    [bytes, index, vars].concat()
}

/// What a Bom says of one path besides its name.
fn details((_, mode, size, sum, link): &Line<'_>) -> Vec<u8> {
    let mut block = vec![1, 1, 0, 3];
    block.extend((*mode as u16).to_be_bytes());
    for number in [0, 0, 0, *size] {
        block.extend(be(number));
    }
    block.push(1);
    block.extend(be(*sum));
    match link.len() as u32 {
        0 => block.extend(be(0)),
        len => block.extend([&be(len + 1), link.as_bytes(), b"\0"].concat()),
    }
    block
}

fn build_pkg(scratch: &Scratch, name: &str, sum: u32) -> PathBuf {
    scratch.write(&format!("{name}/root/opt/hello"), "hello");
    symlink("hello", scratch.join(format!("{name}/root/opt/link"))).unwrap();
    scratch.write_program(
        &format!("{name}/scripts/postinstall"),
        "#!/bin/sh\nexit 0\n",
    );
    std::fs::create_dir_all(scratch.join(format!("{name}/flat/base.pkg"))).unwrap();
    for (from, to) in [("root", "Payload"), ("scripts", "Scripts")] {
        scratch
            .tool("bsdtar", ["--format=odc", "--uid=0", "--gid=0", "-czf"])
            .arg(format!("../flat/base.pkg/{to}"))
            .arg(".")
            .within(&format!("{name}/{from}"))
            .ok();
    }
    // Sums as coreutils' cksum prints them: `hello`.
    let list = bom(&[
        (".", 0o040_755, 0, 0, ""),
        ("./opt", 0o040_755, 0, 0, ""),
        ("./opt/hello", 0o100_644, 5, sum, ""),
        ("./opt/link", 0o120_777, 5, 3_287_646_509, "hello"),
    ]);
    scratch.write(&format!("{name}/flat/base.pkg/Bom"), list);
    scratch.write(
        &format!("{name}/flat/base.pkg/PackageInfo"),
        "<pkg-info format-version=\"2\" identifier=\"org.example.demo\" version=\"1.2.3\" \
         install-location=\"/\" auth=\"root\"/>\n",
    );
    scratch.write(
        &format!("{name}/flat/Distribution"),
        "<installer-gui-script minSpecVersion=\"2\"><options hostArchitectures=\"arm64,x86_64\"/>\
         </installer-gui-script>\n",
    );
    scratch
        .tool(
            "bsdtar",
            [
                "--format=xar",
                "-cf",
                "../../demo.pkg",
                "Distribution",
                "base.pkg",
            ],
        )
        .within(&format!("{name}/flat"))
        .ok();
    let path = scratch.join(format!("{name}.pkg"));
    std::fs::rename(scratch.join("demo.pkg"), &path).unwrap();
    path
}

fn pkg() {
    let scratch = Scratch::new();
    let package = read_back(&build_pkg(&scratch, "good", 3_287_646_509));
    let found: Vec<_> = package
        .files
        .iter()
        .map(|f| (f.path.as_str(), &f.kind))
        .collect();
    let link = Kind::Link("hello".to_owned());
    assert_eq!(package.identity.name, "org.example.demo");
    assert_eq!(package.identity.arch, "arm64,x86_64");
    assert_eq!(package.payload.parts, 1);
    assert_eq!(found.len(), 4);
    assert!(found.contains(&("/opt/hello", &Kind::File)));
    assert!(found.contains(&("/opt/link", &link)));
    assert_eq!(
        package.scripts,
        [(
            "base.pkg/postinstall".to_owned(),
            "#!/bin/sh\nexit 0\n".to_owned()
        )]
    );
    let path = build_pkg(&scratch, "bad", 1);
    let error = read::read(Format::Pkg, &File::open(path).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/opt/hello is not what Bom says: checksum differs"
    );
}

/// Cut off anywhere, a package is refused with one error; with a byte turned over it is
/// refused, or still the same.
fn damaged() {
    let scratch = Scratch::new();
    let packages = [
        (Format::Deb, build_deb(&scratch, "gzip")),
        (Format::Deb, build_deb(&scratch, "xz")),
        (Format::Rpm, build_rpm(&scratch, "w3.zstdio")),
        (Format::PkgTarZst, build_pacman(&scratch, "--zstd")),
        (Format::Pkg, build_pkg(&scratch, "good", 3_287_646_509)),
        (Format::Msi, build_msi(&scratch)),
    ];
    for (format, path) in packages {
        let whole = std::fs::read(&path).unwrap();
        let good = read::read(format, &File::open(&path).unwrap()).unwrap();
        let cut = scratch.join("cut");
        for eighth in 0..24 {
            let len = whole.len() * eighth / 24;
            std::fs::write(&cut, &whole[..len]).unwrap();
            let read = read::read(format, &File::open(&cut).unwrap());
            // Sectors behind a compound file's last stream may be missing.
            let harmless =
                format == Format::Msi && read.as_ref().is_ok_and(|p| p.files == good.files);
            assert!(
                read.is_err() || harmless,
                "{format} of {len} bytes was read"
            );
        }
        let mut noise = 12_345u32;
        for _ in 0..60 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut bytes = whole.clone();
            let at = (noise >> 4) as usize % bytes.len();
            bytes[at] ^= 1 << (noise & 7);
            std::fs::write(&cut, &bytes).unwrap();
            let read = read::read(format, &File::open(&cut).unwrap());
            let contents = |package: &Package| -> Vec<_> {
                package
                    .files
                    .iter()
                    .map(|f| (f.path.clone(), f.sha256))
                    .collect()
            };
            if let Ok(package) = read {
                assert_eq!(contents(&package), contents(&good), "{format}, byte {at}");
            }
        }
    }
}

/// The command, on packages that hold no agent: text, JSON, and what differs between two.
fn inspected() {
    let scratch = Scratch::new();
    let deb = build_deb(&scratch, "xz");
    let rpm = build_rpm(&scratch, "w3.zstdio");
    let msi = build_msi(&scratch);
    for (path, format, file) in [
        (&deb, "deb", "/opt/demo/bin/demo"),
        (&rpm, "rpm", "/opt/demo/bin/demo"),
        (&msi, "msi", "bin/demo.exe"),
    ] {
        let plain = scratch.fleetpack(["inspect"]).arg(path).ok();
        plain.prints("1.2.3").prints(file);
        let json = scratch.fleetpack(["inspect", "--json"]).arg(path).ok();
        let report = conforms("inspect.json", json.text());
        assert_eq!(report["format"], format);
        assert_eq!(report["version"], "1.2.3", "{format}");
        assert!(report["agent"].is_null(), "{format}: {report:#}");
        let files = report["files"].as_array().unwrap();
        let found = files.iter().find(|f| {
            let path = f["path"].as_str().unwrap();
            path == file || path.strip_suffix('2') == Some(file)
        });
        let bytes = &found.unwrap()["bytes"];
        assert_eq!(*bytes, 1_200_000, "{format}: {report:#}");
    }
    let between = |words: &[&str]| {
        let run = words.iter().fold(scratch.fleetpack(["inspect"]), Run::arg);
        run.arg(&deb).arg(&rpm).ok()
    };
    between(&[]).prints("/opt/demo/later");
    let changes = between(&["--json"]);
    let changes = conforms("inspect-difference.json", changes.text());
    let changes = changes.as_array().unwrap();
    let later = changes.iter().any(|one| one["name"] == "/opt/demo/later");
    assert!(later, "{changes:#?}");
}

/// Small files that unpack to far more than their size end with one error.
fn bombs() {
    let scratch = Scratch::new();
    scratch.write("bomb/.PKGINFO", "pkgname = b\npkgver = 1-1\narch = any\n");
    let zeros = File::create(scratch.join("bomb/zeros")).unwrap();
    zeros.set_len(700 << 20).unwrap();
    for filter in ["--zstd", "--xz"] {
        let path = scratch.join("bomb.pkg.tar");
        scratch
            .tool("bsdtar", ["--no-read-sparse", "-cf"])
            .arg(&path)
            .arg(filter)
            .arg(if filter == "--xz" {
                "--options=xz:compression-level=0"
            } else {
                "--options=zstd:compression-level=1"
            })
            .arg(".PKGINFO")
            .arg("zeros")
            .within("bomb")
            .ok();
        let error = read::read(Format::PkgTarZst, &File::open(&path).unwrap()).unwrap_err();
        assert!(
            matches!(error, ReadError::TooLarge { .. }),
            "{filter}: {error}"
        );
    }
    // A frame whose window is 2 GiB: refused before anything is allocated.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0, 0];
    let path = scratch.write("window.pkg.tar.zst", frame);
    let error = read::read(Format::PkgTarZst, &File::open(path).unwrap()).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}

fn something_else() {
    let scratch = Scratch::new();
    let cases: &[(&str, &[u8], Option<Format>)] = &[
        ("empty", b"", None),
        ("text", b"hello\n", None),
        ("zip", b"PK\x03\x04", None),
        (
            "gzip of text",
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\xe7\x02\x00",
            None,
        ),
        ("ar", b"!<arch>\nlib.o/          ", None),
        (
            "deb's beginning",
            b"!<arch>\ndebian-binary   ",
            Some(Format::Deb),
        ),
        ("rpm's beginning", b"\xed\xab\xee\xdb", Some(Format::Rpm)),
        ("xar's beginning", b"xar!", Some(Format::Pkg)),
        (
            "compound file",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            Some(Format::Msi),
        ),
    ];
    for (name, bytes, format) in cases {
        let path = scratch.write("file", bytes);
        let file = File::open(path).unwrap();
        assert_eq!(read::sniff(&file).unwrap(), *format, "{name}");
        for format in Format::ALL {
            let error = read::read(format, &file).unwrap_err();
            assert!(
                !error.to_string().contains('\n'),
                "{name} as {format}: {error}"
            );
        }
    }
}
