//! Counting calls: by method and code, for methods of the contract only, so that nobody can make up series.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use muster_errors::{ErrorCode, Fault};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

use crate::Metrics;

/// Number of gRPC codes.
const CODES: usize = 17;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMethod {
    method: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMethodAndCode {
    method: String,
    code: String,
}

/// From 100 µs to 6 s.
#[derive(Debug, Clone, Copy)]
struct Latency;

impl MetricConstructor<Histogram> for Latency {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.000_1, 2.5, 13))
    }
}

/// Numbers of one method; series come into being with its first call.
struct Method {
    name: String,
    by_code: [OnceLock<Counter>; CODES],
    latency: OnceLock<Histogram>,
}

/// Numbers of all methods.
pub(super) struct Calls {
    methods: HashMap<String, Method>,
    unknown: Method,
    counters: Family<ByMethodAndCode, Counter>,
    latencies: Family<ByMethod, Histogram, Latency>,
}

impl Calls {
    /// Knows the methods of the contract.
    pub(super) fn register(metrics: &Metrics) -> Result<Self, Fault> {
        let contract = FileDescriptorSet::decode(muster_proto::FILE_DESCRIPTOR_SET).map_err(|error| {
            Fault::new(ErrorCode::Internal, format!("the compiled contract cannot be read: {error}"))
        })?;
        let counters = Family::default();
        let latencies = Family::new_with_constructor(Latency);
        metrics.registry(|registry| {
            registry.register("calls", "Calls answered, by method and gRPC code", counters.clone());
            registry.register("call_seconds", "Time until a call is answered", latencies.clone());
        });
        let methods = paths(&contract).map(|path| (path.clone(), Method::new(path))).collect();
        Ok(Self { methods, unknown: Method::new("unknown".to_owned()), counters, latencies })
    }

    /// Counts a call that was answered.
    pub(super) fn count(&self, path: &str, code: Code, took: Duration) {
        let method = self.methods.get(path).unwrap_or(&self.unknown);
        method.by_code[code as usize % CODES].get_or_init(|| self.counter(&method.name, code)).inc();
        method.latency.get_or_init(|| self.latency(&method.name)).observe(took.as_secs_f64());
    }

    fn counter(&self, method: &str, code: Code) -> Counter {
        let labels = ByMethodAndCode { method: method.to_owned(), code: format!("{code:?}") };
        self.counters.get_or_create(&labels).clone()
    }

    fn latency(&self, method: &str) -> Histogram {
        self.latencies.get_or_create(&ByMethod { method: method.to_owned() }).clone()
    }
}

impl Method {
    fn new(name: String) -> Self {
        Self { name, by_code: [const { OnceLock::new() }; CODES], latency: OnceLock::new() }
    }
}

/// The path of every method, `/package.Service/Method`.
fn paths(contract: &FileDescriptorSet) -> impl Iterator<Item = String> {
    contract.file.iter().flat_map(|file| {
        file.service.iter().flat_map(|service| {
            service
                .method
                .iter()
                .map(|method| format!("/{}.{}/{}", file.package(), service.name(), method.name()))
        })
    })
}
