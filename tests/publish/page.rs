//! The status page in a browser: texts, width, contrast, light and dark.

use libtest_mimic::Trial;

use crate::harness::{Scratch, trial_needing};
use crate::updates::{elf, init, updates};

// Runs inside a frame of the width in question and writes down what it sees.
const LOOK: &str = r#"<script>
addEventListener("load", () => {
  const frame = document.querySelector("iframe"), page = frame.contentDocument;
  const rgb = text => (text.match(/[\d.]+/g) || []).map(Number);
  const light = color => {
    const [r, g, b] = color.slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgb(frame.contentWindow.getComputedStyle(e).backgroundColor);
      if (color.length && color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  let least = 99;
  for (const element of page.body.querySelectorAll("*")) {
    if (![...element.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const ink = light(rgb(frame.contentWindow.getComputedStyle(element).color));
    const back = light(ground(element));
    least = Math.min(least, (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05));
  }
  const root = page.documentElement;
  const dark = light(ground(page.body)) < 0.2;
  document.title = `scroll ${root.scrollWidth} of ${root.clientWidth} least ${least.toFixed(2)} dark ${dark}`;
  const seen = document.createElement("pre");
  seen.textContent = page.body.innerText;
  document.body.append(seen);
});
</script>"#;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![trial_needing(
        "publish/page",
        &["chromium", "faketime"],
        page,
    )]
}

fn page() {
    let scratch = Scratch::new();
    repository(&scratch);
    let write = ["status", "--path", "repo", "--html", "page.html"];
    updates(&scratch, write).ok();
    let html = scratch.text("page.html");
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("src="));
    for (width, scheme) in [(360, 1), (360, 0), (1280, 1), (1280, 0)] {
        let seen = look(&scratch, width, scheme, "valid");
        for text in [
            "Update repository",
            "All metadata are valid; timestamp expires in 13 days",
            "root",
            "expires in 10 years",
            "orbit",
            "osqueryd",
            "linux-arm64",
            "macos",
            "1.43.0",
            "1.44.0-rc.1",
            "stable",
            "edge",
            "minutes old",
        ] {
            assert!(
                seen.contains(text),
                "{text} is not on the page at {width}:\n{seen}"
            );
        }
    }
    // Three weeks later nobody has signed the time.
    updates(&scratch, write).at("+21d").fails(4);
    for scheme in [0, 1] {
        let seen = look(&scratch, 360, scheme, "over");
        assert!(
            seen.contains("Agents accept nothing from here: timestamp expired"),
            "{seen}"
        );
    }
}

// Some components, platforms and channels; not every one has everything.
fn repository(scratch: &Scratch) {
    init(scratch);
    scratch.write("linux", elf(62));
    scratch.write("linux-arm64", elf(183));
    scratch.write("macos", [0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1].repeat(9000));
    for (name, platform, version, tag) in [
        ("orbit", "linux", "1.43.0", "stable"),
        ("orbit", "linux-arm64", "1.43.0", "stable"),
        ("orbit", "macos", "1.43.0", "stable"),
        ("orbit", "linux", "1.44.0-rc.1", "edge"),
        (
            "osqueryd",
            "linux",
            "5.12.1-a-long-name-of-a-version",
            "stable",
        ),
    ] {
        let words = [
            "add", "--path", "repo", "--target", platform, "--name", name,
        ];
        let more = ["--platform", platform, "--version", version, "-t", tag];
        updates(scratch, words.into_iter().chain(more)).ok();
    }
}

// The page in a frame of a width: it does not scroll, can be read, and shows these words.
fn look(scratch: &Scratch, width: u32, scheme: u8, state: &str) -> String {
    let frame = format!(
        "<!doctype html><iframe src=page.html style=\"width:{width}px;height:1400px;border:0\"></iframe>{LOOK}"
    );
    scratch.write("frame.html", frame);
    let seen = browse(scratch, "frame.html", scheme, &["--dump-dom"]);
    let (_, title) = seen.split_once("<title>").expect("a title");
    let (title, _) = title.split_once('<').unwrap();
    let words: Vec<&str> = title.split(' ').collect();
    let number = |at: usize| words[at].parse::<f64>().unwrap();
    assert_eq!(number(1), number(3), "scrolls at {width}: {title}");
    assert!(number(5) >= 4.5, "contrast at {width}: {title}");
    assert_eq!(words[7] == "true", scheme == 0, "{title}");
    // For people: FLEETPACK_TEST_PICTURES is a folder that gets the screenshots.
    if let Some(folder) = std::env::var_os("FLEETPACK_TEST_PICTURES") {
        let picture = std::path::Path::new(&folder).join(format!("{state}-{width}-{scheme}.png"));
        let picture = format!("--screenshot={}", picture.display());
        browse(
            scratch,
            "frame.html",
            scheme,
            &[&picture, "--window-size=1300,1450"],
        );
    }
    let (_, text) = seen.split_once("<pre>").expect("the page's words");
    text.to_owned()
}

fn browse(scratch: &Scratch, file: &str, scheme: u8, more: &[&str]) -> String {
    let url = format!("file://{}", scratch.join(file).display());
    let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--enable-logging=stderr",
        "--virtual-time-budget=3000",
        &scheme,
    ];
    let args = flags.iter().chain(more).copied().chain([url.as_str()]);
    let ran = scratch.tool("chromium", args).ok();
    assert!(!ran.stderr.contains(":CONSOLE"), "{}", ran.stderr);
    ran.text().to_owned()
}
