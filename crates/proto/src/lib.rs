//! The contract as Rust: messages, clients and servers generated from `proto/` by `cargo xtask codegen`, and the
//! conversions between its common messages and `muster-types`.
//!
//! Nothing in `src/gen` is written by hand.

pub mod convert;
pub mod events;

pub use convert::Malformed;

/// The compiled contract, for gRPC reflection and tools (a `google.protobuf.FileDescriptorSet`).
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptors.bin");

macro_rules! package {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        pub mod $name {
            /// Version 1.
            #[allow(
                missing_docs,
                unreachable_pub,
                unused_qualifications,
                clippy::all,
                clippy::allow_attributes_without_reason,
                clippy::pedantic,
                clippy::wildcard_enum_match_arm,
                reason = "generated code"
            )]
            pub mod v1 {
                include!(concat!("gen/", $file));
            }
        }
    };
}

package!(
    /// The event log's envelope and `Tail`.
    log, "muster.log.v1.rs");
package!(
    /// Enrollment.
    enroll, "muster.enroll.v1.rs");
package!(
    /// Identity.
    identity, "muster.identity.v1.rs");
package!(
    /// Policy.
    policy, "muster.policy.v1.rs");
package!(
    /// Reports.
    report, "muster.report.v1.rs");
