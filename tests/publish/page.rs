//! The status page in a browser: texts, width, contrast, light and dark.

use libtest_mimic::Trial;

use super::{begin, release};
use crate::harness::{Scratch, trial_needing};
use crate::updates::updates;

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
});
</script>"#;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![trial_needing("publish/page", &["chromium"], page)]
}

#[expect(
    clippy::too_many_lines,
    reason = "one story from its beginning to its end"
)]
fn page() {
    let scratch = Scratch::new();
    begin(&scratch);
    release(
        &scratch,
        "repo",
        "osqueryd",
        "5.12.1-a-long-name-of-a-version",
        "x",
    );
    updates(
        &scratch,
        ["status", "--path", "repo", "--html", "page.html"],
    )
    .ok();
    let html = scratch.text("page.html");
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("src="));
    for (width, scheme) in [(360, 1), (360, 0), (1280, 1), (1280, 0)] {
        let frame = format!(
            "<!doctype html><iframe src=page.html style=\"width:{width}px;height:900px;border:0\"></iframe>{LOOK}"
        );
        scratch.write("frame.html", frame);
        let seen = browse(&scratch, "frame.html", scheme, &["--dump-dom"]);
        let title = seen
            .split("<title>")
            .nth(1)
            .expect("a title")
            .split('<')
            .next()
            .unwrap();
        let words: Vec<&str> = title.split(' ').collect();
        let number = |at: usize| words[at].parse::<f64>().unwrap();
        assert_eq!(number(1), number(3), "scrolls at {width}: {title}");
        assert!(number(5) >= 4.5, "contrast at {width}: {title}");
        assert_eq!(words[7] == "true", scheme == 0, "{title}");
        let picture = format!("--screenshot=page-{width}-{scheme}.png");
        browse(
            &scratch,
            "frame.html",
            scheme,
            &[&picture, "--window-size=1300,950"],
        );
        if let Some(folder) = std::env::var_os("FLEETPACK_TEST_PICTURES") {
            let name = format!("page-{width}-{scheme}.png");
            std::fs::copy(
                scratch.join(&name),
                std::path::Path::new(&folder).join(name),
            )
            .unwrap();
        }
    }
    let dom = browse(&scratch, "page.html", 1, &["--dump-dom"]);
    for text in [
        "Update repository",
        "timestamp",
        "expires in 13 days",
        "orbit",
        "1.0.0",
        "stable",
        "osqueryd",
        "linux",
    ] {
        assert!(dom.contains(text), "{text} is not in the page");
    }
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
