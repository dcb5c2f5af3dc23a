use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_client::{Client, discover};
use muster_errors::{ErrorCode, Fault};
use muster_proto::log::v1::{GetHeadRequest, TailRequest};
use muster_runtime::{Part, Ports, Readiness, ServerConfig, ServiceParts, TaskGroup, assemble};
use muster_types::Service;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::service::Routes;

/// A service without calls whose readiness can be set.
fn mk_part(service: Service, missing: Arc<Mutex<Option<String>>>) -> Part {
    Part::new(service, move |_deps| async move {
        let readiness =
            Readiness::always().check("devices", move || missing.lock().unwrap().clone().map_or(Ok(()), Err));
        Ok::<_, Fault>(ServiceParts { service, routes: Routes::default(), readiness })
    })
}

async fn get(url: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_server_is_found_by_its_data_folder_and_tells_how_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let config = ServerConfig::local(dir.path().to_owned());
    let tasks = TaskGroup::new();
    let missing = Arc::new(Mutex::new(Some("catching up".to_owned())));
    let parts = [Service::Enroll, Service::Report].map(|service| mk_part(service, missing.clone()));
    let ports = Ports::take(&config).await.unwrap();
    let running = assemble::start(&config, ports, Vec::from(parts), &tasks).await.unwrap();

    let ready = get(&running.admin_url, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("devices: catching up"), "{ready}");
    *missing.lock().unwrap() = None;
    // What was revoked is read from the log beside.
    let ready = async { while !get(&running.admin_url, "/readyz").await.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(Duration::from_secs(10), ready).await.unwrap();
    assert!(get(&running.admin_url, "/livez").await.starts_with("HTTP/1.1 200"));

    let options = discover::admin(dir.path(), None).unwrap();
    assert_eq!(options.endpoint, running.endpoint);
    let client = Client::connect(options).unwrap();
    let head = client.log().get_head(GetHeadRequest { service: "enroll".to_owned() }).await.unwrap();
    assert_eq!(head.into_inner().position, 0);
    let tail = TailRequest { service: "report".to_owned(), follow: true, ..TailRequest::default() };
    let mut tail = client.log().tail(tail).await.unwrap().into_inner();
    assert!(get(&running.admin_url, "/metrics").await.contains("muster_calls_total{method="));

    tasks.shutdown(Duration::from_secs(10)).await.unwrap();
    assert!(tail.message().await.unwrap().is_none(), "the stream ends cleanly");
}

#[tokio::test]
async fn a_service_alone_on_the_embedded_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let part = mk_part(Service::Enroll, Arc::default());
    let config = ServerConfig::local(dir.path().to_owned());
    let failure = assemble::run_alone(config, part, TaskGroup::new()).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::ConfigInvalid);
}

#[tokio::test]
async fn a_folder_without_a_server_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let fault = discover::admin(dir.path(), None).unwrap_err();
    assert_eq!(fault.code, ErrorCode::ConfigInvalid);
    assert!(fault.message.contains("ca.pem"), "{fault}");
}
