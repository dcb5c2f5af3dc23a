//! Numbers for Prometheus.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::registry::Registry;

/// The process's metrics; all parts register theirs here. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("muster"))))
    }
}

impl Metrics {
    /// Gives access to the registry, to register metrics in.
    pub fn registry<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.0.lock())
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.lock())
            .expect("writing to a string cannot fail");
        text
    }
}
