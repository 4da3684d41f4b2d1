//! Chance for deployments: what `newGuid()` draws from, and the names of operations.

/// Returns 16 bytes of the kernel's randomness.
pub(crate) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            // Interrupted before the pool was ready, at the worst in the first second of a boot.
            Err(_) => std::thread::yield_now(),
        }
    }
    bytes
}

/// Returns the name of an operation.
pub(crate) fn operation() -> String {
    random()[..8].iter().map(|byte| format!("{byte:02X}")).collect()
}
