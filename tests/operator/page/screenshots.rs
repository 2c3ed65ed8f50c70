//! The README's pictures, of the demo: `deploy/screenshots` runs this.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::browser::{self, Page};
use crate::support::free_addr;

/// Time for which the demo's traffic is watched: its lines are then as long as they get.
const WATCHED: Duration = Duration::from_secs(125);

/// Ended with the test, however that ends.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "makes pictures, and takes two minutes: run deploy/screenshots"]
fn of_the_demo() {
    assert!(browser::is_there());
    let admin = free_addr();
    // Its other addresses are those that the README names.
    let demo = Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .args(["demo", "--admin", &admin])
        .stdout(Stdio::null())
        .spawn();
    let _demo = Demo(demo.expect("cargo built the binary"));
    let page = Page::start();
    page.resize(1240, 1016, 1);
    page.prefer("light");
    page.open(&format!("http://{admin}/"));
    thread::sleep(WATCHED);
    take(&page, "desktop-light");
    page.resize(375, 812, 2);
    page.prefer("dark");
    take(&page, "phone-dark");
}

fn take(page: &Page, name: &str) {
    thread::sleep(Duration::from_secs(1));
    let path = format!("deploy/images/{name}.png");
    fs::write(&path, page.picture()).expect("deploy/images is there");
}
