//! The reader takes what az sends, and says where it can't.

use pillion_arm_template::{Cause, Code, Document, Limit, MAX_TEXT, Template, read};
use serde_json::{Value, json};

fn value(text: &str) -> Value {
    read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).root().clone()
}

fn refusal(text: &str) -> String {
    read(text.as_bytes()).expect_err(text).to_string()
}

/// As az writes it: the envelope is cut open and the file pasted behind a bare key.
const AZ: &str = "{\"properties\": {\"parameters\": {\"appName\": {\"value\": \"tpl1\"}}, \"mode\": \"Incremental\", template:// a comment in the file\n\
{ \"$schema\": \"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#\", /* block\ncomment */\n\
  \"contentVersion\": \"1.0.0.0\", \"resources\": [],\n\
  \"outputs\": {\"m\": {\"type\":\"string\",\"value\":\"[concat('a',\n    'b')]\"}} }\n}}";

#[test]
fn a_body_of_az_is_read() {
    let document = read(AZ.as_bytes()).expect("it is read");
    assert_eq!(document.root()["properties"]["mode"], "Incremental");
    assert_eq!(document.root()["properties"]["template"]["outputs"]["m"]["value"], "[concat('a',\n    'b')]");
}

#[test]
fn lines_of_a_template_count_from_its_file() {
    let text = AZ.replace("concat(", "conkat(");
    let document = read(text.as_bytes()).expect("it is read").part(&["Properties", "template"]).expect("it has a template");
    let error = Template::parse(&document).expect_err("the function is unknown");
    assert_eq!(error.code(), Code::InvalidTemplate);
    assert_eq!(error.path().expect("a path").to_string(), "outputs.m.value");
    let position = error.position().expect("a position");
    assert_eq!((position.line, position.column), (5, 43), "{error}");
    assert_eq!(error.to_wire()["additionalInfo"][0]["info"]["path"], "outputs.m.value");
    assert_eq!(error.to_wire()["additionalInfo"][0]["info"]["lineNumber"], 5);
}

#[test]
fn everything_that_people_write_is_taken() {
    assert_eq!(value("\u{feff}{ \"a\": 1 }"), json!({ "a": 1 }), "a byte order mark");
    assert_eq!(
        value("{a: 1, b_2: [1, 2,], $c: 'x',}"),
        json!({ "a": 1, "b_2": [1, 2], "$c": "x" }),
        "bare names, last commas, single quotes"
    );
    assert_eq!(value("/* x */ [ // y\n 1 ] // z"), json!([1]), "comments");
    assert_eq!(value("{\"t\": \"a\nb\tc\"}"), json!({ "t": "a\nb\tc" }), "raw line breaks");
    assert_eq!(value("\"http://x/*no comment*/\""), json!("http://x/*no comment*/"));
    assert_eq!(value(r#""\u00e9\ud83d\ude00\/\b""#), json!("é😀/\u{8}"));
    assert_eq!(value("[-1, 1.5e3, 18446744073709551615]"), json!([-1, 1500.0, 18446744073709551615u64]));
    assert_eq!(value("{\"x\": 1, template:\u{feff}\n{\"y\": 2}}"), json!({ "x": 1, "template": { "y": 2 } }), "a mark within");
}

#[test]
fn of_a_name_that_is_written_twice_the_last_counts() {
    assert_eq!(value(r#"{"a": 1, "b": 2, "a": 3}"#), json!({ "a": 3, "b": 2 }));
}

#[test]
fn a_text_that_can_not_be_read_is_refused_with_line_and_column() {
    for (text, part) in [
        ("", "a value is expected, here the text ends (line 1, column 1)"),
        ("{\n  \"a\" 1\n}", "after the name 'a' a colon is expected (line 2, column 7)"),
        ("[1 2]", "a comma or ']' is expected, here is '2' (line 1, column 4)"),
        ("{\"a\": 1", "a comma or '}' is expected, here the text ends"),
        ("[\"abc", "a text begins that does not end (line 1, column 2)"),
        ("/* abc", "a comment begins that does not end (line 1, column 1)"),
        ("{\"a\": nil}", "a value is expected, here is 'nil'"),
        ("[1.2.3]", "'1.2.3' is not a number"),
        ("{} x", "after the end of the document comes 'x'"),
        (r#""\q""#, "'\\q' is not an escape"),
        (r#""\ud83d""#, "half of a character stands alone"),
        (r#""\u12""#, "four hexadecimal digits"),
    ] {
        let refusal = refusal(text);
        let expected = part.split(" (line").next().expect("a part");
        assert!(refusal.contains(expected), "{text:?}: {refusal}");
        if let Some((_, place)) = part.split_once(" (") {
            assert!(refusal.contains(place.trim_end_matches(')')), "{text:?}: {refusal}");
        }
    }
    assert_eq!(read(b"{\"a\": \"\xff\"}").expect_err("no UTF-8").position().expect("a position").column, 8);
}

#[test]
fn what_is_too_deep_or_too_long_is_refused() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read(deep(64).as_bytes()).is_ok());
    assert_eq!(*read(deep(65).as_bytes()).expect_err("too deep").cause(), Cause::Limit(Limit::Depth));
    assert_eq!(*read("[".repeat(1_000_000).as_bytes()).expect_err("too deep").cause(), Cause::Limit(Limit::Depth));
    let long = format!("\"{}\"", "x".repeat(MAX_TEXT));
    assert_eq!(*read(long.as_bytes()).expect_err("too long").cause(), Cause::Limit(Limit::Text));
}

#[test]
fn a_document_that_was_never_text_has_no_lines() {
    let error = Template::parse(&Document::from_value(json!({}))).expect_err("it has nothing");
    assert_eq!(error.position(), None);
    assert!(error.to_string().contains("The required property '$schema' is not found"), "{error}");
}
