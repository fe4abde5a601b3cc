//! Numbers as text: exact both ways.

use std::fmt::Write;

use half::f16;

/// Writes a value so that reading it gives the same bits: as a decimal where that is short and
/// exact, else in hexadecimal (`-0x1.8p-3`).
pub(super) fn write_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("nan");
    } else if value.is_infinite() {
        out.push_str(if value < 0.0 { "-inf" } else { "inf" });
    } else if is_short_decimal(value) {
        // At most 7 fractional bits and 8 integer digits: the shortest decimal is the exact one.
        let _ = write!(out, "{value:?}");
    } else {
        write_hex(out, value);
    }
}

/// Whether the decimal expansion has at most seven digits behind the point and is not long before.
fn is_short_decimal(value: f64) -> bool {
    let scaled = value * 128.0;
    value.abs() < 16_777_216.0
        && scaled.trunc() == scaled
        && !(value == 0.0 && value.is_sign_negative())
}

fn write_hex(out: &mut String, value: f64) {
    let bits = value.to_bits();
    let sign = if bits >> 63 == 1 { "-" } else { "" };
    let mantissa = bits & ((1 << 52) - 1);
    let exponent = (bits >> 52 & 0x7ff) as i32;
    // fp16 and fp32 have no value that is subnormal as f64; zero is the only one left.
    if exponent == 0 && mantissa == 0 {
        let _ = write!(out, "{sign}0x0p+0");
        return;
    }
    let digits = format!("{mantissa:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    let _ = write!(out, "{sign}0x1{point}{digits}p{:+}", exponent - 1023);
}

/// A number as written: sign, digits, point, exponent, or a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number<'a> {
    Integer(i128),
    Hex(f64),
    Decimal(&'a str),
}

/// Reads the spelling of a number; `None` for anything else.
pub(super) fn read(text: &str) -> Option<Number<'_>> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => {
            return Some(Number::Hex(if negative { f64::NEG_INFINITY } else { f64::INFINITY }));
        }
        "nan" => return Some(Number::Hex(f64::NAN)),
        _ => {}
    }
    if let Some(hex) = lower.strip_prefix("0x") {
        let value = read_hex(hex)?;
        return Some(Number::Hex(if negative { -value } else { value }));
    }
    if !digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|b| b.is_ascii_digit()) {
        let value: i128 = digits.parse().ok()?;
        // "-0" is a float's business, and an integer 0 all the same.
        return Some(if negative && value == 0 {
            Number::Decimal(text)
        } else {
            Number::Integer(if negative { -value } else { value })
        });
    }
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    let sound = digits.bytes().all(plain) && text.parse::<f64>().is_ok();
    sound.then_some(Number::Decimal(text))
}

/// `1.8p-3` without sign and prefix; the exponent is optional.
fn read_hex(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.split_once('p') {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let (mut mantissa, mut scale) = (0_u64, exponent.clamp(-5000, 5000));
    let whole_digits = whole.chars().map(|c| (c, 0));
    for (c, step) in whole_digits.chain(fraction.chars().map(|c| (c, -4))) {
        let digit = c.to_digit(16)?;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
            scale += step;
        } else {
            // Past 60 bits a digit only says whether anything is left, and scales the rest.
            mantissa |= u64::from(digit != 0);
            scale += 4 + step;
        }
    }
    // In two steps, so that neither factor over- or underflows before the value does.
    let half = scale / 2;
    Some(mantissa as f64 * 2_f64.powi(half) * 2_f64.powi(scale - half))
}

impl Number<'_> {
    /// As an integer, if it is one.
    pub(super) fn integer(self) -> Option<i128> {
        match self {
            Self::Integer(value) => Some(value),
            Self::Decimal("-0") => Some(0),
            Self::Hex(value) if value.trunc() == value && value.abs() < 1e15 => Some(value as i128),
            _ => None,
        }
    }

    /// Rounded to `fp16`; `None` for a finite number that `fp16` does not reach.
    pub(super) fn fp16(self) -> Option<f16> {
        let wide = self.f64()?;
        let value = f16::from_f64(wide);
        (value.is_finite() || !wide.is_finite()).then_some(value)
    }

    /// Rounded to `fp32`; `None` for a finite number that `fp32` does not reach.
    pub(super) fn fp32(self) -> Option<f32> {
        let value = match self {
            // Directly, so that it is rounded once.
            Self::Decimal(text) => text.parse::<f32>().ok()?,
            _ => self.f64()? as f32,
        };
        let infinite = matches!(self, Self::Hex(wide) if !wide.is_finite());
        (value.is_finite() || infinite).then_some(value)
    }

    fn f64(self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(value as f64),
            Self::Hex(value) => Some(value),
            Self::Decimal(text) => text.parse::<f64>().ok().filter(|value| value.is_finite()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: f64) -> String {
        let mut out = String::new();
        write_float(&mut out, value);
        out
    }

    #[test]
    fn every_fp16_value_comes_back() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            let text = written(value.to_f64());
            let back = read(&text).and_then(Number::fp16).unwrap();
            assert!(back.to_bits() == bits || value.is_nan() && back.is_nan(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn fp32_values_come_back(bits: u32) {
            let value = f32::from_bits(bits);
            let text = written(value.into());
            let back = read(&text).and_then(Number::fp32).unwrap();
            proptest::prop_assert!(back.to_bits() == bits || value.is_nan() && back.is_nan(), "{}", text);
        }
    }

    #[test]
    fn spellings() {
        for (value, text) in [
            (0.5, "0.5"),
            (-65504.0, "-65504.0"),
            (1.0 / 768.0_f32 as f64, "0x1.5555555555555p-10"),
            (0.1_f32 as f64, "0x1.99999ap-4"),
            (-0.0, "-0x0p+0"),
        ] {
            assert_eq!(written(value), text);
        }
        for (text, value) in [
            ("0x1p-3", 0.125),
            ("-0X1.8P+1", -3.0),
            ("0x.8p0", 0.5),
            ("0x10", 16.0),
            ("1e-5", 1e-5_f32),
            ("+2", 2.0),
            (".5", 0.5),
            ("1e9999999", f32::NAN),
        ] {
            let got = read(text).and_then(Number::fp32).unwrap_or(f32::NAN);
            assert!(got == value || got.is_nan() && value.is_nan(), "{text}: {got}");
        }
        for text in ["", "-", "0x", "0xp3", "1.2.3", "0x1p", "1_000", "e", "0x1g", "--1"] {
            assert!(read(text).is_none(), "{text}");
        }
        assert!(read("70000").and_then(Number::fp16).is_none());
    }
}
