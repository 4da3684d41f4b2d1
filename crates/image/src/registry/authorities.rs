//! The certificate authorities of this machine, without which the client library makes no client, not even for plain HTTP.

use pillion_fault::Fault;

/// Returns false on a machine without any. Looked up anew each time: they can be installed while the server runs.
pub(crate) fn are_known() -> bool {
    !rustls_native_certs::load_native_certs().certs.is_empty()
}

/// What a person is told where there are none.
pub(crate) fn missing() -> Fault {
    Fault::HostUnsupported {
        feature: "anything with registries".to_owned(),
        reason: "it has no certificate authorities to check them by".to_owned(),
        fix: "install the package `ca-certificates` and apply again".to_owned(),
    }
}
