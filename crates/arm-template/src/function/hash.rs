//! Names that are made by hashing: `guid` and `uniqueString`, bit for bit as Resource Manager makes them.

use serde_json::Value;
use sha1::{Digest, Sha1};

use super::{Arguments, Function, many};
use crate::error::Result;

pub(super) const FUNCTIONS: &[Function] = &[
    many("guid", 1, |args| Ok(Value::String(guid(&args.texts()?.join("-"))))),
    many("uniqueString", 1, |args| joined(args).map(|text| Value::String(unique_string(&text)))),
];

fn joined(args: &Arguments<'_>) -> Result<String> {
    Ok(args.texts()?.join("-"))
}

/// The namespace in which Resource Manager makes its version 5 UUIDs (RFC 9562 §5.5).
const NAMESPACE: [u8; 16] = [0x11, 0xfb, 0x06, 0xfb, 0x71, 0x2d, 0x4d, 0xdd, 0x98, 0xc7, 0xe7, 0x1b, 0xbd, 0x58, 0x88, 0x30];

fn guid(name: &str) -> String {
    let digest = Sha1::new().chain_update(NAMESPACE).chain_update(name.as_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    hyphenated(bytes, 5)
}

/// Writes 16 bytes as a UUID of this version.
pub(super) fn hyphenated(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = (bytes[6] & 0x0f) | (version << 4);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

fn unique_string(text: &str) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = murmur(text.as_bytes());
    // 13 characters of 5 bits are one bit more than there is; .NET shifts zeros in.
    (0..13u32).map(|at| char::from(ALPHABET[((hash.wrapping_shl(5 * at)) >> 59) as usize & 31])).collect()
}

const C1: u32 = 0x239b_961b;
const C2: u32 = 0xab0e_9789;

fn mix1(k: u32) -> u32 {
    k.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2)
}

fn mix2(k: u32) -> u32 {
    k.wrapping_mul(C2).rotate_left(17).wrapping_mul(C1)
}

fn finish(mut h: u32) -> u32 {
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// A 64-bit relative of MurmurHash3's 32-bit platform variant: two lanes of 32 bits, seed 0.
fn murmur(bytes: &[u8]) -> u64 {
    let (mut h1, mut h2) = (0u32, 0u32);
    let word = |part: &[u8]| part.iter().rev().fold(0u32, |word, byte| (word << 8) | u32::from(*byte));
    let mut blocks = bytes.chunks_exact(8);
    for block in &mut blocks {
        h1 = (h1 ^ mix1(word(&block[..4]))).rotate_left(19).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x561c_cd1b);
        h2 = (h2 ^ mix2(word(&block[4..]))).rotate_left(13).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x0bca_a747);
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        h1 ^= mix1(word(&rest[..rest.len().min(4)]));
    }
    if rest.len() > 4 {
        h2 ^= mix2(word(&rest[4..]));
    }
    let length = bytes.len() as u32;
    h2 ^= length;
    h1 = (h1 ^ length).wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (u64::from(h2) << 32) | u64::from(h1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_strings_are_those_of_resource_manager() {
        for (text, expected) in [
            ("test", "rbgf3xv4ufgzg"),
            ("hello-world", "a7wkljktk6wne"),
            ("abc", "cgtzqvhu4i23s"),
            ("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg", "bmg7c6xu4tw46"),
            ("foo-bar-baz", "xzi4ioaxtmth4"),
        ] {
            assert_eq!(unique_string(text), expected, "{text}");
        }
    }
}
