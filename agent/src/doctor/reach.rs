//! Names and connections.

use std::net::SocketAddr;
use std::time::Duration;

use muster_types::EnrollmentCode;
use tokio::net::TcpStream;

use super::{Finding, Target, remedy};

/// How long a name may take to resolve.
const RESOLVE_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long connecting to one address may take.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Finds the addresses of the server.
pub(super) async fn resolve(target: &Target) -> (Finding, Vec<SocketAddr>) {
    if let Some(ip) = target.address() {
        return (Finding::ok("dns", format!("{ip} is an address already")), vec![(ip, target.port).into()]);
    }
    let lookup = tokio::net::lookup_host((target.host.as_str(), target.port));
    let problem = match tokio::time::timeout(RESOLVE_WAIT_MAX, lookup).await {
        Ok(Ok(found)) => {
            let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
            if !addresses.is_empty() {
                let shown: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
                return (Finding::ok("dns", format!("{} is {}", target.host, shown.join(", "))), addresses);
            }
            "it has no address".to_owned()
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", RESOLVE_WAIT_MAX.as_secs()),
    };
    let seen = format!("the name {} does not resolve: {problem}", target.host);
    let code = EnrollmentCode::Dns;
    (Finding::failed("dns", code, seen, remedy(code)), Vec::new())
}

/// Connects to the first address that answers.
pub(super) async fn connect(target: &Target, addresses: &[SocketAddr]) -> (Finding, Option<TcpStream>) {
    if addresses.is_empty() {
        return (Finding::skipped("connectivity", "there is no address to connect to", ""), None);
    }
    let mut problems = Vec::new();
    for address in addresses {
        match tokio::time::timeout(CONNECT_WAIT_MAX, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                return (Finding::ok("connectivity", format!("{address} answers")), Some(stream));
            }
            Ok(Err(error)) => problems.push(format!("{address}: {error}")),
            Err(_) => problems.push(format!("{address}: no answer within {} s", CONNECT_WAIT_MAX.as_secs())),
        }
    }
    let seen = format!("{} cannot be reached: {}", target.url, problems.join("; "));
    let code = EnrollmentCode::Connectivity;
    (Finding::failed("connectivity", code, seen, remedy(code)), None)
}
