//! Loopback ports for processes that must be told their port before they listen.
//!
//! A port the kernel hands out and that is given back is anybody's again: the next outgoing connection may take it.
//! These lie below the ports that kernels hand out, and a lock keeps one from being given to two tests.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::ops::Range;

/// Linux hands out 32768 and above (`ip_local_port_range`), others 49152 and above (IANA).
const PORTS: Range<u16> = 20_000..32_768;

/// A free port of 127.0.0.1. While this lives, nobody else who asks here is given it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes a port that nobody listens on.
    ///
    /// # Errors
    /// When all are taken, or the folder of the locks cannot be written.
    pub fn free() -> io::Result<Self> {
        let locks = std::env::temp_dir().join("muster-test-ports");
        std::fs::create_dir_all(&locks)?;
        // Processes begin at places of their own, so that they seldom ask for the same port.
        let start = std::process::id() as usize * 16 % PORTS.len();
        for number in PORTS.skip(start).chain(PORTS.take(start)) {
            let lock = File::options().create(true).append(true).open(locks.join(number.to_string()))?;
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "every port for tests is taken"))
    }

    /// Takes several.
    ///
    /// # Errors
    /// As [`Port::free`].
    pub fn several<const N: usize>() -> io::Result<[Self; N]> {
        let ports = (0..N).map(|_| Self::free()).collect::<io::Result<Vec<_>>>()?;
        Ok(ports.try_into().expect("as many as were asked for"))
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_port_is_given_once_and_again_when_it_is_given_back() {
        let ports = Port::several::<50>().unwrap();
        let numbers: BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), ports.len());
        let first = ports[0].number();
        drop(ports);
        assert!(numbers.contains(&Port::free().unwrap().number()), "{first} and the next are free again");
    }
}
