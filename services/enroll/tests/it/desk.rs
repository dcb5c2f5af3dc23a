//! Commands with their views on a log in memory, as one replica of the service has them, without the server around.

use std::sync::Arc;
use std::time::Duration;

use muster_enroll::commands::{Asked, Commands, DeviceIn, IssueToken, OnboardDevice, token_id};
use muster_enroll::domain::enrollment::Outcome;
use muster_enroll::domain::facts::{DeviceFacts, Platform};
use muster_enroll::domain::onboarding;
use muster_enroll::domain::onboarding_token::Terms;
use muster_enroll::domain::scope::Scope;
use muster_enroll::process_manager::redecide::Redecisions;
use muster_enroll::projection::{Devices, Settings, Tokens};
use muster_enroll::queries::Queries;
use muster_eventlog::command::ExecuteError;
use muster_eventlog::kv::{Kv, MemoryKv};
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::{self, Projected, View};
use muster_eventlog::{Actor, Delivery};
use muster_proto::enroll::v1::EnrollmentStatus;
use muster_runtime::TaskGroup;
use muster_types::{Clock as _, DeviceId, Positions, RequestId, Service, SystemClock, TenantId, TokenId};
use uuid::Uuid;

pub(crate) const TENANT: TenantId = TenantId::DEFAULT;
const SECRET: [u8; 32] = [1; 32];
const DECIDED_WITHIN: Duration = Duration::from_secs(20);

pub(crate) struct Desk {
    pub(crate) log: SharedLog,
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) queries: Queries,
    pub(crate) tasks: TaskGroup,
}

impl Desk {
    pub(crate) fn on(log: &SharedLog) -> Self {
        let (kv, tasks): (Arc<dyn Kv>, _) = (Arc::new(MemoryKv::default()), TaskGroup::new());
        let devices = follow::<Devices>(log, &kv, &tasks);
        let tokens = follow::<Tokens>(log, &kv, &tasks);
        let settings = follow::<Settings>(log, &kv, &tasks);
        let queries = Queries::new(log.clone(), devices, tokens, settings);
        let commands = blind(log).seeing(Arc::new(queries.clone()));
        Self { log: log.clone(), kv, commands: Arc::new(commands), queries, tasks }
    }

    pub(crate) fn redecisions(&self) -> Redecisions {
        Redecisions::new(self.commands.clone(), self.queries.clone(), self.log.clone())
    }

    /// Changes the scope, and waits until the views show it.
    pub(crate) async fn change_scope(&self, change: impl Fn(&mut Scope)) {
        let changed = |scope: &Scope| {
            let mut scope = scope.clone();
            change(&mut scope);
            Ok(scope)
        };
        self.commands.change_scope(&asked(), TENANT, "", changed).await.expect("changed");
        self.settle().await;
    }

    /// Waits until the views show all there is.
    pub(crate) async fn settle(&self) {
        let head = self.log.head(Service::Enroll).await.expect("a log");
        self.queries.reach(&Positions::of(Service::Enroll, head)).await.expect("folded");
    }

    /// Waits until a device has this status.
    pub(crate) async fn until(&self, device: DeviceId, status: EnrollmentStatus) {
        let decided = async {
            while self.queries.device(TENANT, device).map(|device| device.status) != Some(status) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DECIDED_WITHIN, decided).await.expect("decided in time");
    }

    /// Short names of enroll's events after a position.
    pub(crate) async fn events(&self, after: u64) -> Vec<String> {
        let mut subscription = self.log.subscribe(Service::Enroll, after).await.expect("a log");
        let mut kinds = Vec::new();
        while let Some(Delivery::Events(events)) = subscription.next().await.expect("a log") {
            kinds.extend(events.iter().map(|event| event.kind.short().to_owned()));
        }
        kinds
    }
}

fn follow<V: View + Default>(log: &SharedLog, kv: &Arc<dyn Kv>, tasks: &TaskGroup) -> Projected<V> {
    let stopping = tasks.stopping().clone();
    let stopped = async move { stopping.cancelled().await };
    let (view, folding) = project::start(log.clone(), kv.clone(), V::default, stopped);
    tasks.spawn(V::NAME, folding);
    view
}

/// Commands that see no views: what they know of the settings is what the log said when they first asked.
pub(crate) fn blind(log: &SharedLog) -> Commands {
    Commands::new(log.clone(), Arc::new(SystemClock))
}

pub(crate) fn asked() -> Asked {
    Asked::new(Actor::admin("ada"), RequestId::generate())
}

/// Makes a token.
pub(crate) async fn token(commands: &Commands, n: u128, terms: Terms) -> TokenId {
    let request = RequestId::from_uuid(Uuid::from_u128(n));
    let issue = IssueToken {
        tenant: TENANT,
        request,
        secret_hash: SECRET,
        ttl: Duration::from_secs(3_600),
        terms,
        validate_only: false,
    };
    commands.issue_token(&issue, Actor::admin("ada")).await.expect("a token");
    token_id(TENANT, request)
}

pub(crate) fn uses(uses_max: u32) -> Terms {
    Terms { uses_max, ..Terms::default() }
}

/// What the `n`-th device says when it comes.
pub(crate) fn wish(token: TokenId, n: u32) -> OnboardDevice {
    let mut hardware = [7; 32];
    hardware[..4].copy_from_slice(&n.to_be_bytes());
    OnboardDevice {
        tenant: TENANT,
        device: None,
        token,
        secret_hash: SECRET,
        key_digest: hardware,
        facts: DeviceFacts::bare(Platform::Linux, hardware),
        troubles: vec![],
    }
}

/// Lets the `n`-th device come in, and be trusted if it may.
pub(crate) async fn enroll(
    commands: &Commands,
    token: TokenId,
    n: u32,
) -> Result<DeviceIn, ExecuteError<onboarding::Error>> {
    let wish = wish(token, n);
    let device = commands.onboard(&wish).await?;
    if device.outcome == Outcome::Pending {
        commands.succeed((TENANT, device.device), wish.key_digest, "spiffe://x").await.expect("trusted");
    }
    Ok(device)
}

/// The moment now, for events of others.
pub(crate) fn now() -> muster_types::Timestamp {
    SystemClock.now()
}
