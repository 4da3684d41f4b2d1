//! Times as Resource Manager writes them: instants with seven digits, durations as ISO 8601.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Milliseconds since the epoch, now.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// `2026-01-02T03:04:05.6780000Z`
pub(crate) fn instant(ms: u64) -> String {
    let at = Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{at:.7}")
}

/// `PT1H2M3.456S`
pub(crate) fn duration(ms: u64) -> String {
    let (hours, minutes, seconds, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    let mut text = String::from("PT");
    if hours > 0 {
        text.push_str(&format!("{hours}H"));
    }
    if minutes > 0 {
        text.push_str(&format!("{minutes}M"));
    }
    match rest {
        0 => text.push_str(&format!("{seconds}S")),
        rest => text.push_str(&format!("{seconds}.{rest:03}S")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_the_resource_manager_writes_them() {
        assert_eq!(instant(1_767_323_045_678), "2026-01-02T03:04:05.6780000Z");
        assert_eq!(duration(0), "PT0S");
        assert_eq!(duration(1_234), "PT1.234S");
        assert_eq!(duration(3_723_040), "PT1H2M3.040S");
    }
}
