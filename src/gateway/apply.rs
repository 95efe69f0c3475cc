//! Applying a configuration: whole or not at all. What can fail is done first;
//! after the first swap nothing can.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Gateway;
use crate::admin::InForce;
use crate::config::{self, Complaints, Config};
use crate::decode::Secrets;
use crate::deliver::Destination;

impl Gateway {
    /// Reads the file again and applies it, or keeps the one in force. `Ok` is
    /// the hash now in force.
    pub(super) async fn reload(&mut self) -> Result<String, Value> {
        match self.try_reload().await {
            Ok(hash) => {
                tracing::info!(hash, "config.applied");
                Ok(hash)
            }
            Err(complaints) => {
                self.house.metrics.config_last_reload_successful.set(0);
                tracing::error!(%complaints, "config.refused: the one in force stays in force");
                Err(complaints)
            }
        }
    }

    async fn try_reload(&mut self) -> Result<String, Value> {
        let path = self.path.clone();
        // Reading files and resolving secrets must not hold up the runtime.
        let loaded =
            tokio::task::spawn_blocking(move || config::load(&path, Secrets::Resolve)).await;
        let config = match loaded {
            Ok(Ok(config)) => config,
            Ok(Err(complaints)) => return Err(complaints.to_json()),
            Err(panicked) => {
                return Err(refused(
                    &self.path,
                    &format!("reading the file failed: {panicked}"),
                    "report this",
                ));
            }
        };
        if config.hash == self.fixed.hash {
            // Certificates may have changed all the same.
            self.reload_certificates()?;
            self.note_applied();
            return Ok(config.hash);
        }
        let fixed = config::needs_restart(&self.fixed, &config);
        if !fixed.is_empty() {
            let message = format!("{} cannot change while the gateway runs", fixed.join(", "));
            return Err(refused(
                &self.path,
                &message,
                "put the old value back, or restart",
            ));
        }
        self.reload_certificates()?;
        self.apply(config).await;
        Ok(self.fixed.hash.clone())
    }

    fn reload_certificates(&self) -> Result<(), Value> {
        match self.tls.as_ref().map(|tls| tls.reload()) {
            Some(Err(error)) => Err(refused(
                &self.path,
                &format!("server.tls: {error}"),
                "the old certificate stays in force",
            )),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Swaps everything. New destinations exist before the first event can be
    /// owed to them; removed ones end after the last could be.
    async fn apply(&mut self, mut config: Config) {
        let front = super::front(&mut config);
        self.watcher.set_files(config.files.clone());
        self.fixed = config;
        let wanted: Vec<Arc<Destination>> = self.fixed.destinations.values().cloned().collect();
        for destination in &wanted {
            self.adopt(destination);
        }
        self.house.front.store(Arc::new(front));
        let gone: Vec<_> = {
            let known = &self.fixed.destinations;
            self.house
                .workers
                .iter()
                .map(|worker| worker.key().clone())
                .filter(|name| !known.contains_key(name))
                .collect()
        };
        for name in gone {
            if let Some((name, worker)) = self.house.workers.remove(&name) {
                worker.stop();
                self.leaving.insert(name.clone());
                self.house.metrics.forget_destination(name.as_str());
            }
        }
        self.note_applied();
    }

    fn adopt(&mut self, destination: &Arc<Destination>) {
        let known = self
            .house
            .workers
            .get(&destination.name)
            .map(|worker| worker.destination().fingerprint);
        match known {
            // Its former self has not landed yet; it starts when that has ended.
            None if self.leaving.contains(&destination.name) => {}
            None => self.start_worker(destination),
            Some(fingerprint) if fingerprint == destination.fingerprint => {}
            Some(_) => {
                self.house
                    .log
                    .set_budget(&destination.name, destination.backlog);
                if let Some(worker) = self.house.workers.get(&destination.name) {
                    worker.adopt(Arc::clone(destination));
                }
            }
        }
    }

    pub(super) async fn start_workers(&mut self) {
        let destinations: Vec<Arc<Destination>> =
            self.fixed.destinations.values().cloned().collect();
        for destination in &destinations {
            self.start_worker(destination);
        }
        self.settle_orphans().await;
    }

    /// Shows what is in force.
    pub(super) fn note_applied(&self) {
        let (metrics, now) = (&self.house.metrics, self.house.clock.now());
        let hash = &self.fixed.hash;
        metrics.config_info.reset();
        metrics.config_info.with_label_values(&[hash]).set(1);
        metrics.config_last_reload_successful.set(1);
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds since 1970 are exact in a float for millions of years"
        )]
        metrics
            .config_last_reload_success_timestamp_seconds
            .set(now.as_millis() as f64 / 1000.0);
        let warnings = Complaints {
            complaints: self.fixed.warnings.clone(),
            texts: self.fixed.texts.clone(),
        };
        let texts = self
            .fixed
            .texts
            .iter()
            .map(|(file, text)| (file.display().to_string(), config::masked(text)))
            .collect();
        self.house.in_force.store(Arc::new(InForce {
            hash: hash.clone(),
            applied_at: now,
            texts,
            warnings: warnings.to_json(),
            admin_token: self.fixed.server.admin_token.clone(),
            hosts: crate::admin::host_names(self.admin),
        }));
        for (name, source) in &self.fixed.sources {
            if source.auth.accepts_anybody() {
                tracing::warn!(source = %name, "auth = \"none\": anybody may post here");
            }
        }
    }
}

/// A refusal in the shape of `check --json`.
fn refused(path: &Path, message: &str, help: &str) -> Value {
    json!({"complaints": [{
        "severity": "error", "file": path.display().to_string(), "line": 1, "column": 1, "message": message, "help": help,
    }]})
}
