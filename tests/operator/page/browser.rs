//! A headless Chromium and one page in it, by the `DevTools` protocol: JSON over
//! a pair of pipes, a zero byte after each message. No crate: `headless_chrome`,
//! the one that was tried, brings 63 crates that nothing else here needs, a TLS
//! stack among them.

use std::cell::{Cell, RefCell};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Bound on an answer, and on a change of the page.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time in which the browser may end by itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// File descriptors 3 and 4 are where Chromium expects the pipes.
const ON_PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// One browser at a time: they are heavy.
static ONE: Mutex<()> = Mutex::new(());

/// Whether there is a browser; prints that the test is skipped if not.
pub(crate) fn is_there() -> bool {
    let version = Command::new("chromium")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let there = version.is_ok_and(|status| status.success());
    if !there {
        eprintln!("skipped: chromium not found: run tests/setup");
    }
    there
}

/// A page; its browser ends with it.
pub(crate) struct Page {
    child: Child,
    requests: RefCell<ChildStdin>,
    messages: Receiver<Value>,
    last_id: Cell<u64>,
    session: RefCell<String>,
    /// Messages that were no answers.
    events: RefCell<Vec<Value>>,
    _profile: TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Page {
    /// Starts a browser with an empty page, which reaches loopback only.
    pub(crate) fn start() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = TempDir::new().expect("a writable temporary directory");
        let mut child = Command::new("sh")
            .args(["-c", ON_PIPES, "chromium"])
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--remote-debugging-pipe", "--no-first-run"])
            .args(["--disable-dev-shm-usage", "--disable-background-networking"])
            .args(["--hide-scrollbars", "--force-color-profile=srgb"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let requests = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("messages are JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let page = Self {
            child,
            requests: RefCell::new(requests),
            messages,
            last_id: Cell::new(0),
            session: RefCell::default(),
            events: RefCell::default(),
            _profile: profile,
            _one: one,
        };
        page.attach();
        page
    }

    fn attach(&self) {
        let target = self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = self.call(
            "Target.attachToTarget",
            &json!({ "targetId": target["targetId"], "flatten": true }),
        );
        let session = attached["sessionId"].as_str().expect("a session");
        session.clone_into(&mut self.session.borrow_mut());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
    }

    /// Calls a method of the protocol; its result.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Value {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        let mut request = json!({ "id": id, "method": method, "params": params });
        if !self.session.borrow().is_empty() {
            request["sessionId"] = json!(*self.session.borrow());
        }
        let mut requests = self.requests.borrow_mut();
        write!(requests, "{request}\0").expect("the browser runs");
        requests.flush().expect("the browser runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left);
            let mut message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] != id {
                self.events.borrow_mut().push(message);
                continue;
            }
            assert_eq!(message["error"], Value::Null, "{method}");
            return message["result"].take();
        }
    }

    /// The value of an expression in the page; promises are waited for.
    pub(crate) fn eval(&self, expression: &str) -> Value {
        let mut result = self.call(
            "Runtime.evaluate",
            &json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }),
        );
        let thrown = &result["exceptionDetails"];
        assert_eq!(*thrown, Value::Null, "{expression}");
        result["result"]["value"].take()
    }

    /// The text of the first element that a selector finds; empty if none is.
    pub(crate) fn text(&self, selector: &str) -> String {
        let found = self.eval(&format!(
            "document.querySelector({})?.textContent",
            json!(selector)
        ));
        found.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    pub(crate) fn await_that(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(expression) != json!(true) {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {expression}: {:?}; the page says:\n{}",
                self.complaints(),
                self.text("main")
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs a script before those of every page to come.
    pub(crate) fn before_each_page(&self, script: &str) {
        self.call(
            "Page.addScriptToEvaluateOnNewDocument",
            &json!({ "source": script }),
        );
    }

    /// Opens an address and waits for the first numbers.
    pub(crate) fn open(&self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
        self.await_that("document.querySelectorAll('#rules tbody tr').length > 0");
    }

    /// A screen of this many pixels, `scale` dots each.
    pub(crate) fn resize(&self, width: u32, height: u32, scale: u32) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600 }),
        );
    }

    /// Sets the reader's preference: `light` or `dark`.
    pub(crate) fn prefer(&self, scheme: &str) {
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
    }

    /// Presses and releases a key.
    pub(crate) fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            _ => panic!("no test presses {key}"),
        };
        for kind in ["keyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                &json!({
                    "type": kind, "key": key, "code": key, "text": text,
                    "windowsVirtualKeyCode": code,
                }),
            );
        }
    }

    /// A PNG of what the screen shows.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        let data = shot["data"].as_str().expect("a picture");
        base64::engine::general_purpose::STANDARD
            .decode(data)
            .expect("pictures come as base64")
    }

    /// Addresses that the page asked for.
    pub(crate) fn requested(&self) -> Vec<String> {
        let events = self.events.borrow();
        let requests = events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        requests
            .filter_map(|event| event["params"]["request"]["url"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// Complaints in the browser's console.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let events = self.events.borrow();
        let complaints = events.iter().filter(|event| {
            let params = &event["params"];
            match event["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Runtime.consoleAPICalled") => params["type"] != "log",
                Some("Log.entryAdded") => {
                    // It answers 404 where they are switched off.
                    let url = params["entry"]["url"].as_str().unwrap_or_default();
                    params["entry"]["level"] != "verbose" && !url.ends_with("/families")
                }
                _ => false,
            }
        });
        complaints.map(ToString::to_string).collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Its helper processes end with it, whichever way.
        let _ = write!(
            self.requests.borrow_mut(),
            "{}\0",
            json!({ "id": 0, "method": "Browser.close" })
        );
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
