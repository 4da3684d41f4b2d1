//! How long to wait before trying again.

use std::time::Duration;

use crate::Retry;

/// Returns the pause before attempt `attempt` (the first retry is 1): doubling, capped, and spread by `chance` over its
/// upper half, so that many waiters do not return at once.
pub(crate) fn pause(retry: &Retry, attempt: u32, chance: u32) -> Duration {
    let doubled = retry.first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let half = doubled.min(retry.longest) / 2;
    half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

/// Returns a number for `pause`'s chance.
pub(crate) fn chance() -> u32 {
    let mut bytes = [0; 4];
    // Without randomness the pause is merely not spread.
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(_) => u32::from_ne_bytes(bytes),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread_over_their_upper_half() {
        let retry = Retry { first: Duration::from_millis(200), longest: Duration::from_secs(1), ..Retry::default() };
        assert_eq!(pause(&retry, 1, 0), Duration::from_millis(100));
        assert_eq!(pause(&retry, 1, u32::MAX), Duration::from_millis(200));
        assert_eq!(pause(&retry, 3, 0), Duration::from_millis(400));
        assert_eq!(pause(&retry, 40, u32::MAX), Duration::from_secs(1));
    }
}
