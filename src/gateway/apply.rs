//! Applying a configuration: whole or not at all. What can fail is done first;
//! after the first swap nothing can.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Gateway;
use crate::admin::InForce;
use crate::config::{self, Complaints, Config, TlsFrom};
use crate::decode::Secrets;
use crate::deliver::Destination;

impl Gateway {
    /// Reads the file again and applies it, or keeps the one in force. `Ok` is
    /// the hash now in force.
    pub(super) async fn reload(&mut self) -> Result<String, Value> {
        self.supervisor.reloading();
        let said = self.reload_and_say().await;
        self.supervisor.reloaded(&self.house);
        said
    }

    async fn reload_and_say(&mut self) -> Result<String, Value> {
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
        self.take(config)
    }

    /// Applies what was read, unless it asks for what a reload cannot do.
    pub(super) fn take(&mut self, config: Config) -> Result<String, Value> {
        if config.print == self.fixed.print {
            // Certificates may have changed all the same.
            self.reload_certificates(&config)?;
            self.note_applied();
            return Ok(config.hash);
        }
        let fixed = config::needs_restart(&self.fixed, &config);
        if !fixed.is_empty() {
            return Err(fixed_keys(&config, &fixed));
        }
        self.reload_certificates(&config)?;
        self.apply(config);
        Ok(self.fixed.hash.clone())
    }

    fn reload_certificates(&self, config: &Config) -> Result<(), Value> {
        let (Some(tls), Some(TlsFrom::Files(files))) = (&self.certificates.tls, &config.server.tls)
        else {
            return Ok(());
        };
        tls.reload(&files.cert, &files.key).map_err(|error| {
            refused(
                &self.path,
                &format!("server.tls: {error}"),
                "the old certificate stays in force",
            )
        })
    }

    /// Swaps everything. New destinations exist before the first event can be
    /// owed to them; removed ones end after the last could be.
    fn apply(&mut self, mut config: Config) {
        let front = super::front(&mut config);
        self.watcher.set_files(config.files.clone());
        self.fixed = config;
        for destination in &self.wanted() {
            self.adopt(destination);
        }
        // In the order of their names, so that the same file does the same.
        let workers = self.house.workers.iter();
        let mut running: Vec<_> = workers.map(|worker| worker.key().clone()).collect();
        running.sort_unstable();
        for name in &running {
            if let Some(worker) = self.house.workers.get(name) {
                worker.set_drain_patience(self.fixed.limits.drain);
            }
        }
        self.house.front.store(Arc::new(front));
        let known = &self.fixed.destinations;
        running.retain(|name| !known.contains_key(name));
        for name in running {
            if let Some((name, worker)) = self.house.workers.remove(&name) {
                worker.stop();
                self.leaving.insert(name.clone());
                self.house.metrics.forget_destination(name.as_str());
            }
        }
        let front = self.house.front.load();
        let (sources, routes) = (&front.sources, front.routes.routes());
        self.house.metrics.keep_routes(|source, route| {
            sources.contains_key(source) && routes.iter().any(|one| *one.name == *route)
        });
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

    /// What is in force, always in the same order.
    pub(super) fn wanted(&self) -> Vec<Arc<Destination>> {
        let mut wanted: Vec<_> = self.fixed.destinations.values().cloned().collect();
        wanted.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        wanted
    }

    pub(super) fn start_workers(&mut self) {
        for destination in &self.wanted() {
            self.start_worker(destination);
        }
        self.settle_orphans();
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
            hosts: crate::admin::host_names(self.admin, &self.fixed.server.admin_names),
        }));
        for (name, source) in &self.fixed.sources {
            if source.auth.accepts_anybody() {
                tracing::warn!(source = %name, "auth = \"none\": anybody may post here");
            }
        }
    }
}

/// What is wrong with the files as they are now, as `check --strict --json`
/// says it.
pub(super) fn check(path: &Path) -> Value {
    match config::load(path, Secrets::Resolve) {
        Ok(config) => Complaints::from(&config).to_json(),
        Err(complaints) => complaints.to_json(),
    }
}

/// A refusal in the shape of `check --json`.
fn refused(path: &Path, message: &str, help: &str) -> Value {
    json!({"complaints": [{
        "severity": "error", "file": path.display().to_string(), "line": 1, "column": 1, "message": message, "help": help,
    }]})
}

/// One complaint for each key that a reload cannot change, where it stands.
fn fixed_keys(config: &Config, keys: &[&str]) -> Value {
    let (file, text) = config
        .texts
        .first()
        .map_or((String::new(), ""), |(file, text)| {
            (file.display().to_string(), text.as_str())
        });
    let complaints: Vec<Value> = keys
        .iter()
        .map(|key| {
            let message = format!("{key} cannot change while the gateway runs");
            let help = "put the old value back, or restart";
            json!({
                "severity": "error", "file": file, "line": line_of(text, key), "column": 1,
                "message": message, "help": help,
            })
        })
        .collect();
    json!({"complaints": complaints})
}

/// The line, from 1, where a key such as `server.listen` is written; that of
/// its table where the key was left out, else the first.
fn line_of(text: &str, key: &str) -> usize {
    let (table, name) = key.split_once('.').unwrap_or(("", key));
    let mut inside = table.is_empty();
    let mut found = 1;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            inside = header.trim_end_matches(']').trim() == table;
            if inside {
                found = index + 1;
            }
        } else if inside
            && line
                .split('=')
                .next()
                .is_some_and(|word| word.trim() == name)
        {
            return index + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn a_key_is_found_in_its_own_table() {
        let text = "[limits]\nlisten = 1\n\n[server]\nadmin = \"a\"\n listen  = \"b\"\n";
        assert_eq!(line_of(text, "server.listen"), 6);
        assert_eq!(line_of(text, "server.tls"), 4);
        assert_eq!(line_of(text, "log.retain"), 1);
    }
}
