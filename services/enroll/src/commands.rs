//! The only writer: load, decide, append with the expected version.

mod devices;
mod onboarding;
mod seats;
mod settings;
mod sight;
mod tokens;

use std::sync::Arc;

use muster_eventlog::command::{Repository, State};
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Actor, Context, ReadError};
use muster_telemetry::context::current_traceparent;
use muster_types::id::derive;
use muster_types::{Clock, DeviceId, RequestId, Service, StreamId, TenantId, TokenId};
use tokio::sync::Mutex;

use crate::domain::enrollment::Enrollment;
use crate::domain::onboarding_token::OnboardingToken;
use crate::domain::scope::Scope;
use crate::domain::tenant_settings::TenantSettings;

pub use devices::{DeviceOf, Outcome};
pub use onboarding::{DeviceIn, NotAdmitted, OnboardDevice, RETRY_AFTER_SECONDS, device_id};
pub use sight::{Blind, Sight};
pub use tokens::{IssueToken, token_id};

use seats::Seats;

/// Onboardings with one token wait for each other here instead of in conflicts at the log; tokens share these locks.
const TOKEN_LOCKS: usize = 64;

/// What a command of an admin brings.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who asks.
    pub actor: Actor,
    /// The request; a repeat with the same id is the same request.
    pub request: RequestId,
    /// Only say what would come of it.
    pub validate_only: bool,
}

impl Asked {
    /// Somebody asks for something to be done.
    #[must_use]
    pub const fn new(actor: Actor, request: RequestId) -> Self {
        Self { actor, request, validate_only: false }
    }
}

/// The commands of this service.
pub struct Commands {
    log: SharedLog,
    clock: Arc<dyn Clock>,
    sight: Arc<dyn Sight>,
    tokens: Repository<OnboardingToken>,
    enrollments: Repository<Enrollment>,
    settings: Repository<TenantSettings>,
    seats: Seats,
    token_locks: [Mutex<()>; TOKEN_LOCKS],
}

/// What a tenant's settings say, and which version of them.
struct TenantRules {
    scope: Arc<Scope>,
    version: u64,
}

impl Commands {
    /// Commands that write to a log and see no views.
    #[must_use]
    pub fn new(log: SharedLog, clock: Arc<dyn Clock>) -> Self {
        Self {
            log,
            clock,
            sight: Arc::new(Blind),
            tokens: Repository::default(),
            enrollments: Repository::default(),
            settings: Repository::default(),
            seats: Seats::default(),
            token_locks: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// The same commands, with views to look into.
    #[must_use]
    pub fn seeing(self, sight: Arc<dyn Sight>) -> Self {
        Self { sight, ..self }
    }

    /// Where a reader must be to see what a command came to: at its last event or, when there was nothing to do, at the
    /// end of the log.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer.
    pub async fn seen_at(&self, written: Option<u64>) -> Result<u64, ReadError> {
        match written {
            Some(position) => Ok(position),
            None => self.log.head(Service::Enroll).await,
        }
    }

    /// The newest settings that this process knows of: its own, which the view may not have yet, or those in the view,
    /// which may come from another replica.
    async fn rules(&self, tenant: TenantId) -> Result<TenantRules, ReadError> {
        let (scope, version) = self.sight.scope(tenant);
        let (own, _) = self.settings.load(&self.log, settings_stream(tenant)).await?;
        Ok(if own.version > version.0 {
            TenantRules { scope: Arc::new(own.scope), version: own.version }
        } else {
            TenantRules { scope, version: version.0 }
        })
    }

    fn context(&self, actor: Actor, request: RequestId) -> Context {
        Context {
            actor,
            time: self.clock.now(),
            correlation_id: request.uuid(),
            causation_id: None,
            traceparent: current_traceparent().map(Arc::from),
        }
    }
}

fn token_stream(tenant: TenantId, id: TokenId) -> StreamId {
    StreamId::new(tenant, OnboardingToken::AGGREGATE, id.uuid())
}

fn enrollment_stream(tenant: TenantId, id: DeviceId) -> StreamId {
    StreamId::new(tenant, Enrollment::AGGREGATE, id.uuid())
}

/// The stream of a tenant's settings, of which it has one.
#[must_use]
pub fn settings_stream(tenant: TenantId) -> StreamId {
    let id = derive("tenant-settings", &[tenant.as_str().as_bytes()]);
    StreamId::new(tenant, TenantSettings::AGGREGATE, id)
}
