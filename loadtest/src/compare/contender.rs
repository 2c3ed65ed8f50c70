//! The contenders: how each is configured and started, with a memcached of its own so
//! that what it makes memcached do is its own, too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use strum::{Display, IntoStaticStr, VariantArray};

use super::CompareError;
use super::process::{Spawned, find, free_port};
use crate::target::Target;

/// Longest that a process may take until it answers.
const START: Duration = Duration::from_secs(10);
/// Bound on a start under valgrind.
const START_SLOWLY: Duration = Duration::from_mins(1);

/// A way to reach memcached, in the order in which they are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub(super) enum Kind {
    Direct,
    Picklegate,
    /// Without namespaces or looking at values.
    #[strum(serialize = "picklegate shared")]
    PicklegateShared,
    /// Unix sockets on both sides.
    #[strum(serialize = "picklegate unix")]
    PicklegateUnix,
    /// Built without what counts every request.
    #[strum(serialize = "picklegate uncounted")]
    PicklegateUncounted,
    Twemproxy,
    Haproxy,
    /// memcached's own, passing on everything.
    #[strum(serialize = "memcached proxy")]
    MemcachedProxy,
    Forwarder,
}

impl Kind {
    /// The name that people use.
    pub(super) fn name(self) -> &'static str {
        self.into()
    }
}

/// The programs and the directory that contenders are made from.
#[derive(Debug)]
pub(super) struct Workshop {
    pub(super) memcached: PathBuf,
    pub(super) picklegate: PathBuf,
    /// Build of picklegate that counts nothing.
    pub(super) uncounted: Option<PathBuf>,
    /// A memcached that was built with its proxy.
    pub(super) memcached_proxy: Option<PathBuf>,
    /// The path of this program.
    pub(super) loadtest: PathBuf,
    pub(super) directory: PathBuf,
}

impl Workshop {
    fn picklegate_for(&self, kind: Kind) -> Result<&Path, CompareError> {
        match kind {
            Kind::PicklegateUncounted => self.uncounted.as_deref(),
            _ => Some(self.picklegate.as_path()),
        }
        .ok_or(CompareError::NotInstalled(kind.name()))
    }

    /// Tells whether a contender can be started.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.lacks(kind).is_none()
    }

    /// A program that a contender needs and that is not there.
    pub(super) fn lacks(&self, kind: Kind) -> Option<&'static str> {
        let (program, is_there) = match kind {
            Kind::Twemproxy => ("nutcracker", find("nutcracker").is_some()),
            Kind::Haproxy => ("haproxy", find("haproxy").is_some()),
            Kind::PicklegateUncounted => ("a build of it", self.uncounted.is_some()),
            Kind::MemcachedProxy => ("a memcached with it", self.memcached_proxy.is_some()),
            _ => return None,
        };
        (!is_there).then_some(program)
    }
}

/// A contender that runs.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) kind: Kind,
    pub(super) memcached: Spawned,
    pub(super) proxy: Option<Spawned>,
    /// The address for clients.
    pub(super) target: Target,
}

impl Contender {
    /// Starts one and waits until it answers.
    pub(super) async fn start(shop: &Workshop, kind: Kind) -> Result<Self, CompareError> {
        Self::start_under(shop, kind, None).await
    }

    /// Starts one with its proxy as the last argument of another command.
    pub(super) async fn start_under(
        shop: &Workshop,
        kind: Kind,
        command: Option<&[String]>,
    ) -> Result<Self, CompareError> {
        let (memcached, server) = start_memcached(shop, kind).await?;
        let (proxy, target) = if kind == Kind::Direct {
            (None, server)
        } else {
            let (mut proxy, target) = start_proxy(shop, kind, &server, command)?;
            let limit = if command.is_some() {
                START_SLOWLY
            } else {
                START
            };
            proxy.until_it_answers(&target, limit).await?;
            (Some(proxy), target)
        };
        Ok(Self {
            kind,
            memcached,
            proxy,
            target,
        })
    }

    /// Keeps the proxy on one CPU and memcached on another.
    pub(super) fn pin(&self, proxy: usize, memcached: usize) -> Result<(), CompareError> {
        self.memcached.pin(memcached)?;
        self.proxy
            .as_ref()
            .map_or(Ok(()), |process| process.pin(proxy))
    }
}

fn memcached_args() -> Vec<String> {
    let mut args = vec!["-t", "1", "-m", "1024", "-c", "20000"];
    if rustix::process::getuid().is_root() {
        args.extend(["-u", "root"]);
    }
    args.into_iter().map(String::from).collect()
}

async fn start_memcached(shop: &Workshop, kind: Kind) -> Result<(Spawned, Target), CompareError> {
    let mut args = memcached_args();
    let target = if kind == Kind::PicklegateUnix {
        let socket = shop.directory.join("memcached.sock");
        let socket = socket.display().to_string();
        args.extend(words(["-s", &socket]));
        target(&format!("unix:{socket}"))?
    } else {
        let port = free_port()?;
        args.extend(words(["-l", "127.0.0.1", "-p", &port.to_string()]));
        tcp(port)?
    };
    let name = format!("memcached behind {kind}");
    let mut memcached = Spawned::start(&name, &shop.memcached, args, &shop.directory)?;
    memcached.until_it_answers(&target, START).await?;
    Ok((memcached, target))
}

fn start_proxy(
    shop: &Workshop,
    kind: Kind,
    server: &Target,
    command: Option<&[String]>,
) -> Result<(Spawned, Target), CompareError> {
    let listen = if kind == Kind::PicklegateUnix {
        let socket = shop.directory.join("picklegate.sock");
        target(&format!("unix:{}", socket.display()))?
    } else {
        tcp(free_port()?)?
    };
    let file = shop
        .directory
        .join(format!("{}.conf", kind.name().replace(' ', "-")));
    let side_port = free_port()?;
    let config = file.display().to_string();
    let (program, text, args) = match kind {
        Kind::Twemproxy => {
            let port = side_port.to_string();
            let args = ["-m", "16384", "-a", "127.0.0.1", "-s", &port, "-c", &config];
            (
                installed("nutcracker")?,
                twemproxy(&listen, server),
                words(args),
            )
        }
        Kind::Haproxy => {
            let args = words(["-db", "-f", &config]);
            (installed("haproxy")?, haproxy(&listen, server), args)
        }
        Kind::MemcachedProxy => {
            let program = shop.memcached_proxy.clone();
            let program = program.ok_or(CompareError::NotInstalled(kind.name()))?;
            let mut args = memcached_args();
            let proxy_config = format!("proxy_config={config}");
            args.extend(words(["-l", &listen.to_string(), "-o", &proxy_config]));
            (program, memcached_proxy(server), args)
        }
        Kind::Forwarder => {
            let (from, to) = (listen.to_string(), server.to_string());
            let args = words(["forward", "--listen", &from, "--upstream", &to]);
            (shop.loadtest.clone(), String::new(), args)
        }
        _ => {
            let program = shop.picklegate_for(kind)?.to_owned();
            let text = picklegate(kind, &listen, server, side_port);
            (program, text, words(["serve", "--config", &config]))
        }
    };
    std::fs::write(&file, text)?;
    let (program, args) = under(command, program, args);
    let proxy = Spawned::start(kind.name(), &program, args, &shop.directory)?;
    Ok((proxy, listen))
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

/// Puts a program behind the command that runs it, if any.
fn under(
    command: Option<&[String]>,
    program: PathBuf,
    args: Vec<String>,
) -> (PathBuf, Vec<String>) {
    match command {
        Some([first, rest @ ..]) => {
            let program = program.display().to_string();
            let args = rest.iter().cloned().chain([program]).chain(args).collect();
            (first.into(), args)
        }
        _ => (program, args),
    }
}

fn picklegate(kind: Kind, listen: &Target, server: &Target, admin: u16) -> String {
    let rule = match kind {
        Kind::PicklegateShared => "mode = \"shared\"",
        // What other copies cost is counted apart: here, nobody has any.
        _ => "mode = \"isolate\"\nsniff = \"header\"\ncoherence = \"deletes\"",
    };
    format!(
        r#"[upstream]
servers = ["{server}"]

[admin]
listen = "127.0.0.1:{admin}"

[[listeners]]
listen = "{listen}"
runtime = "python/3.11"

[namespaces.py2]
runtimes = "python <3"

[namespaces.py3]
runtimes = "python >=3"

[[rules]]
prefix = ""
{rule}

[limits]
request_timeout_ms = 10000
"#
    )
}

fn twemproxy(listen: &Target, server: &Target) -> String {
    format!(
        "pool:
  listen: {listen}
  backlog: 1024
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: false
  server_connections: 1
  servers:
   - {server}:1
"
    )
}

/// Passes on all that there is, to one server.
fn memcached_proxy(server: &Target) -> String {
    let server = server.to_string();
    let (host, port) = server.rsplit_once(':').unwrap_or_default();
    format!(
        r#"function mcp_config_pools()
    return mcp.pool({{ mcp.backend("server", "{host}", "{port}") }})
end

function mcp_config_routes(pool)
    local all = mcp.funcgen_new()
    local there = all:new_handle(pool)
    all:ready({{ n = "all", f = function(context)
        return function(request) return context:enqueue_and_wait(request, there) end
    end }})
    mcp.attach(mcp.CMD_ANY_STORAGE, all)
end
"#
    )
}

fn haproxy(listen: &Target, server: &Target) -> String {
    // Without maxconn it takes what the limit on open files allows.
    format!(
        "global
  nbthread 1

defaults
  mode tcp
  timeout connect 10s
  timeout client 10m
  timeout server 10m

listen memcached
  bind {listen}
  server memcached {server}
"
    )
}

fn installed(program: &'static str) -> Result<PathBuf, CompareError> {
    find(program).ok_or(CompareError::NotInstalled(program))
}

fn tcp(port: u16) -> Result<Target, CompareError> {
    target(&format!("127.0.0.1:{port}"))
}

fn target(text: &str) -> Result<Target, CompareError> {
    text.parse().map_err(CompareError::Target)
}

/// The version that memcached says it has.
pub(super) fn memcached_version(memcached: &Path) -> Result<String, CompareError> {
    let output = std::process::Command::new(memcached).arg("-V").output();
    let output = output.map_err(|error| CompareError::Start("memcached".to_owned(), error))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
