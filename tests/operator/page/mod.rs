//! The page as an operator sees it: a real browser, a real memcached, and two
//! Pythons' traffic.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod browser;
mod screenshots;

use crate::support::toml::Toml;
use crate::support::{FENCE, FENCE_REPLY, Memcached, Picklegate, connect, free_addr, roundtrip};
use browser::Page;

/// `{}` by protocol 4, which Python 2 cannot load.
const PICKLE4: &[u8] = b"\x80\x04}\x94.";

/// All that a scenario needs.
struct Rig {
    page: Page,
    gate: Picklegate,
    memcached: Memcached,
    py2: String,
    py3: String,
    admin: String,
}

impl Rig {
    /// Serves by one rule; `None` without a browser.
    fn start(rule: &str) -> Option<Self> {
        if !browser::is_there() {
            return None;
        }
        let page = Page::start();
        let memcached = Memcached::start();
        let [py2, py3, admin] = std::array::from_fn(|_| free_addr());
        let toml = toml(&[&py2, &py3, &admin], &memcached, rule);
        let gate = Picklegate::with_config(&toml);
        Some(Self {
            page,
            gate,
            memcached,
            py2,
            py3,
            admin,
        })
    }

    fn open(&self) {
        self.page.open(&format!("http://{}/", self.admin));
    }

    /// Changes the configuration, as an operator does.
    fn reconfigure(&self, rule: &str) {
        let toml = toml(&[&self.py2, &self.py3, &self.admin], &self.memcached, rule);
        std::fs::write(self.gate.config_file(), toml).expect("it was written before");
    }

    /// Python 3 stores what Python 2 then asks for.
    fn cross(&self, key: &str) {
        let head = format!("set {key} 1 0 {}\r\n", PICKLE4.len());
        let set = [head.as_bytes(), PICKLE4, b"\r\n"].concat();
        roundtrip(&connect(&self.py3), &set, b"STORED\r\n");
        let get = format!("get {key}\r\n");
        let found = roundtrip(&connect(&self.py3), get.as_bytes(), b"END\r\n");
        assert!(found.starts_with(b"VALUE"));
        let missed = roundtrip(&connect(&self.py2), get.as_bytes(), b"END\r\n");
        assert_eq!(missed, b"END\r\n");
    }

    /// Nothing went wrong in the page, and it asked nobody else.
    fn is_sound(&self) {
        assert_eq!(self.page.complaints(), Vec::<String>::new());
        let origin = format!("http://{}/", self.admin);
        for url in self.page.requested() {
            assert!(url.starts_with(&origin), "{url}");
        }
    }
}

fn toml([py2, py3, admin]: &[&str; 3], memcached: &Memcached, rule: &str) -> String {
    Toml::new(&[memcached.addr()])
        .rule(rule)
        .listener(py2, "python/2.7")
        .listener(py3, "python/3.11")
        .admin(admin)
        .to_string()
}

#[test]
fn the_matrix_shows_what_was_hidden_and_what_was_hit() {
    let Some(rig) = Rig::start("mode = \"guard\"") else {
        return;
    };
    rig.open();
    let verdict = rig.page.text("#verdict");
    assert!(verdict.contains("Nothing to judge by"), "{verdict}");
    for key in ["a", "b", "c"] {
        rig.cross(key);
    }
    let cool = "document.querySelector('td[data-writer=\"python/3\"][data-reader=py3]')\
                ?.style.background.includes('--cool')";
    rig.page.await_that(cool);
    let count = |reader: &str, action: &str| {
        format!(
            "document.querySelector('td[data-writer=\"python/3\"][data-reader={reader}] \
             [data-action={action}] dd')?.textContent === '3'"
        )
    };
    rig.page.await_that(&count("py2", "hidden"));
    rig.page.await_that(&count("py3", "served"));
    let hits = |namespace: &str| {
        let selector = format!("#namespaces tr[data-key={namespace}] td:last-child span");
        rig.page.text(&selector)
    };
    assert_eq!((hits("py2"), hits("py3")), ("0 %".into(), "100 %".into()));
    assert_eq!(rig.page.text("#stages [aria-current]"), "guard");
    assert_eq!(
        rig.page.text("#verdict"),
        "Look before you go on: unloadable reads hidden"
    );
    rig.is_sound();
}

#[test]
fn reloads_show_without_reloading_the_page() {
    let Some(rig) = Rig::start("mode = \"isolate\"\nrollout = 10") else {
        return;
    };
    rig.open();
    rig.page
        .eval("window.mark = 1; document.querySelector('#pause').focus()");
    assert_eq!(rig.page.text("#stages [aria-current]"), "isolate 10 %");

    rig.reconfigure("mode = \"isolate\"\nrollout = 25");
    rig.page
        .await_that("document.querySelector('#rules .fill').style.width === '25%'");
    assert_eq!(rig.page.text("#stages [aria-current]"), "isolate 25 %");

    rig.reconfigure("mode = \"insolate\"\nrollout = 250");
    rig.page
        .await_that("!document.querySelector('#failure').hidden");
    let errors = rig.page.text("#failure ol");
    assert!(errors.contains("insolate"), "{errors}");
    assert!(errors.contains("rollout"), "{errors}");
    let verdict = rig.page.text("#verdict");
    assert!(verdict.starts_with("Do not go on: "), "{verdict}");

    rig.reconfigure("mode = \"isolate\"\nrollout = 50");
    rig.page
        .await_that("document.querySelector('#failure').hidden");
    let kept = "[window.mark, document.activeElement.id]";
    assert_eq!(rig.page.eval(kept), json!([1, "pause"]));
    rig.is_sound();
}

#[test]
fn a_split_counter_stands_against_going_on() {
    let Some(rig) = Rig::start("mode = \"isolate\"") else {
        return;
    };
    rig.open();
    let py2 = connect(&rig.py2);
    roundtrip(&py2, b"set n 0 0 1\r\n1\r\n", b"STORED\r\n");
    roundtrip(&py2, b"incr n 1\r\n", b"2\r\n");
    rig.page
        .await_that("document.querySelector('#verdict').textContent.startsWith('Do not go on')");
    assert_eq!(
        rig.page.text("#verdict"),
        "Do not go on: suspected split counters"
    );
    rig.is_sound();
}

#[test]
fn a_quiet_sidecar_may_go_on_and_one_that_is_gone_is_told() {
    let Some(rig) = Rig::start("mode = \"guard\"") else {
        return;
    };
    rig.open();
    roundtrip(&connect(&rig.py2), b"get n\r\n", b"END\r\n");
    let says =
        |words: &str| format!("document.querySelector('#verdict').textContent === '{words}'");
    rig.page
        .await_that(&says("Nothing stands against going on"));
    rig.gate.terminate();
    rig.page
        .await_that(&says("This sidecar does not answer: what is below is old"));
}

#[test]
fn what_was_not_looked_at_is_neither_green_nor_a_reason_to_go_on() {
    let Some(rig) = Rig::start("mode = \"guard\"\nsniff = \"header\"") else {
        return;
    };
    rig.open();
    let says =
        |words: &str| format!("document.querySelector('#verdict').textContent === '{words}'");
    let own = || {
        let head = format!("set k 1 0 {}\r\n", PICKLE4.len());
        let set = [head.as_bytes(), PICKLE4, b"\r\n"].concat();
        roundtrip(&connect(&rig.py3), &set, b"STORED\r\n");
        let found = roundtrip(&connect(&rig.py3), b"get k\r\n", b"END\r\n");
        assert!(found.starts_with(b"VALUE"));
    };
    let cell = "td[data-writer=\"python/3\"][data-reader=py3]";
    let background = || {
        rig.page.eval(&format!(
            "document.querySelector('{cell}').style.background !== ''"
        ))
    };
    own();
    rig.page.await_that(&says(
        "Look before you go on: reads not looked at, rules that do not look at whole values, \
         the advice about key families",
    ));
    assert_eq!(
        rig.page
            .text(&format!("{cell} [data-verdict=not_looked_at] dd")),
        "1"
    );
    assert_eq!(background(), json!(false));
    let rules = rig.page.text("#rules tbody");
    assert!(
        rules.contains("what values hold is not looked at"),
        "{rules}"
    );
    // Once the whole value is looked at, what comes from then on can be told.
    rig.reconfigure("mode = \"guard\"");
    rig.page
        .await_that("document.querySelector('#rules tbody').textContent.includes('sniff full')");
    rig.open();
    own();
    rig.page.await_that(&format!(
        "document.querySelector('{cell} [data-action=served] dd')?.textContent === '2'"
    ));
    assert_eq!(
        background(),
        json!(false),
        "one of the two is still not known"
    );
    rig.is_sound();
}

#[test]
fn the_page_counts_as_prometheus_does() {
    let Some(rig) = Rig::start("mode = \"guard\"") else {
        return;
    };
    rig.open();
    let parsed = r#"parseMetrics('# HELP a b\na_total{x="q\\"\\\\,}",y="1"} 3\nb 4\n')
        .map(({ name, labels, value }) => [name, labels, value])"#;
    assert_eq!(
        rig.page.eval(parsed),
        json!([["a_total", {"x": "q\"\\,}", "y": "1"}, 3], ["b", {}, 4]])
    );
    // 4 of 8 are within 1, 8 within 2: half is 1, three quarters 1.5.
    let quantiles = "[0.5, 0.75].map((q) => quantile(q, [['+Inf', 8], ['2', 8], ['1', 4]]\
        .map(([le, value]) => ({ labels: { le }, value })), (bucket) => bucket.value))";
    assert_eq!(rig.page.eval(quantiles), json!([1, 1.5]));
    // From 5 to 7, then a start from zero to 3.
    let risen = "(() => { const s = new Store(); \
        [5, 7, 3].forEach((n, at) => s.take(`picklegate_a ${n}`, at)); \
        return [s.sum('a'), s.sum('a', {}, 'opened')]; })()";
    assert_eq!(rig.page.eval(risen), json!([3, 5]));
    rig.is_sound();
}

#[test]
fn it_fits_a_phone_and_the_dark() {
    let Some(rig) = Rig::start("mode = \"guard\"") else {
        return;
    };
    rig.page.before_each_page(FAMILIES);
    rig.page.resize(360, 740, 2);
    rig.cross("a");
    rig.open();
    let width = "document.documentElement.scrollWidth";
    assert_eq!(rig.page.eval(width), json!(360));

    let colors = "['background-color', 'color'].map((name) => \
                  getComputedStyle(document.body).getPropertyValue(name))";
    rig.page.prefer("light");
    let light = rig.page.eval(colors);
    rig.page.prefer("dark");
    let dark = rig.page.eval(colors);
    assert_ne!(light[0], dark[0]);
    assert_ne!(light[1], dark[1]);
    for scheme in ["light", "dark"] {
        rig.page.prefer(scheme);
        assert_eq!(rig.page.eval(TOO_FAINT), json!([]), "{scheme}");
    }
    rig.is_sound();
}

#[test]
fn tab_reaches_every_control() {
    let Some(rig) = Rig::start("mode = \"guard\"") else {
        return;
    };
    rig.page.before_each_page(FAMILIES);
    rig.page.resize(360, 740, 1);
    rig.open();
    let controls = "[...document.querySelectorAll('a[href], button, [tabindex=\"0\"]')]\
                    .filter((e) => e.checkVisibility()).map((e, at) => (e.dataset.tab = `${at}`))";
    let controls = rig.page.eval(controls);
    let controls = controls.as_array().expect("a list");
    let mut reached = BTreeSet::new();
    for _ in 0..=controls.len() {
        rig.page.press("Tab");
        let focused = rig
            .page
            .eval("document.activeElement.dataset.tab ?? 'nothing'");
        reached.insert(focused.to_string());
    }
    for control in controls {
        assert!(
            reached.contains(&control.to_string()),
            "{control}: {reached:?}"
        );
    }
    rig.page.eval("document.querySelector('#pause').focus()");
    rig.page.press("Enter");
    assert_eq!(rig.page.text("#pause"), "Resume");
    rig.page.eval("document.querySelector('#copy').focus()");
    rig.page.press("Enter");
    rig.page
        .await_that("document.querySelector('#copied').textContent === 'copied'");
    rig.is_sound();
}

#[test]
fn names_that_clients_choose_stay_text() {
    let off = "mode = \"guard\"\n[families]\ntrack = false";
    let Some(rig) = Rig::start(off) else {
        return;
    };
    rig.open();
    assert_eq!(
        rig.page
            .eval("document.querySelector('#families').checkVisibility()"),
        json!(false)
    );
    rig.page.before_each_page(FAMILIES);
    rig.open();
    let family = rig.page.text("#families tbody th");
    assert_eq!(family, "<img src=x onerror=alert(1)>");
    let made = "document.querySelectorAll('#families img, #families b, #families script').length";
    assert_eq!(rig.page.eval(made), json!(0));
    assert_eq!(rig.page.text("#reasons"), "<b>locks</b>");
    let row = rig.page.text("#families tbody");
    let looks = "loadable ×3, protocol ×1, not understood: <u>broken</u> ×2, not looked at ×7";
    assert!(row.contains(looks), "{row}");
    assert!(rig.page.text("#toml").contains("prefix = \"<script>\""));
    rig.is_sound();
}

#[test]
fn families_come_with_the_advice_about_them() {
    let Some(rig) = Rig::start("mode = \"guard\"") else {
        return;
    };
    let client = connect(&rig.py2);
    roundtrip(&client, b"set <b>hits/1 0 0 1\r\n1\r\n", b"STORED\r\n");
    roundtrip(&client, b"incr <b>hits/1 1\r\n", b"2\r\n");
    rig.cross("user:1");
    rig.open();
    let family = |name: &str| {
        format!(
            "[...document.querySelectorAll('#families tbody tr')]\
             .find((row) => row.querySelector('th').textContent === '{name}')?.textContent"
        )
    };
    rig.page
        .await_that(&format!("{}?.includes('share')", family("<b>hits/")));
    let user = rig.page.eval(&family("user:"));
    assert!(user.to_string().contains("isolate"), "{user}");
    let told = rig.page.text("#reasons");
    assert!(told.contains("used once as a counter"), "{told}");
    let toml = rig.page.text("#toml");
    assert!(
        toml.contains("prefix = \"<b>hits/\"\nmode = \"shared\""),
        "{toml}"
    );
    rig.is_sound();
}

/// Head and body of what the admin address answers.
fn ask_admin(admin: &str, path: &str) -> (String, String) {
    let mut stream = connect(admin);
    let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it is UTF-8");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

#[test]
fn status_says_the_rules_and_counts_who_was_admitted() {
    let memcached = Memcached::start();
    let [py2, py3, admin] = std::array::from_fn(|_| free_addr());
    let rule = "mode = \"isolate\"\nrollout = 25\nsniff = \"full\"";
    let _gate = Picklegate::with_config(toml(&[&py2, &py3, &admin], &memcached, rule));
    let clients = [connect(&py2), connect(&py2)];
    for client in &clients {
        roundtrip(client, FENCE, FENCE_REPLY);
    }
    let ask = || -> Value {
        let (_, body) = ask_admin(&admin, "/status");
        serde_json::from_str(&body).expect("it is JSON")
    };
    // Whoever looked whether it listens goes within moments.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut status = ask();
    while status["connections"] != json!(2) && Instant::now() < deadline {
        status = ask();
    }
    let rule = json!({
        "prefix": "", "mode": "isolate", "rollout": 25, "sniff": "full",
        "on_unloadable_read": "miss", "on_unknown_read": "serve",
        "on_unloadable_write": "accept", "on_unknown_write": "accept",
        "on_upstream_failure": "miss", "coherence": "fill-aware", "read_through": false,
        "globals": "any", "py2_str": "text", "blind": false,
    });
    assert_eq!(status["rules"], json!([rule]));
    assert_eq!(status["connections"], json!(2));
    let admitted = json!({
        "listener": py2, "runtime": "python/2.7", "told_by": "listener",
        "namespace": "py2", "refused": false, "connections": 2,
    });
    assert_eq!(status["admitted"], json!([admitted]));
    assert_eq!(status["connected"][1]["runtime"], json!("python/2.7"));
    assert!(status["started_at"].as_u64() > Some(0));
}

#[test]
fn the_page_may_load_nothing_from_elsewhere() {
    let memcached = Memcached::start();
    let [py2, py3, admin] = std::array::from_fn(|_| free_addr());
    let toml = toml(&[&py2, &py3, &admin], &memcached, "mode = \"guard\"");
    let _gate = Picklegate::with_config(&toml);
    for path in ["/", "/page.css", "/page.js", "/icon.svg"] {
        let (head, body) = ask_admin(&admin, path);
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        assert!(head.contains("content-security-policy: default-src 'none'; "));
        assert!(!head.contains("unsafe"));
        assert!(!body.contains("https:"), "{path}");
        for way in ["innerHTML", "outerHTML", "insertAdjacent", "document.write"] {
            assert!(!body.contains(way), "{path}: {way}");
        }
    }
}

/// Answers `/families` in the server's place.
const FAMILIES: &str = r#"(() => {
const real = window.fetch;
const families = { families: [{ family: "<img src=x onerror=alert(1)>", shape: "ends", starts: ["<img"], more_starts: false, reads: 4, writes: 2, hits: 3, misses: 1,
  protocols: { 4: 2 }, writers: { py3: 2 }, readers: { py2: 4 }, loadable: 3, unloadable: { protocol: 1 }, unknown: { "<u>broken</u>": 2 }, not_looked_at: 7,
  globals: ["<b>shop.models.Cart</b>", "datetime.datetime"], counters: 1, locks: 0, unheld: 1, advice: "isolate", why: "<i>both write</i>" }],
  go: false, reasons: ["<b>locks</b>"], toml: "[[rules]]\nprefix = \"<script>\"\nmode = \"isolate\"\n" };
window.fetch = (path, ...rest) => path === "/families" ? Promise.resolve(Response.json(families)) : real(path, ...rest);
})()"#;

/// Texts with less contrast than 4.5:1, as WCAG counts it.
const TOO_FAINT: &str = r#"(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (...colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest(".hidden, .skip")) continue;
    const grounds = [];
    let faded = 1;
    for (let at = element; at; at = at.parentElement) {
      grounds.unshift(getComputedStyle(at).backgroundColor);
      faded *= Number(getComputedStyle(at).opacity);
    }
    const [r, g, b] = paint(getComputedStyle(element).color);
    const ground = paint(...grounds);
    const ink = paint(...grounds, `rgba(${r}, ${g}, ${b}, ${faded})`);
    const [high, low] = [light(ink), light(ground)].sort((x, y) => y - x);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.push(`${element.textContent}: ${contrast.toFixed(2)}`);
  }
  return found;
})()"#;
