//! What `config/web` says to a site's front end: access restrictions and CORS.

use std::collections::BTreeMap;

use pillion_model::{Access, AccessHeader, AccessRule, AccessRules, Cidr, Cors};
use serde_json::{Map, Value};

use super::fields::{Fields, find, set};
use crate::ArmError;

/// App Service takes as many.
const MOST_RULES: usize = 512;
/// Values of one header, and blocks of one rule.
const MOST_VALUES: usize = 8;
/// In words of App Service's documentation, `X-Azure-FDID` and so on.
const HEADERS: [(&str, AccessHeader); 4] = [
    ("x-forwarded-host", AccessHeader::ForwardedHost),
    ("x-forwarded-for", AccessHeader::ForwardedFor),
    ("x-azure-fdid", AccessHeader::FrontDoorId),
    ("x-fd-healthprobe", AccessHeader::FrontDoorProbe),
];

/// Reads `ipSecurityRestrictions` in the order in which they are tried, and what holds for everybody else.
///
/// Rules for service tags and subnets fit no request here. One that would let requests in is kept and lets none in.
///
/// # Errors
/// A field is wrong, or a rule would keep requests out that cannot be told apart here.
pub fn access_rules(web: &Map<String, Value>, at: &str) -> Result<AccessRules, ArmError> {
    let web = Fields::new(web, at);
    let list = web.list("ipSecurityRestrictions")?.unwrap_or_default();
    let path = web.path("ipSecurityRestrictions");
    if list.len() > MOST_RULES {
        return Err(wrong(path, &format!("it has more than {MOST_RULES} rules")));
    }
    let mut rules = Vec::with_capacity(list.len());
    for (index, entry) in list.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let Value::Object(entry) = entry else {
            return Err(wrong(at, "it must be an object"));
        };
        rules.push(rule(Fields::new(entry, &at))?);
    }
    // Those of one priority stay in the order in which they are written.
    rules.sort_by_key(|(priority, _)| *priority);
    let given = web.word("ipSecurityRestrictionsDefaultAction", &["Allow", "Deny"])?;
    let others = match given {
        Some("Deny") => Access::Deny,
        Some(_) => Access::Allow,
        None if rules.is_empty() => Access::Allow,
        None => Access::Deny,
    };
    Ok(AccessRules { rules: rules.into_iter().map(|(_, rule)| rule).collect(), others })
}

fn rule(fields: Fields<'_>) -> Result<(i64, AccessRule), ArmError> {
    let refuse = |name: &str, why: &str| Err(wrong(fields.path(name), why));
    let given = |name: &str| -> Result<Option<String>, ArmError> {
        Ok(fields.text(name)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    };
    let then = match fields.word("action", &["Allow", "Deny"])? {
        Some("Deny") => Access::Deny,
        Some(_) | None => Access::Allow,
    };
    let priority = fields.number("priority", 1, i64::from(i32::MAX))?.unwrap_or(i64::from(i32::MAX));
    let is_tagged = fields.word("tag", &["Default", "XffProxy", "ServiceTag"])?.is_some_and(|tag| tag != "Default");
    let unknowable = [("vnetSubnetResourceId", given("vnetSubnetResourceId")?.is_some()), ("tag", is_tagged)];
    if let Some((name, _)) = unknowable.iter().find(|(_, is_given)| *is_given) {
        return match then {
            Access::Allow => Ok((priority, AccessRule { from: Vec::new(), headers: BTreeMap::new(), then })),
            Access::Deny => refuse(name, "which requests come from there cannot be told here, so none could be denied"),
        };
    }
    if given("subnetMask")?.is_some() {
        return refuse("subnetMask", "write the mask behind the address, as in 10.0.0.0/8");
    }
    let address = given("ipAddress")?;
    let blocks: Vec<&str> = match address.as_deref() {
        None => return refuse("ipAddress", "a rule names the addresses that it is for, or Any"),
        Some(any) if any.eq_ignore_ascii_case("any") => vec!["0.0.0.0/0", "::/0"],
        Some(list) => list.split(',').map(str::trim).collect(),
    };
    if blocks.len() > MOST_VALUES {
        return refuse("ipAddress", &format!("a rule has at most {MOST_VALUES} blocks of addresses"));
    }
    let block = |text: &&str| text.parse::<Cidr>().map_err(|error| wrong(fields.path("ipAddress"), &error.to_string()));
    let from = blocks.iter().map(block).collect::<Result<_, _>>()?;
    Ok((priority, AccessRule { from, headers: headers(fields)?, then }))
}

fn headers(rule: Fields<'_>) -> Result<BTreeMap<AccessHeader, Vec<String>>, ArmError> {
    let mut headers = BTreeMap::new();
    for (name, values) in rule.object("headers")?.into_iter().flatten().filter(|(_, values)| !values.is_null()) {
        let path = format!("{}.{name}", rule.path("headers"));
        let Some((_, header)) = HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
            let known = HEADERS.map(|(known, _)| known).join(", ");
            return Err(wrong(path, &format!("the headers of a rule are {known}")));
        };
        let texts = values.as_array().filter(|values| values.len() <= MOST_VALUES);
        let texts = texts.and_then(|values| values.iter().map(Value::as_str).collect::<Option<Vec<&str>>>());
        let Some(texts) = texts else { return Err(wrong(path, &format!("it must be a list of at most {MOST_VALUES} texts"))) };
        if *header == AccessHeader::ForwardedFor
            && let Some(error) = texts.iter().find_map(|text| text.parse::<Cidr>().err())
        {
            return Err(wrong(path, &error.to_string()));
        }
        // az writes the ones that a rule does not ask for as empty lists.
        if !texts.is_empty() {
            headers.insert(*header, texts.into_iter().map(str::to_owned).collect());
        }
    }
    Ok(headers)
}

fn wrong(path: String, why: &str) -> ArmError {
    let message = format!("The parameter {path} has an invalid value: {why}.");
    ArmError::bad_request(path, message)
}

/// Writes the priorities of rules as numbers: `az` sends text and everybody reads numbers.
pub(super) fn number_priorities(web: &mut Map<String, Value>) {
    let rules = web.iter_mut().filter(|(name, _)| name.to_ascii_lowercase().ends_with("ipsecurityrestrictions"));
    for rule in rules.filter_map(|(_, list)| list.as_array_mut()).flatten().filter_map(Value::as_object_mut) {
        if let Some(priority) = find(rule, "priority").and_then(|priority| priority.as_str()?.trim().parse::<i64>().ok()) {
            set(rule, "priority", priority);
        }
    }
}

/// Reads `cors`; none where no origin is allowed, since the program then speaks for itself.
///
/// # Errors
/// A field is wrong.
pub fn cors(web: &Map<String, Value>, at: &str) -> Result<Option<Cors>, ArmError> {
    let web = Fields::new(web, at);
    let Some(cors) = web.object("cors")? else { return Ok(None) };
    let path = web.path("cors");
    let fields = Fields::new(cors, &path);
    let credentials = fields.flag("supportCredentials")?.unwrap_or(false);
    let mut origins = Vec::new();
    for (index, origin) in fields.list("allowedOrigins")?.unwrap_or_default().iter().enumerate() {
        let Some(origin) = origin.as_str().map(str::trim).filter(|origin| !origin.is_empty()) else {
            return Err(wrong(format!("{path}.allowedOrigins[{index}]"), "it must be an origin or *"));
        };
        origins.push(origin.to_owned());
    }
    if origins.is_empty() {
        return Ok(None);
    }
    let cors = Cors { origins, credentials };
    if credentials && cors.allows_everybody() {
        return Err(wrong(fields.path("supportCredentials"), "credentials need origins by name, not *"));
    }
    Ok(Some(cors))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(web: &Value) -> Result<AccessRules, String> {
        access_rules(web.as_object().expect("an object"), "properties").map_err(|error| error.message)
    }

    #[test]
    fn rules_are_tried_by_priority_and_whoever_fits_none_is_denied() {
        let web = json!({ "ipSecurityRestrictions": [
            { "ipAddress": "Any", "action": "Deny", "priority": 2_147_483_647, "name": "Deny all" },
            { "ipAddress": "192.0.2.0/24, 2001:db8::/32", "priority": "200", "action": "allow" },
            { "ipAddress": "192.0.2.7", "action": "Deny", "priority": 100, "headers": { "X-Forwarded-Host": ["a.example"] } },
            { "vnetSubnetResourceId": "/subscriptions/s/subnets/a", "priority": 150 },
        ] });
        let rules = read(&web).expect("good rules");
        let told: Vec<(usize, Access)> = rules.rules.iter().map(|rule| (rule.from.len(), rule.then)).collect();
        assert_eq!(told, [(1, Access::Deny), (0, Access::Allow), (2, Access::Allow), (2, Access::Deny)]);
        assert_eq!(rules.rules[0].headers[&AccessHeader::ForwardedHost], ["a.example"]);
        assert_eq!(rules.others, Access::Deny);
        assert_eq!(read(&json!({})), Ok(AccessRules::default()));
        let open = json!({ "ipSecurityRestrictionsDefaultAction": "Allow", "ipSecurityRestrictions": [{ "ipAddress": "192.0.2.7/32", "action": "Deny" }] });
        assert_eq!(read(&open).map(|rules| rules.others), Ok(Access::Allow));
        assert_eq!(read(&json!({ "ipSecurityRestrictionsDefaultAction": "Deny" })).map(|rules| rules.others), Ok(Access::Deny));
    }

    #[test]
    fn a_rule_that_cannot_hold_is_refused_by_its_field() {
        for (rule, field) in [
            (json!({ "ipAddress": "10.0.0.0/33" }), "ipAddress"),
            (json!({ "ipAddress": "here" }), "ipAddress"),
            (json!({ "priority": 1 }), "ipAddress"),
            (json!({ "ipAddress": "10.0.0.1", "action": "Maybe" }), "action"),
            (json!({ "ipAddress": "10.0.0.1", "priority": 0 }), "priority"),
            (json!({ "ipAddress": "AzureCloud", "tag": "ServiceTag", "action": "Deny" }), "tag"),
            (json!({ "vnetSubnetResourceId": "/x", "action": "Deny" }), "vnetSubnetResourceId"),
            (json!({ "ipAddress": "10.0.0.0", "subnetMask": "255.0.0.0" }), "subnetMask"),
            (json!({ "ipAddress": "10.0.0.1", "headers": { "cookie": ["a"] } }), "headers.cookie"),
            (json!({ "ipAddress": "10.0.0.1", "headers": { "x-forwarded-for": ["a"] } }), "headers.x-forwarded-for"),
            (json!({ "ipAddress": "10.0.0.1", "headers": { "x-azure-fdid": "a" } }), "headers.x-azure-fdid"),
        ] {
            let refused = read(&json!({ "ipSecurityRestrictions": [rule] })).expect_err("a bad rule");
            assert!(refused.contains(&format!("properties.ipSecurityRestrictions[0].{field} ")), "{refused}");
        }
    }

    #[test]
    fn cors_needs_origins_by_name_where_cookies_go_along() {
        let read = |value: Value| {
            let web = json!({ "cors": value });
            cors(web.as_object().expect("an object"), "properties").map_err(|error| error.message)
        };
        let one = Cors { origins: vec!["https://shop.example".to_owned()], credentials: true };
        assert_eq!(read(json!({ "allowedOrigins": ["https://shop.example"], "supportCredentials": true })), Ok(Some(one)));
        assert_eq!(read(json!({ "allowedOrigins": [], "supportCredentials": true })), Ok(None));
        assert_eq!(read(Value::Null), Ok(None));
        let refused = read(json!({ "allowedOrigins": ["*"], "supportCredentials": true })).expect_err("a contradiction");
        assert!(refused.contains("properties.cors.supportCredentials"), "{refused}");
        let refused = read(json!({ "allowedOrigins": [1] })).expect_err("no origin");
        assert!(refused.contains("properties.cors.allowedOrigins[0]"), "{refused}");
    }
}
