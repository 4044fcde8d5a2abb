//! Figures as people read them.
//!
//! What must stay true: a figure carries its unit; sizes are decimal (1 GB is 10⁹ bytes), as disks are sold; no control character of a
//! report, which anyone may have written, reaches a terminal.

/// `12,345`; below ten one decimal, below one two.
pub(crate) fn count(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    if size > 0.0 && size < 0.995 {
        return format!("{value:.2}");
    }
    if size < 9.95 && size.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{size:.0}");
    let mut out = String::new();
    if value < 0.0 {
        out.push('-');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Microseconds as `850 µs`, `12.3 ms`, `1.24 s`.
pub(crate) fn latency(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e4 => format!("{:.2} ms", us / 1e3),
        us if us < 1e5 => format!("{:.1} ms", us / 1e3),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// Bytes as `850 B`, `12.3 MB`, `1.24 TB`.
pub(crate) fn bytes(bytes: f64) -> String {
    let (divisor, unit) = match bytes {
        b if b < 1e3 => (1.0, "B"),
        b if b < 1e6 => (1e3, "kB"),
        b if b < 1e9 => (1e6, "MB"),
        b if b < 1e12 => (1e9, "GB"),
        _ => (1e12, "TB"),
    };
    let value = bytes / divisor;
    if unit == "B" || value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A part as `12.3 %`, with its sign.
pub(crate) fn signed_percent(part: f64) -> String {
    format!("{:+.1} %", part * 100.0)
}

/// A text without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        for (value, text) in [(0.0, "0"), (0.314, "0.31"), (1.0, "1"), (7.28, "7.3"), (12.34, "12"), (999.0, "999"), (1_000.0, "1,000"), (-1_234_567.8, "-1,234,568"), (9.99, "10")]
        {
            assert_eq!(count(value), text);
        }
        assert_eq!(count(f64::NAN), "–");
        for (us, text) in [(850.0, "850 µs"), (1_234.0, "1.23 ms"), (12_345.0, "12.3 ms"), (253_000.0, "253 ms"), (1_240_000.0, "1.24 s")] {
            assert_eq!(latency(us), text);
        }
        for (size, text) in [(850.0, "850 B"), (12_300_000.0, "12.3 MB"), (324e6, "324 MB"), (1.24e12, "1.2 TB")] {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(signed_percent(-0.123), "-12.3 %");
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{FFFD}[2Jb\u{FFFD}");
    }
}
