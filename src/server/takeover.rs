//! Taking over another configuration. All that may fail comes first; then the workers adopt
//! it. If a step fails, the old configuration stays in force as a whole.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::admin::status::Status;
use super::error::{ReloadError, ServeError};
use super::listen::bound::{Bound, bind, bind_error};
use super::reload;
use super::worker::address::Address;
use super::worker::{Message, Reload};
use super::{Server, loaded, warn_of};
use crate::config::{Config, ServerAddr};
use crate::embedded::Embedded;
use crate::engine::{Apart, Settings};
use crate::metrics::{self, Labels};

impl Server {
    /// Reads the file again and takes the configuration over, or keeps the old one.
    pub(super) async fn reload(&mut self, file: Option<&Path>) {
        if let Err(error) = self.try_reload(file).await {
            for line in error.to_string().lines() {
                tracing::error!("configuration not taken over: {line}");
            }
            metrics::configuration_failed();
            let failed = |status: &mut Status| status.failed(&error.to_string());
            self.status.send_modify(failed);
            return;
        }
        self.status
            .send_modify(|status| status.loaded(&self.config));
        warn_of(&self.config);
        self.publish_configuration();
        let generation = self.status.borrow().generation();
        tracing::info!(generation, "configuration taken over");
    }

    async fn try_reload(&mut self, file: Option<&Path>) -> Result<(), ReloadError> {
        let file = file.ok_or(ReloadError::NoFile)?.to_owned();
        let config = loaded(move || Config::load(&file)).await?;
        self.take_over(config).await
    }

    /// Takes another configuration over; an error leaves everything as it was.
    pub(super) async fn take_over(&mut self, config: Config) -> Result<(), ReloadError> {
        for (is_same, name) in [
            (config.workers == self.config.workers, "server.workers"),
            (
                config.reuse_port == self.config.reuse_port,
                "server.reuse_port",
            ),
            (
                config.upstream.connections == self.config.upstream.connections,
                "upstream.connections",
            ),
            (config.admin == self.config.admin, "admin.listen"),
        ] {
            if !is_same {
                return Err(ReloadError::Fixed(name));
            }
        }
        // Bound but not accepted from: the workers do not know these listeners yet.
        let mut new = Vec::new();
        for listener in &config.listeners {
            let name = &listener.admission.name;
            if self.listeners.iter().all(|bound| bound.name != *name) {
                let listening = bind(&self.passed, listener, config.reuse_port).await?;
                new.push((name.clone(), listening));
            }
        }
        self.grant(&config)?;
        self.addresses = self.addresses_of(&config).map_err(ServeError::from)?;
        // From here on nothing fails.
        let goes = |bound: &mut Bound| config.listener(&bound.name).is_none();
        // Listeners that go stop accepting before the workers forget them.
        for mut gone in self.listeners.extract_if(.., goes) {
            gone.accepting.shutdown().await;
        }
        for (name, listening) in new {
            let id = self.listener_ids.mint();
            self.listeners.push(Bound::new(id, name, listening));
        }
        let names = metrics::names(&config);
        // Until the last worker has adopted the settings, both sets of names are counted.
        self.registry
            .limit_to(metrics::names(&self.config).or(&names));
        let (settings, labels) = (self.settings(&config), self.labels(&config));
        let adopted = self.workers.iter().map(|worker| {
            let (done, adopted) = oneshot::channel();
            worker.send(Message::Reload(Box::new(Reload {
                settings: settings.clone(),
                labels: labels.clone(),
                addresses: self.addresses.clone(),
                limits: config.limits,
                done,
            })));
            adopted
        });
        for adopted in adopted.collect::<Vec<_>>() {
            // An error means that the worker ended, which the supervisor tells.
            let _ = adopted.await;
        }
        // No worker counts under the old names any more.
        self.registry.limit_to(names);
        self.config = config;
        self.accept();
        Ok(())
    }

    /// Applies a configuration's modes and groups to the socket files that stay.
    pub(super) fn grant(&self, config: &Config) -> Result<(), ServeError> {
        for bound in &self.listeners {
            let stays = config.listener(&bound.name);
            if let Some((listener, file)) = stays.zip(bound.listening.file.as_ref()) {
                let granted = file.grant(listener.access);
                granted.map_err(|source| bind_error(&listener.addr, source))?;
            }
        }
        if let Some((addr, file)) = config.admin.as_ref().zip(self.admin_file.as_ref()) {
            let granted = file.grant(config.admin_access);
            granted.map_err(|source| bind_error(addr, source))?;
        }
        Ok(())
    }

    /// Servers of a configuration, and the means to connect to each. An embedded cache that
    /// is already there is kept, with its values.
    pub(super) fn addresses_of(&self, config: &Config) -> io::Result<Vec<Arc<Address>>> {
        let address = |server: &ServerAddr| {
            let known = self.addresses.iter().find(|known| known.server == *server);
            let embedded = match (server, known) {
                (_, Some(known)) => known.embedded.clone(),
                (ServerAddr::Embedded { bytes }, None) => Some(Embedded::start(*bytes)?),
                (_, None) => None,
            };
            Ok(Arc::new(Address {
                server: server.clone(),
                embedded,
                tls: match server {
                    ServerAddr::Tls { .. } => config.upstream.tls.clone(),
                    _ => None,
                },
                names: known.map_or_else(Arc::default, |known| Arc::clone(&known.names)),
                connect_timeout: config.limits.connect_timeout,
                request_timeout: config.limits.request_timeout,
            }))
        };
        config.upstream.servers.iter().map(address).collect()
    }

    pub(super) fn settings(&self, config: &Config) -> Settings {
        let admission = |bound: &Bound| {
            let listener = config.listener(&bound.name)?;
            Some((bound.id, Arc::clone(&listener.admission)))
        };
        Settings {
            snapshot: Arc::clone(&config.snapshot),
            listeners: self.listeners.iter().filter_map(admission).collect(),
            servers: config
                .upstream
                .servers
                .iter()
                .map(ToString::to_string)
                .collect(),
            connections: config.upstream.connections,
            apart: Apart::default(),
        }
    }

    pub(super) fn labels(&self, config: &Config) -> Labels {
        let codec = &config.snapshot.codec;
        Labels {
            listeners: self.listeners.iter().map(|l| l.name.to_string()).collect(),
            spaces: codec
                .spaces()
                .map(|space| codec.name(space).to_owned())
                .collect(),
        }
    }

    pub(super) fn publish_configuration(&self) {
        let rules = self.config.snapshot.rules.iter();
        let files = &self.config.files;
        let hash = (!files.is_empty()).then(|| reload::digest(files));
        let generation = self.status.borrow().generation();
        metrics::configuration_loaded(&self.registry, generation, hash, rules);
    }
}
