//! Cuts an expression into words.

use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Open,
    Close,
    OpenIndex,
    CloseIndex,
    Comma,
    Dot,
    Question,
    Text(String),
    Number(i64),
    Name(String),
    End,
}

impl Token {
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Open => "'('".to_owned(),
            Self::Close => "')'".to_owned(),
            Self::OpenIndex => "'['".to_owned(),
            Self::CloseIndex => "']'".to_owned(),
            Self::Comma => "','".to_owned(),
            Self::Dot => "'.'".to_owned(),
            Self::Question => "'?'".to_owned(),
            Self::Text(_) => "a text".to_owned(),
            Self::Number(number) => format!("'{number}'"),
            Self::Name(name) => format!("'{name}'"),
            Self::End => "the end of the expression".to_owned(),
        }
    }
}

/// Returns the words between the outer brackets with their columns; the last is always [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>> {
    let inner = &text[..text.len() - 1];
    let mut chars = inner.chars().enumerate().skip(1).peekable();
    let mut tokens = Vec::new();
    while let Some(&(at, c)) = chars.peek() {
        let column = at + 1;
        let token = match c {
            '\'' => {
                chars.next();
                let mut text = String::new();
                loop {
                    match chars.next() {
                        Some((_, '\'')) if chars.next_if(|(_, c)| *c == '\'').is_some() => text.push('\''),
                        Some((_, '\'')) => break Token::Text(text),
                        Some((_, c)) => text.push(c),
                        None => return Err(Error::template("A text begins here that does not end").column(column)),
                    }
                }
            }
            '0'..='9' | '-' | '+' => {
                let mut digits = String::new();
                digits.extend(chars.next().map(|(_, c)| c));
                while let Some((_, digit)) = chars.next_if(|(_, c)| c.is_ascii_digit()) {
                    digits.push(digit);
                }
                match digits.parse() {
                    Ok(number) => Token::Number(number),
                    Err(_) => {
                        let message = format!("'{digits}' is not a whole number of 64 bits");
                        return Err(Error::template(message).column(column));
                    }
                }
            }
            c if is_name_start(c) => {
                let mut name = String::new();
                while let Some((_, c)) = chars.next_if(|(_, c)| is_name(*c)) {
                    name.push(c);
                }
                Token::Name(name)
            }
            c if c.is_whitespace() || c == '\u{feff}' => {
                chars.next();
                continue;
            }
            c => {
                chars.next();
                match c {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    '[' => Token::OpenIndex,
                    ']' => Token::CloseIndex,
                    ',' => Token::Comma,
                    '.' => Token::Dot,
                    '?' => Token::Question,
                    c => {
                        let message = format!("The character '{}' has no meaning in an expression", c.escape_default());
                        return Err(Error::template(message).column(column));
                    }
                }
            }
        };
        tokens.push((column, token));
    }
    tokens.push((text.chars().count(), Token::End));
    Ok(tokens)
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$')
}

fn is_name(c: char) -> bool {
    is_name_start(c) || c.is_ascii_digit() || c == '-'
}
