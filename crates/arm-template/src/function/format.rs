//! `format`: composite formatting as .NET has it, in the invariant culture.

use serde_json::Value;

use super::{Arguments, number_format, string::to_text, utf16};
use crate::error::Result;

/// The widest a placeholder may be.
const MAX_WIDTH: i64 = 131_072;

/// Replaces `{index,width:format}`; doubled braces are braces.
pub(super) fn format(args: &Arguments<'_>) -> Result<Value> {
    let pattern = args.text(0)?;
    let mut made = String::new();
    let mut chars = pattern.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '{' | '}' if chars.next_if(|(_, next)| *next == c).is_some() => made.push(c),
            '}' => return Err(args.refuse(format!("has a '}}' without its '{{' at character {} of its pattern", at + 1))),
            '{' => {
                let rest = &pattern[at + 1..];
                let end = rest.find('}').ok_or_else(|| args.refuse("has a '{' without its '}' in its pattern"))?;
                made.push_str(&placeholder(args, &rest[..end])?);
                args.room(made.len())?;
                while chars.next_if(|(next, _)| *next <= at + 1 + end).is_some() {}
            }
            c => made.push(c),
        }
    }
    Ok(Value::String(made))
}

fn placeholder(args: &Arguments<'_>, inner: &str) -> Result<String> {
    let (head, format) = inner.split_once(':').map_or((inner, None), |(head, format)| (head, Some(format)));
    let (index, width) = head.split_once(',').map_or((head, None), |(index, width)| (index, Some(width)));
    let wrong = || args.refuse(format!("has the placeholder '{{{inner}}}', which is not one"));
    let index: usize = index.trim().parse().map_err(|_| wrong())?;
    let value = args.get(index + 1).ok_or_else(|| {
        args.refuse(format!("has the placeholder '{{{inner}}}', but only {} value(s) after the pattern", args.len() - 1))
    })?;
    let text = match (value, format.filter(|format| !format.is_empty())) {
        (Value::Number(number), Some(format)) => number_format::formatted(number, format)
            .ok_or_else(|| args.refuse(format!("can't write a number in the format '{format}'")))?,
        (value, _) => to_text(value),
    };
    let width = width.map(|width| width.trim().parse::<i64>().map_err(|_| wrong())).transpose()?.unwrap_or(0);
    if width.abs() > MAX_WIDTH {
        return Err(wrong());
    }
    let missing = usize::try_from(width.unsigned_abs()).unwrap_or(0).saturating_sub(utf16::length(&text));
    let space = " ".repeat(missing);
    Ok(if width < 0 { text + &space } else { space + &text })
}
