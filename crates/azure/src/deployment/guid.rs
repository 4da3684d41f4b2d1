//! Random ids in the form that Azure's tools expect.

use std::fmt::Write;

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

/// Returns a new random GUID (version 4).
pub(crate) fn guid() -> String {
    let mut bytes = random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Returns the name of an operation.
pub(crate) fn operation() -> String {
    hex(&random()[..8]).to_uppercase()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text does not fail.
        drop(write!(text, "{byte:02x}"));
        text
    })
}
