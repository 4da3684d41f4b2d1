//! Parts of a file: one range of bytes of a GET (RFC 9110, 14).

use axum::http::{
    HeaderMap,
    header::{IF_RANGE, RANGE},
};

/// What of a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    /// From the first byte to the last, which belongs to it.
    Part {
        first: u64,
        last: u64,
    },
    /// No such part is there.
    Beyond,
}

/// Reads the headers of a request for a file of this size and version. What is no single range of bytes is not heeded.
pub(super) fn wanted(headers: &HeaderMap, size: u64, etag: &str) -> Wanted {
    let text = headers.get(RANGE).and_then(|range| range.to_str().ok()).and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = text.and_then(|text| text.split_once('-')) else { return Wanted::Whole };
    if headers.get(IF_RANGE).is_some_and(|version| version.as_bytes() != etag.as_bytes()) {
        return Wanted::Whole;
    }
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            Some(0) => Wanted::Beyond,
            Some(_) if size == 0 => Wanted::Beyond,
            Some(count) => Wanted::Part { first: size.saturating_sub(count), last: size - 1 },
            None => Wanted::Whole,
        },
        (first, last) => {
            let end = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match (number(first), end) {
                (Some(first), Some(last)) if first > last => Wanted::Whole,
                (Some(first), Some(_)) if first >= size => Wanted::Beyond,
                (Some(first), Some(last)) => Wanted::Part { first, last: last.min(size - 1) },
                (_, _) => Wanted::Whole,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_read_and_anything_else_is_not_heeded() {
        let of = |range: &str, size| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, range.parse().unwrap());
            wanted(&headers, size, "\"v\"")
        };
        assert_eq!(of("bytes=0-0", 10), Wanted::Part { first: 0, last: 0 });
        assert_eq!(of("bytes=4-", 10), Wanted::Part { first: 4, last: 9 });
        assert_eq!(of("bytes=4-99", 10), Wanted::Part { first: 4, last: 9 });
        assert_eq!(of("bytes=-3", 10), Wanted::Part { first: 7, last: 9 });
        assert_eq!(of("bytes=-30", 10), Wanted::Part { first: 0, last: 9 });
        for beyond in [of("bytes=10-", 10), of("bytes=0-", 0), of("bytes=-0", 10), of("bytes=-1", 0)] {
            assert_eq!(beyond, Wanted::Beyond);
        }
        for unheeded in ["bytes=5-2", "bytes=a-b", "bytes=0-1,3-4", "lines=1-2", "bytes=", "bytes=-"] {
            assert_eq!(of(unheeded, 10), Wanted::Whole, "{unheeded}");
        }
    }

    #[test]
    fn a_part_of_another_version_is_not_sent() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, "bytes=1-2".parse().unwrap());
        headers.insert(IF_RANGE, "\"old\"".parse().unwrap());
        assert_eq!(wanted(&headers, 10, "\"new\""), Wanted::Whole);
        assert_eq!(wanted(&headers, 10, "\"old\""), Wanted::Part { first: 1, last: 2 });
    }
}
