//! Functions of dates and times. All times are UTC.

use std::sync::Arc;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::Value;

use super::{Arguments, Function, date_format, value, world};
use crate::{
    error::{Error, Result},
    evaluate::Evaluator,
};

pub(super) const FUNCTIONS: &[Function] = &[
    value("dateTimeAdd", 2, 3, add),
    value("dateTimeFromEpoch", 1, 1, |args| {
        let seconds = args.integer(0)?;
        let time = Timestamp::from_second(seconds).map_err(|_| args.refuse(format!("is given {seconds}, which is no time")))?;
        Ok(Value::String(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))
    }),
    value("dateTimeToEpoch", 1, 1, |args| Ok(Value::from(read(args, 0)?.as_second()))),
    world("utcNow", 0, Some(1), utc_now),
    world("newGuid", 0, Some(0), new_guid),
];

/// The format of `utcNow` without one.
const NOW: &str = "yyyyMMddTHHmmssZ";

fn only_in_defaults(evaluator: &Evaluator<'_>, args: &Arguments<'_>) -> Result<()> {
    match evaluator.names.is_default {
        true => Ok(()),
        false => Err(Error::template(format!(
            "The template function '{}' is not expected at this location: it can be used only in the default value of a parameter",
            args.name
        ))),
    }
}

fn utc_now(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    only_in_defaults(evaluator, args)?;
    let format = if args.len() == 0 { NOW } else { args.text(0)? };
    let time = evaluator.scope.surroundings.now.to_zoned(TimeZone::UTC).datetime();
    let text = date_format::formatted(time, format)
        .ok_or_else(|| args.refuse(format!("does not know the format '{}'", args.show_text(format))))?;
    evaluator.made(Value::String(text))
}

/// Draws from the deployment's entropy, so that a deployment that is taken up again draws the same.
fn new_guid(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    use sha2::{Digest, Sha256};
    only_in_defaults(evaluator, args)?;
    evaluator.guids += 1;
    let digest = Sha256::new()
        .chain_update(evaluator.scope.surroundings.entropy)
        .chain_update(evaluator.scope.surroundings.deployment.as_bytes())
        .chain_update([0])
        .chain_update(evaluator.settling.join("\0"))
        .chain_update(evaluator.guids.to_le_bytes())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    evaluator.made(Value::String(super::hash::hyphenated(bytes, 4)))
}

fn read(args: &Arguments<'_>, at: usize) -> Result<Timestamp> {
    let text = args.text(at)?;
    parse(text)
        .ok_or_else(|| args.refuse(format!("is given '{}', which is not a time as ISO 8601 writes it", args.show_text(text))))
}

/// Forms of times beside ISO 8601: that of `utcNow`, and those of .NET's invariant culture.
const FORMS: [&str; 3] = ["%Y%m%dT%H%M%S", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p"];

/// Reads ISO 8601, with a `T` or a space, with or without a zone, and the other forms.
fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let bare = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let date_time = bare
        .parse::<civil::DateTime>()
        .ok()
        .or_else(|| FORMS.iter().find_map(|form| civil::DateTime::strptime(form, bare).ok()))
        .or_else(|| bare.parse::<civil::Date>().ok().map(|date| date.to_datetime(civil::Time::midnight())))?;
    date_time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn add(args: &Arguments<'_>) -> Result<Value> {
    let (base, duration) = (read(args, 0)?, args.text(1)?);
    let nanoseconds = nanoseconds(duration).ok_or_else(|| {
        args.refuse(format!("is given '{}', which is not a duration as ISO 8601 writes it", args.show_text(duration)))
    })?;
    let time = base.as_nanosecond().checked_add(nanoseconds).and_then(|sum| Timestamp::from_nanosecond(sum).ok());
    let time = time.ok_or_else(|| args.refuse("makes a time that is too far away"))?.to_zoned(TimeZone::UTC).datetime();
    let format = match args.get(2) {
        None => "yyyy-MM-ddTHH:mm:ss.FFFFFFFZ",
        Some(_) => args.text(2)?,
    };
    let text = date_format::formatted(time, format)
        .ok_or_else(|| args.refuse(format!("does not know the format '{}'", args.show_text(format))))?;
    Ok(Value::String(text))
}

/// Reads a duration such as `P1Y2M3DT4H5M6.5S` or `-P9D`. A year has 365 days and a month 30, as Resource Manager counts.
fn nanoseconds(text: &str) -> Option<i128> {
    const SECOND: i128 = 1_000_000_000;
    const DAY: i128 = 86_400 * SECOND;
    let (sign, rest) = match text.trim().strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.trim().trim_start_matches('+')),
    };
    let rest = rest.strip_prefix(['P', 'p'])?;
    let (mut total, mut is_time, mut is_any, mut number) = (0i128, false, false, String::new());
    for c in rest.chars() {
        let unit = match (c.to_ascii_uppercase(), is_time) {
            ('0'..='9' | '.', _) => {
                number.push(c);
                continue;
            }
            ('T', false) if number.is_empty() => {
                is_time = true;
                continue;
            }
            ('Y', false) => 365 * DAY,
            ('M', false) => 30 * DAY,
            ('W', false) => 7 * DAY,
            ('D', false) => DAY,
            ('H', true) => 3600 * SECOND,
            ('M', true) => 60 * SECOND,
            ('S', true) => SECOND,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
        if !fraction.is_empty() && (!c.eq_ignore_ascii_case(&'S') || fraction.len() > 9) {
            return None;
        }
        total = total.checked_add(whole.parse::<i128>().ok()?.checked_mul(unit)?)?;
        total = total.checked_add(format!("{fraction:0<9}").parse::<i128>().ok()?)?;
        number.clear();
        is_any = true;
    }
    (is_any && number.is_empty()).then_some(sign * total)
}
