//! Dates and times as texts: .NET's standard and custom formats, in the invariant culture and UTC.

use jiff::civil::DateTime;

/// Writes a time in a format; `None` if it is not one.
pub(super) fn formatted(time: DateTime, format: &str) -> Option<String> {
    let mut chars = format.chars();
    let custom = match (chars.next()?, chars.next()) {
        (letter, None) => standard(letter)?,
        _ => format,
    };
    write(time, custom)
}

/// A single letter stands for a whole format.
fn standard(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "MM/dd/yyyy",
        'D' => "dddd, dd MMMM yyyy",
        'f' => "dddd, dd MMMM yyyy HH:mm",
        'F' | 'U' => "dddd, dd MMMM yyyy HH:mm:ss",
        'g' => "MM/dd/yyyy HH:mm",
        'G' => "MM/dd/yyyy HH:mm:ss",
        'm' | 'M' => "MMMM dd",
        'o' | 'O' => "yyyy-MM-ddTHH:mm:ss.fffffffK",
        'r' | 'R' => "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
        's' => "yyyy-MM-ddTHH:mm:ss",
        't' => "HH:mm",
        'T' => "HH:mm:ss",
        'u' => "yyyy-MM-dd HH:mm:ss'Z'",
        'y' | 'Y' => "yyyy MMMM",
        _ => return None,
    })
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn write(time: DateTime, format: &str) -> Option<String> {
    let mut made = String::new();
    let chars: Vec<char> = format.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let run = chars[at..].iter().take_while(|other| **other == c).count();
        match c {
            '\\' => {
                made.push(*chars.get(at + 1)?);
                at += 2;
                continue;
            }
            '\'' | '"' => {
                let length = chars[at + 1..].iter().position(|other| *other == c)?;
                made.extend(&chars[at + 1..at + 1 + length]);
                at += length + 2;
                continue;
            }
            // A point goes with the fraction after it, where that may be left out and is nothing.
            '.' if chars.get(at + 1) == Some(&'F') => {
                let run = chars[at + 1..].iter().take_while(|other| **other == 'F').count();
                let fraction = part(time, 'F', run)?;
                if !fraction.is_empty() {
                    made.push('.');
                    made.push_str(&fraction);
                }
                at += 1 + run;
                continue;
            }
            // A percent sign makes a single letter a custom format.
            '%' => {
                at += 1;
                continue;
            }
            _ => {}
        }
        made.push_str(&part(time, c, run).unwrap_or_else(|| std::iter::repeat_n(c, run).collect()));
        at += run;
    }
    Some(made)
}

/// Writes the part that a run of one letter asks for.
fn part(time: DateTime, letter: char, run: usize) -> Option<String> {
    let (year, month, day) = (i64::from(time.year()), i64::from(time.month()), i64::from(time.day()));
    let hour = i64::from(time.hour());
    let padded = |number: i64, width: usize| format!("{number:0>width$}");
    let two = |number: i64| padded(number, run.min(2));
    let month_name = MONTHS[usize::try_from(month - 1).ok()?.min(11)];
    let day_name = DAYS[usize::try_from(time.weekday().to_monday_zero_offset()).ok()?.min(6)];
    let fraction = || format!("{:09}", time.subsec_nanosecond()).get(..run.min(7)).map(str::to_owned);
    Some(match (letter, run) {
        ('y', 1 | 2) => padded(year % 100, run),
        ('y', _) => padded(year, run),
        ('M', 1 | 2) => two(month),
        ('M', 3) => month_name[..3].to_owned(),
        ('M', _) => month_name.to_owned(),
        ('d', 1 | 2) => two(day),
        ('d', 3) => day_name[..3].to_owned(),
        ('d', _) => day_name.to_owned(),
        ('H', _) => two(hour),
        ('h', _) => two((hour + 11) % 12 + 1),
        ('m', _) => two(i64::from(time.minute())),
        ('s', _) => two(i64::from(time.second())),
        ('f', _) => fraction()?,
        ('F', _) => fraction()?.trim_end_matches('0').to_owned(),
        ('t', 1) => if hour < 12 { "A" } else { "P" }.to_owned(),
        ('t', _) => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        ('K', _) => "Z".to_owned(),
        ('z', 1) => "+0".to_owned(),
        ('z', 2) => "+00".to_owned(),
        ('z', _) => "+00:00".to_owned(),
        _ => return None,
    })
}
