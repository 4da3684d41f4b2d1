//! Random values: ids, secrets, codes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};

/// Letters that no two of look alike, and that spell no words.
const CODE: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // getrandom(2) fails only before the kernel's pool is ready, and then it waits.
    SystemRandom::new().fill(&mut bytes).expect("the kernel gives random bytes");
    bytes
}

/// Makes a random id, in the form of a UUID of version 4.
pub fn new_id() -> String {
    let mut raw: [u8; 16] = bytes();
    raw[6] = raw[6] & 0x0f | 0x40;
    raw[8] = raw[8] & 0x3f | 0x80;
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Makes a secret of 256 bits, as text that needs no quoting in a shell.
pub(crate) fn secret() -> String {
    // A leading dash would read as an option.
    format!("p{}", URL_SAFE_NO_PAD.encode(bytes::<32>()))
}

/// Makes a code that people type: eight letters, a dash in the middle.
pub(crate) fn user_code() -> String {
    // 256 is no multiple of 20: bytes beyond 240 would favour some letters.
    let mut letters = std::iter::repeat_with(bytes::<16>).flatten().filter(|byte| *byte < 240);
    let mut four =
        || -> String { letters.by_ref().take(4).map(|byte| char::from(CODE[usize::from(byte) % CODE.len()])).collect() };
    format!("{}-{}", four(), four())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_secrets_and_codes_have_their_form_and_do_not_repeat() {
        let id = new_id();
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        assert_ne!(id, new_id());
        assert_eq!(secret().len(), 44);
        assert_ne!(secret(), secret());
        let code = user_code();
        assert!(code.len() == 9 && code.as_bytes()[4] == b'-', "{code}");
    }
}
