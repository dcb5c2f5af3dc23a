//! The settings of tenants: their enforcement scopes.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_types::{Aggregate, Service, TenantId, Version};

use crate::domain::scope::Scope;
use crate::domain::tenant_settings::TenantSettings;
use crate::store::{self, Key};

/// The view. A tenant that never said anything has no row, and the default settings.
#[derive(Debug, Default)]
pub struct Settings(BTreeMap<TenantId, Kept>);

#[derive(Debug, Default)]
struct Kept {
    settings: TenantSettings,
    /// The same scope, to be handed out often.
    scope: Arc<Scope>,
}

impl From<TenantSettings> for Kept {
    fn from(settings: TenantSettings) -> Self {
        Self { scope: Arc::new(settings.scope.clone()), settings }
    }
}

impl Settings {
    /// The settings of a tenant.
    #[must_use]
    pub fn get(&self, tenant: TenantId) -> TenantSettings {
        self.0.get(&tenant).map(|kept| kept.settings.clone()).unwrap_or_default()
    }

    /// The enforcement scope of a tenant, and the version of its settings.
    #[must_use]
    pub fn scope(&self, tenant: TenantId) -> (Arc<Scope>, Version) {
        let kept = self.0.get(&tenant);
        kept.map_or_else(Default::default, |kept| (kept.scope.clone(), Version(kept.settings.version)))
    }
}

impl View for Settings {
    const NAME: &'static str = "settings";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Enroll];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.stream.aggregate != Aggregate::TenantSettings {
            return Ok(());
        }
        if let Some(change) = TenantSettings::decode(event).map_err(|reason| FoldError::new(event, reason))? {
            let mut settings = self.get(event.stream.tenant);
            settings.evolve(&change);
            self.0.insert(event.stream.tenant, settings.into());
            dirty.mark(store::settings_key(event.stream.tenant));
        }
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.0.keys().for_each(|tenant| row(&store::settings_key(*tenant)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        let Some(Key::Settings(tenant)) = store::read_key(key) else { return None };
        self.0.get(&tenant).map(|kept| store::encode_settings(&kept.settings))
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let Some(Key::Settings(tenant)) = store::read_key(key) else {
            return Err("not the key of a tenant's settings".into());
        };
        self.0.insert(tenant, store::decode_settings(value)?.into());
        Ok(())
    }
}
