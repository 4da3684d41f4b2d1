//! Lengths and places in texts, counted in UTF-16 code units as .NET counts them.

/// How long a text is.
pub(crate) fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// Returns the part of a text that begins at `start` and has `length` units, or what there is of it. A half of a pair is no character,
/// and becomes U+FFFD.
pub(super) fn part(text: &str, start: usize, length: usize) -> String {
    let units: Vec<u16> = text.encode_utf16().skip(start).take(length).collect();
    String::from_utf16_lossy(&units)
}
