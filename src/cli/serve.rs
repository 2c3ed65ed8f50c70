//! `serve` and `demo`: configurations that are served until a signal.

use std::env;

use tracing_subscriber::filter::LevelFilter;

use super::answer::{Failure, print, usage};
use super::args;
use super::demo::{self, Addresses};
use crate::config::Config;
use crate::log;
use crate::server::{self, Server, Signals};

/// Serves a configuration.
pub(super) fn serve(args: args::Serve) -> Result<(), Failure> {
    log_to_stderr(LevelFilter::INFO);
    let file = args.config.clone();
    let load = move || match &args.config {
        Some(path) => Config::load(path),
        None => Config::from_flags(&args.listen, &args.upstream, args.admin.as_deref()),
    };
    server::serve(load, file.as_deref()).map_err(Failure::from)
}

/// Serves the demo, and shows what it is a demo of.
pub(super) fn demo(args: &args::Demo) -> Result<(), Failure> {
    let addresses = Addresses {
        py2: &args.py2,
        py3: &args.py3,
        admin: &args.admin,
    };
    let config = Config::parse("demo", &demo::configuration(&addresses)).map_err(usage)?;
    log_to_stderr(LevelFilter::WARN);
    let ran = server::block_on(async {
        let server = Server::start(config.clone()).await?;
        let report = demo::replay(&config).await?;
        let outlook = if args.once {
            String::new()
        } else {
            demo::outlook(&addresses)
        };
        // Whoever has gone away wants no more of it.
        let _ = print(&format!("{report}{outlook}"));
        if args.once {
            server.drain().await;
            return Ok(());
        }
        let traffic = async {
            // It ends when the server does.
            let _ = demo::traffic(&config).await;
            std::future::pending::<()>().await;
        };
        let signals = Signals::listen()?;
        tokio::select! {
            ran = server.run(signals, None) => ran,
            () = traffic => unreachable!("it waits for ever"),
        }
    });
    ran.map_err(Failure::from)
}

/// Structured logs; `PICKLEGATE_LOG=debug` (or `target=level,...`) shows more.
fn log_to_stderr(level: LevelFilter) {
    log::start(level, &env::var("PICKLEGATE_LOG").unwrap_or_default());
}
