//! What holds for any text.

use std::time::{Duration, Instant};

use pillion_arm_template::{Budget, Document, NothingDeployed, Parameters, Template, diff, read};
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

use crate::deployed::{surroundings, template};

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |number| Number::from_f64(number).map(Value::Number)),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Texts that are nearly expressions.
fn any_expression() -> impl Strategy<Value = String> {
    let words = prop_oneof![
        Just("("),
        Just(")"),
        Just("["),
        Just("]"),
        Just(","),
        Just("."),
        Just(".?"),
        Just("'"),
        Just("'a'"),
        Just("''"),
        Just("0"),
        Just("9223372036854775807"),
        Just("-1"),
        Just("concat"),
        Just("map"),
        Just("lambda"),
        Just("lambdaVariables"),
        Just("range(0, 9999)"),
        Just("createArray("),
        Just("createObject('a', "),
        Just("variables('v')"),
        Just("reduce("),
        Just("padLeft("),
        Just("format('{0:N}', "),
        Just("union("),
        Just("replace("),
        Just("split("),
        Just("json("),
        Just("reference("),
        Just("substring("),
        Just("dateTimeAdd("),
        Just("é"),
    ];
    prop::collection::vec(words, 0..24).prop_map(|words| format!("[{}]", words.concat()))
}

fn evaluate(text: &str) {
    let sections = template(json!({
        "variables": { "v": { "a": [1, "two", { "b": null }] } },
        "resources": [{ "type": "Test.Test/things", "apiVersion": "1", "name": "t", "properties": { "value": text } }],
        "outputs": { "o": { "type": "string", "value": text } },
    }));
    let Ok(template) = Template::parse(&Document::from_value(sections)) else { return };
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut budget = Budget::new().until(deadline);
    let Ok(plan) = template.expand(&Parameters::default(), &surroundings(), &mut budget) else { return };
    // Whatever it gives, it gives it within its budget.
    let _ = plan.evaluate(&plan.resources()[0], &NothingDeployed, &mut budget);
    let _ = plan.preview(&plan.resources()[0], &NothingDeployed, &mut budget);
    let _ = plan.outputs(&NothingDeployed, &mut budget);
    assert!(Instant::now() < deadline + Duration::from_secs(5), "it took too long: {text}");
}

/// Deploys to a world in which nothing is, as far as that goes.
fn try_all(template: Value) {
    let Ok(template) = Template::parse(&Document::from_value(template)) else { return };
    let mut budget = Budget::new().until(Instant::now() + Duration::from_secs(5));
    let Ok(plan) = template.expand(&Parameters::default(), &surroundings(), &mut budget) else { return };
    for resource in plan.resources() {
        let _ = plan.preview(resource, &NothingDeployed, &mut budget);
        let _ = plan.nested(resource, &NothingDeployed, &mut budget);
    }
    let _ = plan.outputs(&NothingDeployed, &mut budget);
}

/// Replaces the value that is the `at`th in the document, or takes it away.
fn change(value: &mut Value, at: &mut usize, new: &Option<Value>) {
    if *at == 0 {
        *value = new.clone().unwrap_or_default();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| change(item, at, new)),
        Value::Object(members) => members.values_mut().for_each(|item| change(item, at, new)),
        _ => {}
    }
}

fn published() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/templates");
    let files = std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.is_file() && !path.to_string_lossy().ends_with(".expected.json")).collect();
    files.sort();
    files.iter().map(|path| read(&std::fs::read(path).expect("it is read")).expect("it is JSON").root().clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_reader_never_panics(text in any::<Vec<u8>>()) {
        let _ = read(&text);
    }

    #[test]
    fn the_reader_never_panics_on_what_is_nearly_json(text in r#"[\[\]{}:,"'/*\\ua1\-.e \n\u{feff}]{0,60}"#) {
        let _ = read(text.as_bytes());
    }

    #[test]
    fn what_serde_writes_is_read_back(value in any_value()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("it is written")] {
            let document = read(text.as_bytes()).expect("JSON is read");
            let expected: Value = serde_json::from_str(&text).expect("serde reads it");
            prop_assert_eq!(document.root(), &expected);
        }
    }

    #[test]
    fn any_text_is_evaluated_or_refused(text in any::<String>()) {
        evaluate(&format!("[{text}]"));
    }

    #[test]
    fn what_is_nearly_an_expression_is_evaluated_or_refused(text in any_expression()) {
        evaluate(&text);
    }

    #[test]
    fn a_template_with_a_part_changed_is_planned_or_refused(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        new in prop::option::of(prop_oneof![any_value(), any_expression().prop_map(Value::String)]),
    ) {
        let mut all = published();
        let template = which.get_mut(&mut all);
        let mut at = place.index(template.to_string().matches([':', ',', '[']).count().max(1));
        change(template, &mut at, &new);
        try_all(template.clone());
    }

    #[test]
    fn a_quoted_text_is_itself(text in any::<String>()) {
        let sections = template(json!({ "outputs": { "o": { "type": "string", "value": format!("['{}']", text.replace('\'', "''")) } } }));
        let template = Template::parse(&Document::from_value(sections)).expect("it is a template");
        let plan = template.expand(&Parameters::default(), &surroundings(), &mut Budget::new()).expect("it expands");
        let outputs = plan.outputs(&NothingDeployed, &mut Budget::new()).expect("it has outputs");
        prop_assert_eq!(&outputs.0[0].value, &Value::String(text));
    }

    #[test]
    fn nothing_differs_from_itself(value in any_value()) {
        prop_assert_eq!(diff(&json!({ "properties": value }), &json!({ "properties": value })), vec![]);
    }

    #[test]
    fn a_difference_is_told_once_and_the_same_each_time(before in any_value(), after in any_value()) {
        let (before, after) = (json!({ "properties": before }), json!({ "properties": after }));
        let deltas = diff(&before, &after);
        prop_assert_eq!(&deltas, &diff(&before, &after));
        let mut paths: Vec<_> = deltas.iter().map(|delta| &delta.path).collect();
        paths.dedup();
        prop_assert_eq!(paths.len(), deltas.len());
    }
}
