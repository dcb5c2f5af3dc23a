//! Taking a port.

use std::io;
use std::net::SocketAddr;

use muster_errors::{ErrorCode, Fault};
use tokio::net::TcpListener;

/// A port that is taken, and not served yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Bound {
    /// The address, with the port that was given where 0 was asked for.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub(crate) fn into_listener(self) -> TcpListener {
        self.listener
    }
}

/// Takes a port.
///
/// # Errors
/// `PORT_IN_USE` when another has it; `CONFIG_INVALID` when the address is none of this machine's, or not allowed.
pub async fn bind(address: SocketAddr) -> Result<Bound, Fault> {
    let refused = |error: io::Error| {
        let (code, message) = if error.kind() == io::ErrorKind::AddrInUse {
            let message = format!("{address} is in use by another process; choose another address");
            (ErrorCode::PortInUse, message)
        } else {
            (ErrorCode::ConfigInvalid, format!("cannot listen on {address}: {error}"))
        };
        Fault::new(code, message).with("address", address)
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let local_addr = listener.local_addr().map_err(refused)?;
    Ok(Bound { listener, local_addr })
}
