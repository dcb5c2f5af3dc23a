//! One trace follows an assignment to the report it leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use muster_testkit::nats::{NatsServer, Sync};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::deployment::{muster, succeed};

/// Keeps the spans that it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes =
            request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[test]
fn one_trace_leads_from_the_assignment_to_the_report() {
    follow(&[]);
}

#[test]
fn one_trace_leads_from_the_assignment_to_the_report_across_nats() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let nats = runtime.block_on(NatsServer::start(Sync::Always)).unwrap();
    follow(&["--log", &nats.url(), "--nats-monitors", &nats.monitor_url()]);
}

fn follow(log: &[&str]) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let collector = Collector::default();
    let address = serve(&runtime, collector.clone());
    let dir = tempfile::tempdir().unwrap();
    let mut command = muster();
    command.args(["quickstart", "--exit", "-o", "json", "--listen", "127.0.0.1:0"]);
    command.args(["--otlp-endpoint", &format!("http://{address}"), "--log-filter", "info"]).args(log);
    succeed(command.arg("--data-dir").arg(dir.path().join("data")));

    let spans = collector.0.lock().unwrap();
    let mut traces: BTreeMap<&[u8], BTreeSet<&str>> = BTreeMap::new();
    for span in spans.iter() {
        let method = span.attributes.iter().find(|attribute| attribute.key == "method");
        let value = method.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
        let method = if let Some(AnyValue::StringValue(method)) = value { method } else { &span.name };
        traces.entry(&span.trace_id).or_default().insert(method);
    }
    let whole = traces.values().find(|names| names.contains("/muster.policy.v1.PolicyService/AssignPolicy"));
    let whole = whole.unwrap_or_else(|| panic!("no trace of the assignment in {traces:?}"));
    for step in [
        "/muster.policy.v1.DevicePolicyService/CheckIn",
        "/muster.report.v1.DeviceReportService/ReportStatus",
    ] {
        assert!(whole.contains(step), "{step} is not in the trace of the assignment: {whole:?}");
    }
    let linked = spans.iter().filter(|span| span.name == "fold" && !span.links.is_empty()).count();
    assert!(linked > 0, "no fold is linked to what caused it");
}

fn serve(runtime: &tokio::runtime::Runtime, collector: Collector) -> SocketAddr {
    let _entered = runtime.enter();
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    runtime.spawn(
        Server::builder().add_service(TraceServiceServer::new(collector)).serve_with_incoming(incoming),
    );
    address
}
