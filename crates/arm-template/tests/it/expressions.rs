//! The table of expressions: `cases/*.json`, one file a family.

use serde_json::{Value, json};

use crate::deployed::evaluate;

/// Runs every case of a family and tells all that differ.
fn run(family: &str, text: &str) {
    let cases: Vec<Value> = serde_json::from_str(text).expect("the cases are JSON");
    let mut wrong = Vec::new();
    for case in &cases {
        let text = |key: &str| case[key].as_str().unwrap_or_else(|| panic!("{family}: a case has no {key}: {case}"));
        let (name, expression) = (text("name"), text("expression"));
        let mut sections = json!({});
        for section in ["parameters", "variables", "functions"] {
            if let Some(value) = case.get(section) {
                sections[section] = value.clone();
            }
        }
        let result = evaluate(expression, &sections);
        match (result, case.get("error"), case.get("value")) {
            (Ok(value), None, Some(expected)) if value == *expected => {}
            (Err(error), Some(part), None) if error.to_string().contains(part.as_str().expect("a text")) => {}
            (result, _, _) => wrong.push(format!("{name}: {expression}\n    gives {result:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} {family} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

macro_rules! families {
    ($($name:ident $file:literal;)*) => {
        $(#[test] fn $name() { run($file, include_str!(concat!("cases/", $file, ".json"))); })*

        #[test]
        fn the_table_has_enough_cases_and_every_function() {
            let all = [$(include_str!(concat!("cases/", $file, ".json"))),*];
            let count: usize = all.iter().map(|text| serde_json::from_str::<Vec<Value>>(text).expect("JSON").len()).sum();
            assert!(count >= 150, "{count} cases");
            let missing: Vec<_> = pillion_arm_template::function_names()
                .into_iter()
                .filter(|name| !all.iter().any(|text| text.contains(&format!("{name}("))))
                .collect();
            assert!(missing.is_empty(), "no case calls {missing:?}");
        }
    };
}

families! {
    array_functions_give_what_they_document "array";
    cidr_functions_give_what_they_document "cidr";
    comparison_and_logical_functions_give_what_they_document "logic";
    date_functions_give_what_they_document "date";
    deployment_and_scope_functions_give_what_they_document "deployment";
    lambda_functions_give_what_they_document "lambda";
    numeric_functions_give_what_they_document "number";
    object_functions_give_what_they_document "object";
    resource_functions_give_what_they_document "resource";
    string_functions_give_what_they_document "string";
    number_formats_are_those_of_dotnet "format";
    the_syntax_is_that_of_resource_manager "syntax";
}
