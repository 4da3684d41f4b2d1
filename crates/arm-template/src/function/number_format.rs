//! Numbers as texts: .NET's standard and custom numeric formats, in the invariant culture.

use serde_json::Number;

/// The most digits that a format may ask for.
const MAX_DIGITS: usize = 1000;

/// A number in decimal digits.
struct Decimal {
    is_negative: bool,
    whole: String,
    fraction: String,
}

impl Decimal {
    fn of(number: &Number) -> Self {
        // Rust writes a float with the fewest digits that read back as the same, and without an exponent.
        let text = match number.as_i64() {
            Some(whole) => whole.to_string(),
            None => number.as_u64().map_or_else(|| number.as_f64().unwrap_or_default().to_string(), |whole| whole.to_string()),
        };
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        Self { is_negative, whole: whole.to_owned(), fraction: fraction.to_owned() }
    }

    /// Moves the point to the right, or to the left if negative.
    fn shifted(&self, places: isize) -> Self {
        let digits = format!("{}{}", self.whole, self.fraction);
        let point = self.whole.len() as isize + places;
        let (whole, fraction) = if point <= 0 {
            ("0".to_owned(), format!("{}{digits}", "0".repeat(point.unsigned_abs())))
        } else if point as usize >= digits.len() {
            (format!("{digits}{}", "0".repeat(point as usize - digits.len())), String::new())
        } else {
            (digits[..point as usize].to_owned(), digits[point as usize..].to_owned())
        };
        let trimmed = whole.trim_start_matches('0');
        let whole = if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() };
        Self { is_negative: self.is_negative, whole, fraction }
    }

    /// Rounds half away from zero to so many digits after the point.
    fn rounded(&self, places: usize) -> Self {
        let mut digits: Vec<u8> = self.whole.bytes().chain(self.fraction.bytes()).collect();
        let keep = self.whole.len() + places;
        let up = digits.get(keep).is_some_and(|digit| *digit >= b'5');
        digits.resize(keep, b'0');
        let mut carry = up;
        for digit in digits.iter_mut().rev() {
            if !carry {
                break;
            }
            carry = *digit == b'9';
            *digit = if carry { b'0' } else { *digit + 1 };
        }
        if carry {
            digits.insert(0, b'1');
        }
        let text: String = digits.into_iter().map(char::from).collect();
        let (whole, fraction) = text.split_at(text.len() - places);
        Self { is_negative: self.is_negative, whole: whole.to_owned(), fraction: fraction.to_owned() }
    }

    fn is_zero(&self) -> bool {
        self.whole.bytes().chain(self.fraction.bytes()).all(|digit| digit == b'0')
    }

    fn sign(&self) -> &'static str {
        if self.is_negative && !self.is_zero() { "-" } else { "" }
    }

    /// Returns the digits with one before the point, and the power of ten.
    fn scientific(&self, places: usize) -> (Self, i64) {
        if self.is_zero() {
            return (self.rounded(places), 0);
        }
        let digits = format!("{}{}", self.whole, self.fraction);
        let first = digits.find(|digit| digit != '0').unwrap_or(0);
        let exponent = self.whole.len() as i64 - 1 - first as i64;
        let one = self.shifted(-(exponent as isize)).rounded(places);
        if one.whole.len() > 1 { (one.shifted(-1).rounded(places), exponent + 1) } else { (one, exponent) }
    }
}

fn grouped(whole: &str) -> String {
    let mut made = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            made.push(',');
        }
        made.push(digit);
    }
    made
}

fn with_point(whole: &str, fraction: &str) -> String {
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// Writes a number without a format.
pub(super) fn plain(number: f64) -> String {
    let magnitude = number.abs();
    if number != 0.0 && !(1e-4..1e15).contains(&magnitude) {
        let text = format!("{number:E}");
        let (digits, exponent) = text.split_once('E').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(("+", exponent), |exponent| ("-", exponent));
        return format!("{digits}E{sign}{exponent:0>2}");
    }
    number.to_string()
}

/// Writes a number in a format; `None` if it is not one.
pub(super) fn formatted(number: &Number, format: &str) -> Option<String> {
    let mut chars = format.chars();
    let kind = chars.next()?;
    let precision = chars.as_str();
    if kind.is_ascii_alphabetic() && precision.chars().all(|c| c.is_ascii_digit()) {
        let places = match precision {
            "" => None,
            digits => Some(digits.parse::<usize>().ok().filter(|places| *places <= MAX_DIGITS)?),
        };
        return standard(number, kind, places);
    }
    (format.len() <= MAX_DIGITS).then(|| custom(&Decimal::of(number), format))
}

fn standard(number: &Number, kind: char, places: Option<usize>) -> Option<String> {
    let decimal = Decimal::of(number);
    let fixed = |decimal: &Decimal, places: usize, group: bool| {
        let rounded = decimal.rounded(places);
        let whole = if group { grouped(&rounded.whole) } else { rounded.whole.clone() };
        (rounded.sign(), with_point(&whole, &rounded.fraction))
    };
    Some(match kind.to_ascii_uppercase() {
        'D' => {
            let whole = number.as_i64()?;
            format!("{}{:0>width$}", if whole < 0 { "-" } else { "" }, whole.unsigned_abs(), width = places.unwrap_or(0))
        }
        'F' => {
            let (sign, text) = fixed(&decimal, places.unwrap_or(2), false);
            format!("{sign}{text}")
        }
        'N' => {
            let (sign, text) = fixed(&decimal, places.unwrap_or(2), true);
            format!("{sign}{text}")
        }
        'C' => match fixed(&decimal, places.unwrap_or(2), true) {
            ("", text) => format!("¤{text}"),
            (_, text) => format!("(¤{text})"),
        },
        'P' => {
            let (sign, text) = fixed(&decimal.shifted(2), places.unwrap_or(2), true);
            format!("{sign}{text} %")
        }
        'E' => {
            let (one, exponent) = decimal.scientific(places.unwrap_or(6));
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}{}{kind}{sign}{:03}", one.sign(), with_point(&one.whole, &one.fraction), exponent.abs())
        }
        'G' | 'R' => match places.filter(|places| *places > 0) {
            None => number.as_i64().map_or_else(|| plain(number.as_f64().unwrap_or_default()), |whole| whole.to_string()),
            Some(places) => {
                let (one, exponent) = decimal.scientific(places - 1);
                if exponent <= -5 || exponent >= places as i64 {
                    let sign = if exponent < 0 { '-' } else { '+' };
                    let mantissa = with_point(&one.whole, one.fraction.trim_end_matches('0'));
                    format!("{}{mantissa}E{sign}{:02}", one.sign(), exponent.abs())
                } else {
                    let shown = one.shifted(exponent as isize);
                    format!("{}{}", shown.sign(), with_point(&shown.whole, shown.fraction.trim_end_matches('0')))
                }
            }
        },
        'X' => {
            let whole = number.as_i64()?;
            let digits = if kind == 'X' { format!("{whole:X}") } else { format!("{whole:x}") };
            format!("{digits:0>width$}", width = places.unwrap_or(0))
        }
        'B' => format!("{:0>width$}", format!("{:b}", number.as_i64()?), width = places.unwrap_or(0)),
        _ => return None,
    })
}

/// Custom formats: `0`, `#`, `.`, `,`, `%`, quoted texts, and sections for negative numbers and zero.
fn custom(number: &Decimal, format: &str) -> String {
    let sections: Vec<&str> = sections(format);
    let (section, is_own) = match sections.as_slice() {
        [_, negative, ..] if number.is_negative && !negative.is_empty() => (*negative, true),
        [_, _, zero, ..] if number.is_zero() && !zero.is_empty() => (*zero, false),
        [first, ..] => (*first, false),
        [] => ("", false),
    };
    let marks = marks(section);
    let percents = marks.iter().filter(|mark| **mark == Mark::Percent).count();
    let point = marks.iter().position(|mark| *mark == Mark::Point).unwrap_or(marks.len());
    let is_digit = |mark: &Mark| matches!(mark, Mark::Zero | Mark::Digit);
    let last_whole = marks[..point].iter().rposition(is_digit);
    let first_whole = marks[..point].iter().position(is_digit);
    // Commas right before the point divide by a thousand each; others group the digits.
    let scale = last_whole.map_or(0, |last| marks[last + 1..point].iter().take_while(|mark| **mark == Mark::Comma).count());
    let group = first_whole.zip(last_whole).is_some_and(|(first, last)| marks[first..last].contains(&Mark::Comma));
    let places = marks[point.min(marks.len())..].iter().filter(|mark| is_digit(mark)).count();
    let rounded = number.shifted(2 * percents as isize - 3 * scale as isize).rounded(places);
    let zeros = marks[..point].iter().skip_while(|mark| **mark != Mark::Zero).filter(|mark| is_digit(mark)).count();
    let whole = rounded.whole.trim_start_matches('0');
    let whole = format!("{whole:0>zeros$}");
    let holders = marks[..point].iter().filter(|mark| is_digit(mark)).count();
    let shortest = marks[point.min(marks.len())..].iter().filter(|mark| is_digit(mark)).collect::<Vec<_>>();
    let shortest = shortest.iter().rposition(|mark| **mark == Mark::Zero).map_or(0, |last| last + 1);
    let mut fraction = rounded.fraction.as_str();
    while fraction.len() > shortest && fraction.ends_with('0') {
        fraction = &fraction[..fraction.len() - 1];
    }

    let mut made = String::from(if is_own { "" } else { rounded.sign() });
    let (mut seen, mut written) = (0, 0);
    for (at, mark) in marks.iter().enumerate() {
        match mark {
            Mark::Zero | Mark::Digit if at < point => {
                seen += 1;
                // The first holder takes all digits that have none of their own.
                let end = whole.len().saturating_sub(holders - seen);
                while written < end {
                    made.push_str(&whole[written..=written]);
                    written += 1;
                    if group && written < whole.len() && (whole.len() - written).is_multiple_of(3) {
                        made.push(',');
                    }
                }
            }
            Mark::Zero | Mark::Digit => {}
            Mark::Point if !fraction.is_empty() => {
                made.push('.');
                made.push_str(fraction);
            }
            Mark::Point | Mark::Comma => {}
            Mark::Percent => made.push('%'),
            Mark::Text(c) => made.push(*c),
        }
    }
    made
}

#[derive(Debug, PartialEq)]
enum Mark {
    Zero,
    Digit,
    Point,
    Comma,
    Percent,
    Text(char),
}

fn marks(section: &str) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut chars = section.chars();
    let mut has_point = false;
    while let Some(c) = chars.next() {
        match c {
            '0' => marks.push(Mark::Zero),
            '#' => marks.push(Mark::Digit),
            '.' if !has_point => {
                has_point = true;
                marks.push(Mark::Point);
            }
            '.' => {}
            ',' => marks.push(Mark::Comma),
            '%' => marks.push(Mark::Percent),
            '\\' => marks.extend(chars.next().map(Mark::Text)),
            '\'' | '"' => marks.extend(chars.by_ref().take_while(|next| *next != c).map(Mark::Text)),
            c => marks.push(Mark::Text(c)),
        }
    }
    marks
}

fn sections(format: &str) -> Vec<&str> {
    let mut sections = Vec::new();
    let (mut start, mut quote, mut skip) = (0, None, false);
    for (at, c) in format.char_indices() {
        match (c, quote) {
            _ if skip => skip = false,
            ('\\', _) => skip = true,
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            (';', None) => {
                sections.push(&format[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    sections.push(&format[start..]);
    sections
}
