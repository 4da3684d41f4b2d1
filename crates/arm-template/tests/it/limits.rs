//! What passes a limit is refused, soon, and the message names the place.

use std::time::{Duration, Instant};

use pillion_arm_template::{Budget, Cause, Document, Error, Limit, NothingDeployed, Parameters, Template};
use serde_json::{Value, json};

use crate::deployed::{evaluate, outputs, plan, surroundings, template};

#[track_caller]
fn passes(limit: Limit, result: Result<impl std::fmt::Debug, Error>) -> Error {
    let error = result.expect_err("a limit is passed");
    assert_eq!(*error.cause(), Cause::Limit(limit), "{error}");
    error
}

#[test]
fn more_than_800_resources_are_refused() {
    let copies = |count: usize| {
        json!([{ "type": "Test.Test/things", "apiVersion": "1", "name": "[concat('t', copyIndex())]",
                 "copy": { "name": "all", "count": count } }])
    };
    assert_eq!(plan(json!({ "resources": copies(800) })).expect("800 are fine").resources().len(), 800);
    let error = passes(Limit::Resources, plan(json!({ "resources": copies(801) })));
    assert_eq!(error.path().expect("a path").to_string(), "resources[0].copy.count");
    let two = [copies(500)[0].clone(), copies(301)[0].clone()];
    passes(Limit::Resources, plan(json!({ "resources": two })));
}

#[test]
fn a_million_steps_are_all_there_is_and_the_expression_is_named() {
    let expression = "[length(map(range(0, 1000), lambda('a', length(filter(range(0, 1000), lambda('b', equals(lambdaVariables('b'), -1)))))))]";
    let started = Instant::now();
    let error = passes(Limit::Steps, evaluate(expression, &json!({})));
    assert_eq!(error.expression_place().expect("an expression").text, expression);
    assert_eq!(error.path().expect("a path").to_string(), "resources[0].properties.value");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn what_doubles_itself_stops_at_64_megabytes() {
    let mut variables = serde_json::Map::new();
    variables.insert("v0".to_owned(), json!("0123456789abcdef"));
    for step in 1..40 {
        let before = step - 1;
        variables.insert(format!("v{step}"), json!(format!("[concat(variables('v{before}'), variables('v{before}'))]")));
    }
    passes(Limit::Produced, plan(json!({ "variables": variables })));
}

#[test]
fn functions_that_make_much_of_little_are_bounded_before_they_do() {
    let big = json!({ "variables": { "big": "x".repeat(1_000_000) } });
    for expression in [
        "[length(join(range(0, 10000), variables('big')))]",
        "[length(replace(variables('big'), 'x', variables('big')))]",
        "[length(split(variables('big'), 'x'))]",
        "[length(map(range(0, 10000), lambda('i', variables('big'))))]",
        "[length(reduce(range(0, 10000), '', lambda('a', 'b', concat(lambdaVariables('a'), variables('big')))))]",
        "[length(toObject(range(0, 10000), lambda('i', string(lambdaVariables('i'))), lambda('i', variables('big'))))]",
    ] {
        passes(Limit::Produced, evaluate(expression, &big));
    }
    let pattern = format!("[length(format('{}', variables('big')))]", "{0}".repeat(1000));
    passes(Limit::Produced, evaluate(&pattern, &big));
    let many = format!("[length(concat({}))]", vec!["variables('big')"; 1000].join(", "));
    passes(Limit::Produced, evaluate(&many, &big));
}

#[test]
fn values_that_nest_too_deep_are_refused() {
    passes(
        Limit::Depth,
        evaluate("[reduce(range(0, 1000), createArray(), lambda('a', 'b', createArray(lambdaVariables('a'))))]", &json!({})),
    );
}

#[test]
fn calls_that_nest_too_deep_are_refused() {
    let nested = |depth: usize| format!("[{}'a'{}]", "toLower(".repeat(depth), ")".repeat(depth));
    assert_eq!(evaluate(&nested(63), &json!({})).expect("63 are fine"), "a");
    passes(Limit::Depth, evaluate(&nested(64), &json!({})));
    passes(Limit::Depth, evaluate(&nested(2_000), &json!({})));
    passes(Limit::Depth, evaluate(&format!("[createObject(){}]", ".?a".repeat(8_000)), &json!({})));
    passes(Limit::Expression, evaluate(&nested(100_000), &json!({})));
}

#[test]
fn a_long_chain_of_variables_is_refused_before_the_stack_ends() {
    let mut variables = serde_json::Map::new();
    variables.insert("v0".to_owned(), json!("x"));
    for step in 1..2000 {
        let deep = format!("[concat(toLower(toLower(toLower(variables('v{}')))), 'x')]", step - 1);
        let nested = (0..20).fold(Value::String(deep), |inner, _| json!([inner]));
        variables.insert(format!("v{step}"), nested);
    }
    // The last goes through all others.
    let last = json!({ "o": { "type": "array", "value": "[variables('v1999')]" } });
    let reversed: serde_json::Map<String, Value> = variables.into_iter().rev().collect();
    passes(Limit::Depth, outputs(json!({ "variables": reversed, "outputs": last })));
}

#[test]
fn sets_of_many_elements_take_no_time() {
    let started = Instant::now();
    for (expression, expected) in [
        ("[length(union(range(0, 10000), range(5000, 10000)))]", 15_000),
        ("[length(intersection(range(0, 10000), range(5000, 10000)))]", 5_000),
        (
            "[length(union(toObject(range(0, 10000), lambda('i', concat('k', lambdaVariables('i')))), toObject(range(0, 10000), lambda('i', concat('K', lambdaVariables('i'))))))]",
            10_000,
        ),
        ("[length(split(join(range(0, 10000), ','), createArray(';', ',', 'x')))]", 10_000),
    ] {
        assert_eq!(evaluate(expression, &json!({})).expect(expression), expected, "{expression}");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn resources_that_all_refer_to_each_other_are_ordered_in_time() {
    let started = Instant::now();
    let plan = plan(json!({ "resources": [
        { "type": "Test.Test/things", "apiVersion": "1", "name": "[concat('t', copyIndex())]", "copy": { "name": "all", "count": 800 },
          "properties": { "x": "[map(range(0, 1), lambda('i', reference(resourceId('Test.Test/things', string(lambdaVariables('i'))))))]" } },
    ] }))
    .expect("it expands");
    // Which waits for which is a guess; only that it makes no circle matters.
    assert!(plan.resources().iter().map(|resource| resource.depends_on.len()).sum::<usize>() > 0);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_deadline_that_is_over_ends_the_evaluation() {
    let sections = template(json!({
        "variables": { "slow": "[length(map(range(0, 300), lambda('a', map(range(0, 300), lambda('b', lambdaVariables('b'))))))]" },
    }));
    let template = Template::parse(&Document::from_value(sections)).expect("it is a template");
    let mut budget = Budget::new().until(Instant::now());
    passes(Limit::Deadline, template.expand(&Parameters::default(), &surroundings(), &mut budget));
}

#[test]
fn a_hundred_sites_are_planned_within_two_seconds() {
    let sections = template(json!({
        "parameters": { "names": { "type": "array", "defaultValue": "[map(range(0, 100), lambda('i', format('site-{0}', lambdaVariables('i'))))]" } },
        "resources": [
            { "type": "Microsoft.Web/serverfarms", "apiVersion": "2024-11-01", "name": "plan", "sku": { "name": "P1v3" } },
            { "type": "Microsoft.Web/sites", "apiVersion": "2024-11-01", "name": "[parameters('names')[copyIndex()]]",
              "copy": { "name": "sites", "count": "[length(parameters('names'))]" },
              "dependsOn": ["[resourceId('Microsoft.Web/serverfarms', 'plan')]"],
              "properties": { "serverFarmId": "[resourceId('Microsoft.Web/serverfarms', 'plan')]" },
              "resources": [{ "type": "sitecontainers", "apiVersion": "2024-11-01", "name": "main",
                "dependsOn": ["[resourceId('Microsoft.Web/sites', parameters('names')[copyIndex()])]"],
                "properties": { "image": "nginx", "isMain": true, "targetPort": "80" } }] },
        ],
    }));
    let started = Instant::now();
    let template = Template::parse(&Document::from_value(sections)).expect("it is a template");
    let mut budget = Budget::new();
    let plan = template.expand(&Parameters::default(), &surroundings(), &mut budget).expect("it expands");
    for resource in plan.resources() {
        plan.preview(resource, &NothingDeployed, &mut budget).expect("it is evaluated");
    }
    assert_eq!(plan.resources().len(), 201);
    // Without optimisation and beside other work; the benchmark measures it.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}
