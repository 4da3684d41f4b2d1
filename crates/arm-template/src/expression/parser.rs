//! Puts an expression's words together.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Call, Expr, Missing, Node,
    lexer::{Token, tokens},
};
use crate::{
    budget::{Limit, MAX_DEPTH, MAX_EXPRESSION},
    error::{Cause, Error, Result},
};

/// Parses a text that [`super::classify`] called an expression.
///
/// # Errors
/// `InvalidTemplate` with the column.
pub(crate) fn parse(text: &str) -> Result<Expr> {
    if text.len() > MAX_EXPRESSION && text.chars().nth(MAX_EXPRESSION).is_some() {
        return Err(Limit::Expression.error());
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let expression = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(expression),
        token => {
            let message = format!("After the end of the expression comes {}", token.describe());
            Err(parser.error(message))
        }
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(_, token)| token)
    }

    fn peek_after(&self, count: usize) -> &Token {
        self.tokens.get(self.at + count).map_or(&Token::End, |(_, token)| token)
    }

    fn column(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(column, _)| *column)
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::template(message).column(self.column())
    }

    fn take(&mut self, token: &Token) -> bool {
        let taken = self.peek() == token;
        if taken {
            self.at += 1;
        }
        taken
    }

    fn expect(&mut self, token: &Token) -> Result<()> {
        match self.take(token) {
            true => Ok(()),
            false => Err(self.error(format!("{} is expected, here is {}", token.describe(), self.peek().describe()))),
        }
    }

    fn expression(&mut self) -> Result<Expr> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(Limit::Depth.to_string()).caused(Cause::Limit(Limit::Depth)));
        }
        self.depth += 1;
        let mut expression = self.primary()?;
        let mut members = 0;
        loop {
            let column = self.column();
            if !matches!(self.peek(), Token::Question | Token::Dot | Token::OpenIndex) {
                break;
            }
            // Members nest to the left: each is one level of the tree.
            members += 1;
            if members > MAX_DEPTH {
                return Err(self.error(Limit::Depth.to_string()).caused(Cause::Limit(Limit::Depth)));
            }
            let (key, missing) = self.member()?;
            expression = Expr { column, node: Node::Member { base: Box::new(expression), key: Box::new(key), missing } };
        }
        self.depth -= 1;
        Ok(expression)
    }

    /// `.name`, `.?name`, `[key]`, `[?key]`, `.?[key]`
    fn member(&mut self) -> Result<(Expr, Missing)> {
        let of = |asked: bool| if asked { Missing::Null } else { Missing::Error };
        let dotted = self.take(&Token::Dot);
        let asked = self.take(&Token::Question);
        if (!dotted || asked) && self.take(&Token::OpenIndex) {
            let asked = self.take(&Token::Question) || asked;
            let key = self.expression()?;
            self.expect(&Token::CloseIndex)?;
            return Ok((key, of(asked)));
        }
        let column = self.column();
        match self.peek().clone() {
            Token::Name(name) if dotted => {
                self.at += 1;
                Ok((Expr { column, node: Node::Literal(Arc::new(Value::String(name))) }, of(asked)))
            }
            token => Err(self.error(format!("The name of a property is expected, here is {}", token.describe()))),
        }
    }

    fn primary(&mut self) -> Result<Expr> {
        let column = self.column();
        match self.peek().clone() {
            Token::Text(text) => {
                self.at += 1;
                Ok(Expr { column, node: Node::Literal(Arc::new(Value::String(text))) })
            }
            Token::Number(number) => {
                self.at += 1;
                if matches!((self.peek(), self.peek_after(1)), (Token::Dot, Token::Number(_))) {
                    return Err(self.error("A number in an expression is whole; write json('1.5') for another"));
                }
                Ok(Expr { column, node: Node::Literal(Arc::new(Value::from(number))) })
            }
            Token::Name(name) => {
                self.at += 1;
                let (namespace, name) = match (self.peek(), self.peek_after(1), self.peek_after(2)) {
                    (Token::Dot, Token::Name(member), Token::Open) => {
                        let member = member.clone();
                        self.at += 2;
                        (Some(name), member)
                    }
                    _ => (None, name),
                };
                if *self.peek() != Token::Open {
                    let message = format!("'{name}' is not followed by '(': an expression is made of calls, texts and numbers");
                    return Err(Error::template(message).column(column));
                }
                let arguments = self.arguments()?;
                Ok(Expr { column, node: Node::Call(Call { namespace, name, arguments }) })
            }
            token => Err(self.error(format!("A function, a text or a number is expected, here is {}", token.describe()))),
        }
    }

    fn arguments(&mut self) -> Result<Vec<Expr>> {
        self.expect(&Token::Open)?;
        let mut arguments = Vec::new();
        if self.take(&Token::Close) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if !self.take(&Token::Comma) {
                self.expect(&Token::Close)?;
                return Ok(arguments);
            }
        }
    }
}
