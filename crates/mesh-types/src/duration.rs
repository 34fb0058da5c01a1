//! Durations as Istio's objects write them.

use std::time::Duration;

/// Reads a duration as Go writes it: `1h`, `1.5s`, `2h45m`, `300ms`, `0`. Negative ones are `None`: nothing of ours has
/// a use for them.
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|&end| end > 0 && end <= 40)?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        nanos = nanos.checked_add(fraction(number, unit_nanos(unit)?)?)?;
        rest = tail;
    }
    if text.is_empty() {
        return None;
    }
    // Go's durations end at 2^63 - 1 nanoseconds; so do Istio's.
    i64::try_from(nanos).ok().and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos)
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    })
}

/// `number` (digits with at most one point) of `unit` nanoseconds, exactly, rounded down.
fn fraction(number: &str, unit: u128) -> Option<u128> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && decimals.is_empty()) || decimals.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(unit)?;
    let mut share = unit;
    for digit in decimals.bytes() {
        share /= 10;
        total = total.checked_add(share.checked_mul(u128::from(digit - b'0'))?)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let cases = [
            ("1s", Some(1_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("2h45m", Some(9_900_000_000_000)),
            ("300ms", Some(300_000_000)),
            ("0.000000001s", Some(1)),
            (".5m", Some(30_000_000_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1 s", None),
            ("1d", None),
            ("9999999999999h", None),
            (".s", None),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text), want.map(Duration::from_nanos), "{text:?}");
        }
    }
}
