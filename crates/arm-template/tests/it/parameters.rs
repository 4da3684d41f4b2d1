//! Parameters: what is given, what is left to its default, what is refused.

use pillion_arm_template::{Code, Parameters};
use serde_json::{Value, json};

use crate::deployed::plan_with;

/// What a parameter `p` of this type becomes when it is given a value.
fn given(spec: Value, value: Value) -> Result<Value, String> {
    with(json!({ "parameters": { "p": spec } }), value)
}

fn with(sections: Value, value: Value) -> Result<Value, String> {
    let parameters = Parameters::from_request(&json!({ "P": { "value": value } })).map_err(|error| error.to_string())?;
    let plan = plan_with(sections, &parameters).map_err(|error| error.to_string())?;
    Ok(plan.parameters()[0].to_wire())
}

#[track_caller]
fn refused(result: Result<Value, String>, part: &str) {
    let message = result.expect_err("it is refused");
    assert!(message.contains(part), "{message}");
}

#[test]
fn values_of_every_type_are_taken() {
    assert_eq!(given(json!({ "type": "string" }), json!("x")), Ok(json!({ "type": "String", "value": "x" })));
    assert_eq!(given(json!({ "type": "Int" }), json!(1)), Ok(json!({ "type": "Int", "value": 1 })));
    assert_eq!(given(json!({ "type": "bool" }), json!(false)), Ok(json!({ "type": "Bool", "value": false })));
    assert_eq!(given(json!({ "type": "array" }), json!([1])), Ok(json!({ "type": "Array", "value": [1] })));
    assert_eq!(given(json!({ "type": "object" }), json!({ "a": 1 })), Ok(json!({ "type": "Object", "value": { "a": 1 } })));
    assert_eq!(given(json!({ "type": "secureString" }), json!("x")), Ok(json!({ "type": "SecureString" })));
    assert_eq!(given(json!({ "type": "secureObject" }), json!({ "a": 1 })), Ok(json!({ "type": "SecureObject" })));
}

#[test]
fn a_wrong_type_is_refused() {
    refused(
        given(json!({ "type": "int" }), json!("5")),
        "'5' for the template parameter 'p' is not valid: expected a value of type 'Int', but received one of type 'String'",
    );
    refused(given(json!({ "type": "string" }), json!(5)), "type 'Integer'");
    refused(given(json!({ "type": "bool" }), json!("true")), "type 'String'");
    refused(given(json!({ "type": "object" }), json!([])), "type 'Array'");
    refused(given(json!({ "type": "int" }), json!(1.5)), "type 'Float'");
    refused(given(json!({ "type": "text" }), json!("x")), "its type \"text\" is not one of");
    refused(given(json!({}), json!("x")), "it has no 'type'");
}

#[test]
fn constraints_are_kept() {
    let sku = json!({ "type": "string", "allowedValues": ["B1", "P1v3"] });
    assert!(given(sku.clone(), json!("B1")).is_ok());
    refused(given(sku, json!("F1")), "'F1' is not part of the allowed value(s) 'B1,P1v3'");
    let list = json!({ "type": "array", "allowedValues": ["a", "b"] });
    assert!(given(list.clone(), json!(["b", "a"])).is_ok());
    refused(given(list, json!(["a", "c"])), "is not part of the allowed value(s)");
    let port = json!({ "type": "int", "minValue": 1, "maxValue": 65535 });
    assert!(given(port.clone(), json!(65535)).is_ok());
    refused(given(port.clone(), json!(0)), "the value must be at least 1, and 0 is less");
    refused(given(port, json!(65536)), "the value must be at most 65535, and 65536 is more");
    let name = json!({ "type": "string", "minLength": 2, "maxLength": 4 });
    assert!(given(name.clone(), json!("äöüß")).is_ok());
    refused(given(name.clone(), json!("a")), "the length must be at least 2");
    refused(given(name, json!("abcde")), "the length must be at most 4");
    refused(given(json!({ "type": "array", "maxLength": 1 }), json!([1, 2])), "the number of elements must be at most 1");
}

#[test]
fn a_default_is_held_to_the_constraints_too() {
    let sections =
        json!({ "parameters": { "p": { "type": "string", "allowedValues": ["a"], "defaultValue": "[concat('b', '')]" } } });
    let error = plan_with(sections, &Parameters::default()).expect_err("b is not allowed");
    assert!(error.to_string().contains("'b' is not part of the allowed value(s) 'a'"), "{error}");
    assert_eq!(error.path().expect("a path").to_string(), "parameters.p");
}

#[test]
fn what_is_missing_or_too_much_is_told() {
    let sections = json!({ "parameters": { "p": { "type": "string" }, "q": { "type": "int", "defaultValue": 1 } } });
    let error = plan_with(sections.clone(), &Parameters::default()).expect_err("p is missing");
    assert_eq!(error.code(), Code::InvalidTemplate);
    assert!(error.to_string().contains("The value for the template parameter 'p' is not provided"), "{error}");
    let error = plan_with(sections, &Parameters::from_values([("x", json!(1))])).expect_err("x is unknown");
    assert!(
        error.to_string().contains("The template parameters 'x' are given, but the template does not have them; it has 'p, q'"),
        "{error}"
    );
}

#[test]
fn null_is_a_value_only_where_it_may_be() {
    let wire = |value: Value| json!({ "type": "String", "value": value });
    assert_eq!(given(json!({ "type": "string", "defaultValue": "d" }), Value::Null), Ok(wire(json!("d"))));
    assert_eq!(given(json!({ "type": "string", "defaultValue": "d", "nullable": true }), Value::Null), Ok(wire(Value::Null)));
    refused(given(json!({ "type": "string" }), Value::Null), "is not provided");
    let sections = json!({ "parameters": { "p": { "type": "string", "nullable": true } } });
    assert_eq!(plan_with(sections, &Parameters::default()).expect("null is fine").parameters()[0].value, Value::Null);
}

#[test]
fn user_defined_types_are_checked_all_the_way_down() {
    let sections = |spec: Value| {
        json!({
            "languageVersion": "2.0",
            "resources": {},
            "definitions": {
                "port": { "type": "int", "minValue": 1, "maxValue": 65535 },
                "container": {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string" },
                        "port": { "$ref": "#/definitions/port", "nullable": true },
                        "inner": { "type": "array", "items": { "$ref": "#/definitions/container" }, "nullable": true },
                    },
                    "additionalProperties": false,
                },
                "shape": { "type": "object", "discriminator": { "propertyName": "kind", "mapping": {
                    "round": { "type": "object", "properties": { "kind": { "type": "string" }, "radius": { "type": "int" } } },
                    "flat": { "type": "object", "properties": { "kind": { "type": "string" } } },
                } } },
                "secret": { "type": "securestring" },
                "loop": { "$ref": "#/definitions/port" },
            },
            "parameters": { "p": spec },
        })
    };
    let containers = || sections(json!({ "type": "array", "items": { "$ref": "#/definitions/container" } }));
    assert!(with(containers(), json!([{ "name": "a", "port": 80 }, { "name": "b", "inner": [{ "name": "c" }] }])).is_ok());
    refused(with(containers(), json!([{ "name": "a", "port": 0 }])), "the value at '[0].port' must be at least 1");
    refused(with(containers(), json!([{ "port": 80 }])), "the property '[0].name' is missing");
    refused(with(containers(), json!([{ "name": "a", "colour": 1 }])), "the property '[0].colour' is not one of the type's");
    refused(
        with(containers(), json!([{ "name": "b", "inner": [{ "name": 1 }] }])),
        "at '[0].inner[0].name', but received one of type 'Integer'",
    );
    let shape = || sections(json!({ "$ref": "#/definitions/shape" }));
    assert!(with(shape(), json!({ "kind": "round", "radius": 3 })).is_ok());
    refused(with(shape(), json!({ "kind": "round" })), "the property 'radius' is missing");
    refused(with(shape(), json!({ "kind": "cube" })), "the property 'kind' names none of the type's variants");
    assert_eq!(with(sections(json!({ "$ref": "#/definitions/secret" })), json!("x")), Ok(json!({ "type": "SecureString" })));
    refused(with(sections(json!({ "$ref": "#/definitions/none" })), json!("x")), "there is no definition 'none'");
    let pair = || sections(json!({ "type": "array", "prefixItems": [{ "type": "int" }, { "type": "string" }], "items": false }));
    assert!(with(pair(), json!([1, "a"])).is_ok());
    refused(with(pair(), json!([1, "a", 2])), "the element at '[2]' is one too many");
    refused(with(pair(), json!([1])), "the array has 1 elements and needs 2");
}

#[test]
fn a_key_vault_is_refused_with_what_to_do() {
    let request = json!({ "p": { "reference": { "keyVault": { "id": "x" }, "secretName": "s" } } });
    let error = Parameters::from_request(&request).expect_err("there is no vault");
    assert!(
        error.to_string().contains("The parameter 'p' refers to a key vault; there is none here, so give its value"),
        "{error}"
    );
}

#[test]
fn a_whole_parameter_file_is_taken() {
    let file =
        json!({ "$schema": "x/deploymentParameters.json#", "contentVersion": "1.0.0.0", "parameters": { "p": { "value": 1 } } });
    assert_eq!(Parameters::from_request(&file).expect("it is taken"), Parameters::from_values([("p", json!(1))]));
}
