//! What the contract says of a method.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// What matters of a method for calling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Method {
    /// The reply is a stream: it has no deadline, and is not repeated.
    pub(crate) streams: bool,
    /// Calling it twice does what calling it once does, whatever the request says.
    pub(crate) idempotent: bool,
}

static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    // The set is compiled in and decoded in a test; without it every method is taken for the most careful kind.
    let contract = FileDescriptorSet::decode(muster_proto::FILE_DESCRIPTOR_SET).unwrap_or_default();
    contract.file.iter().flat_map(of_file).collect()
});

/// What the contract says of the method at a path; careful where it says nothing.
pub(crate) fn at(path: &str) -> Method {
    METHODS.get(path).copied().unwrap_or(Method { streams: true, idempotent: false })
}

fn of_file(file: &prost_types::FileDescriptorProto) -> impl Iterator<Item = (String, Method)> {
    file.service.iter().flat_map(|service| {
        service.method.iter().map(|method| {
            let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
            let streams = method.server_streaming() || method.client_streaming();
            (path, Method { streams, idempotent: is_idempotent(method.name()) })
        })
    })
}

/// Reads, and the device calls that the contract calls idempotent. A mutation is when it names its request: then its
/// caller says so with [`crate::Idempotent`].
fn is_idempotent(name: &str) -> bool {
    name.starts_with("Get")
        || name.starts_with("List")
        || matches!(
            name,
            "CheckIn"
                | "Onboard"
                | "ReportFacts"
                | "ReportStatus"
                | "EstablishTrust"
                | "IdentifyDevice"
                | "ActivateCertificate"
                | "ConfirmOffboarding"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_says_which_methods_stream_and_which_repeat() {
        let kind = |streams, idempotent| Method { streams, idempotent };
        assert_eq!(at("/muster.log.v1.LogService/Tail"), kind(true, false));
        assert_eq!(at("/muster.log.v1.LogService/GetHead"), kind(false, true));
        assert_eq!(at("/muster.policy.v1.DevicePolicyService/CheckIn"), kind(false, true));
        assert_eq!(at("/muster.policy.v1.PolicyService/CreatePolicy"), kind(false, false));
        assert_eq!(at("/other/Method"), kind(true, false));
    }
}
