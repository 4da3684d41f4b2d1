//! `$filter` as ARM's lists take it: conditions joined by `and`.

use crate::ArmError;

/// `field operator 'value'`, or `substringof('value', field)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// In lower case: fields are written in any.
    pub field: String,
    pub operator: Operator,
    pub value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    AtLeast,
    AtMost,
    Contains,
}

impl Condition {
    /// What a list answers to a condition it does not know: left out, it would give more than was asked for.
    pub fn refused(&self, known: &str) -> ArmError {
        refused(&format!("it asks for '{}'; {known}", self.field))
    }
}

/// Reads a filter; one without a condition admits everything.
///
/// # Errors
/// 400 `InvalidFilterInQueryString`: it is something else.
pub fn conditions(filter: &str) -> Result<Vec<Condition>, ArmError> {
    let mut rest = Rest(filter.trim_start());
    let mut found = Vec::new();
    while !rest.0.is_empty() {
        if !found.is_empty() {
            let joint = rest.word();
            if !joint.eq_ignore_ascii_case("and") {
                return Err(refused(&format!("conditions are joined by 'and', and after one stands '{joint}'")));
            }
        }
        let next = rest.condition()?;
        if found.iter().any(|one: &Condition| (&one.field, one.operator) == (&next.field, next.operator)) {
            return Err(refused(&format!("it asks for '{}' twice", next.field)));
        }
        found.push(next);
    }
    Ok(found)
}

/// Refuses the value of a tag without its name, which would admit everything.
///
/// # Errors
/// 400 `InvalidFilterInQueryString`.
pub fn check_tag(name: Option<&String>, value: Option<&String>) -> Result<(), ArmError> {
    match (name, value) {
        (None, Some(_)) => Err(refused("tagValue goes with a tagName")),
        (_, _) => Ok(()),
    }
}

fn refused(why: &str) -> ArmError {
    ArmError::new(400, "InvalidFilterInQueryString", format!("The $filter is not supported: {why}."))
}

struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn condition(&mut self) -> Result<Condition, ArmError> {
        let first = self.word();
        if first.eq_ignore_ascii_case("substringof") {
            return self.contains();
        }
        let operator = self.word();
        let known = [("eq", Operator::Equal), ("ge", Operator::AtLeast), ("le", Operator::AtMost)];
        let Some((_, operator)) = known.into_iter().find(|(word, _)| word.eq_ignore_ascii_case(operator)) else {
            return Err(refused(&format!("after '{first}' stands '{operator}' where eq, ge or le is expected")));
        };
        Ok(Condition { field: first.to_ascii_lowercase(), operator, value: self.value(first)? })
    }

    /// What stands behind `substringof`.
    fn contains(&mut self) -> Result<Condition, ArmError> {
        let expect = |rest: &mut Rest<'a>, sign: char| match rest.0.strip_prefix(sign) {
            Some(behind) => {
                rest.0 = behind.trim_start();
                Ok(())
            }
            None => Err(refused("substringof is written substringof('text', field)")),
        };
        expect(self, '(')?;
        let value = self.value("substringof(")?;
        expect(self, ',')?;
        let field = self.word().to_ascii_lowercase();
        expect(self, ')')?;
        Ok(Condition { field, operator: Operator::Contains, value })
    }

    /// Text in quotes, a quote in it written twice; numbers and times stand without, as `az` writes them.
    fn value(&mut self, of: &str) -> Result<String, ArmError> {
        let Some(mut inside) = self.0.strip_prefix('\'') else {
            let bare = self.word();
            return match bare.starts_with(|first: char| first.is_ascii_digit()) {
                true => Ok(bare.to_owned()),
                false => Err(refused(&format!("the value of '{of}' stands in single quotes"))),
            };
        };
        let mut value = String::new();
        loop {
            let Some((before, behind)) = inside.split_once('\'') else {
                return Err(refused(&format!("the value of '{of}' has no closing quote")));
            };
            value.push_str(before);
            match behind.strip_prefix('\'') {
                Some(more) => {
                    value.push('\'');
                    inside = more;
                }
                None => {
                    self.0 = behind.trim_start();
                    return Ok(value);
                }
            }
        }
    }

    /// Takes everything up to white space or a sign of its own.
    fn word(&mut self) -> &'a str {
        let end = self.0.find(|next: char| next.is_whitespace() || "(),'".contains(next)).unwrap_or(self.0.len());
        let (word, behind) = self.0.split_at(end);
        self.0 = behind.trim_start();
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(filter: &str) -> Result<Vec<(String, Operator, String)>, String> {
        let found = conditions(filter).map_err(|error| error.message)?;
        Ok(found.into_iter().map(|one| (one.field, one.operator, one.value)).collect())
    }

    #[test]
    fn conditions_are_read_in_any_spelling_with_quotes_inside_of_values() {
        let one = |field: &str, operator, value: &str| (field.to_owned(), operator, value.to_owned());
        assert_eq!(read("  "), Ok(Vec::new()));
        let told = read("resourceGroup EQ 'rg and co' AND name eq 'o''brien''s' and substringof( 'sho' , Name )");
        let expected = [
            one("resourcegroup", Operator::Equal, "rg and co"),
            one("name", Operator::Equal, "o'brien's"),
            one("name", Operator::Contains, "sho"),
        ];
        assert_eq!(told, Ok(expected.to_vec()));
        let told = read("eventTimestamp ge 2026-01-01T00:00:00.5Z and eventTimestamp le '2026-01-02T00:00:00Z'");
        let expected = [
            one("eventtimestamp", Operator::AtLeast, "2026-01-01T00:00:00.5Z"),
            one("eventtimestamp", Operator::AtMost, "2026-01-02T00:00:00Z"),
        ];
        assert_eq!(told, Ok(expected.to_vec()));
    }

    #[test]
    fn the_value_of_a_tag_goes_with_its_name() {
        let text = "a".to_owned();
        assert!(
            check_tag(None, None).is_ok() && check_tag(Some(&text), None).is_ok() && check_tag(Some(&text), Some(&text)).is_ok()
        );
        let refused = check_tag(None, Some(&text)).expect_err("no name");
        assert_eq!((refused.status, refused.code.as_ref()), (400, "InvalidFilterInQueryString"));
    }

    #[test]
    fn what_is_no_such_filter_is_refused_with_its_place() {
        for (wrong, said) in [
            ("name", "after 'name' stands ''"),
            ("name gt 'a'", "stands 'gt'"),
            ("name eq shop", "the value of 'name'"),
            ("name eq 'shop", "no closing quote"),
            ("name eq 'a' or name eq 'b'", "stands 'or'"),
            ("name eq 'a' name eq 'b'", "stands 'name'"),
            ("name eq 'a' and ", "after '' stands ''"),
            ("substringof('a')", "substringof('text', field)"),
            ("name eq 'a' and Name eq 'b'", "asks for 'name' twice"),
            ("(name eq 'a')", "after '' stands ''"),
            ("é = 'x'", "stands '='"),
        ] {
            let refused = read(wrong).expect_err(wrong);
            assert!(refused.contains(said), "{wrong}: {refused}");
        }
    }
}
