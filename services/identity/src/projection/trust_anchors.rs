//! Authorities whose certificates prove full registrations.

use std::collections::BTreeMap;

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_pki::proof::AnchorCertificate;
use muster_types::{Aggregate, Service, TenantId, Timestamp, TrustAnchorId};

use crate::domain::trust_anchor::{Added, Event, TrustAnchor};
use crate::store::trust_anchor as store;

/// The view: all authorities that were not removed, of every tenant.
#[derive(Debug, Default)]
pub struct TrustAnchors {
    rows: BTreeMap<TrustAnchorId, AnchorRow>,
}

/// An authority.
#[derive(Debug, Clone)]
pub struct AnchorRow {
    /// The tenant that registered it.
    pub tenant: TenantId,
    /// Its id.
    pub id: TrustAnchorId,
    /// What was registered.
    pub added: Added,
    /// Its certificates, ready to be believed.
    pub certificates: Vec<AnchorCertificate>,
}

impl AnchorRow {
    /// A row. A certificate that this version cannot use, although it was checked when it came, is believed by nobody.
    #[must_use]
    pub fn new(tenant: TenantId, id: TrustAnchorId, added: Added) -> Self {
        let certificates =
            added.certificates_der.iter().filter_map(|der| AnchorCertificate::read(der).ok()).collect();
        Self { tenant, id, added, certificates }
    }

    /// When the first of its certificates ends.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.certificates.iter().map(AnchorCertificate::not_after).min()
    }
}

impl TrustAnchors {
    /// The authority of a tenant that has this name. There are few.
    #[must_use]
    pub fn named(&self, tenant: TenantId, name: &str) -> Option<TrustAnchorId> {
        let is = |row: &&AnchorRow| row.tenant == tenant && row.added.display_name == name;
        self.rows.values().find(is).map(|row| row.id)
    }

    /// One authority.
    #[must_use]
    pub fn get(&self, id: TrustAnchorId) -> Option<&AnchorRow> {
        self.rows.get(&id)
    }

    /// Every tenant's authorities, by id.
    pub fn all(&self) -> impl Iterator<Item = &AnchorRow> {
        self.rows.values()
    }
}

impl View for TrustAnchors {
    const NAME: &'static str = "trust_anchors";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.stream.aggregate != Aggregate::TrustAnchor {
            return Ok(());
        }
        let damaged = |reason| FoldError::new(event, reason);
        let Some(change) = TrustAnchor::decode(event).map_err(damaged)? else { return Ok(()) };
        let id = TrustAnchorId::from_uuid(event.stream.id);
        match change {
            Event::Added { .. } => {
                let mut anchor = TrustAnchor::default();
                anchor.evolve(&change);
                let added = anchor.added().expect("it was just added").clone();
                self.rows.insert(id, AnchorRow::new(event.stream.tenant, id, added));
            }
            Event::Removed => {
                self.rows.remove(&id);
            }
        }
        dirty.mark(store::trust_anchor_key(id));
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.rows.keys().for_each(|id| row(&store::trust_anchor_key(*id)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.rows.get(&store::trust_anchor(key)?).map(store::encode_trust_anchor)
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let id = store::trust_anchor(key).ok_or("not the key of a trust anchor")?;
        self.rows.insert(id, store::decode_trust_anchor(id, value)?);
        Ok(())
    }
}
