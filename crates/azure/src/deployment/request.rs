//! What a client asks for: the body of a deployment's PUT, `validate` and `whatIf`, read and checked.

use pillion_arm::ArmError;
use pillion_arm_template::{Document, Link, read};
use serde_json::Value;

use super::record::Mode;

/// A request, before its links are fetched.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) location: Option<String>,
    pub(crate) tags: Option<Value>,
    pub(crate) mode: Mode,
    pub(crate) template: Given,
    /// `{name: {value}}`; secrets may be in it.
    pub(crate) parameters: Parameters,
    pub(crate) on_error: Option<OnError>,
    /// what-if only: ids and kinds of change, nothing of the resources.
    pub(crate) ids_only: bool,
}

/// The deployment to go back to when this one fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnError {
    LastSuccessful,
    Specific(String),
}

/// Where the template stands.
pub(crate) enum Given {
    Inline(Document),
    Linked(Link),
}

/// The parameters as sent, and where more of them stand.
#[derive(Default)]
pub(crate) struct Parameters {
    pub(crate) given: Value,
    pub(crate) link: Option<Link>,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Given::Inline(_) => "Inline",
            Given::Linked(_) => "Linked",
        })
    }
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameters").finish_non_exhaustive()
    }
}

impl Request {
    /// Reads the body as az and the SDKs send it. Slow for large ones: meant for a worker.
    ///
    /// # Errors
    /// `InvalidRequestContent` with what is missing or wrong.
    pub(crate) fn read(body: &[u8]) -> Result<Request, ArmError> {
        let document = read(body).map_err(refusal)?;
        let root = document.root();
        let properties = member(root, "properties").filter(|properties| properties.is_object());
        let properties =
            properties.ok_or_else(|| ArmError::content("The request has no 'properties' object.").at("properties"))?;
        let mode = match member(properties, "mode") {
            None => Mode::Incremental,
            Some(mode) => mode.as_str().and_then(Mode::parse).ok_or_else(|| {
                ArmError::content(format!("The deployment mode {mode} is not one of 'Incremental' and 'Complete'."))
                    .at("properties.mode")
            })?,
        };
        let inline = document.part(&["properties", "template"]).filter(|template| !template.root().is_null());
        let template = match (inline, link(properties, "templateLink")?) {
            (Some(_), Some(_)) => {
                return Err(
                    ArmError::content("Give either 'template' or 'templateLink', not both.").at("properties.templateLink")
                );
            }
            (Some(template), None) => Given::Inline(template),
            (None, Some(link)) => Given::Linked(link),
            (None, None) => {
                return Err(ArmError::content("The request has neither 'template' nor 'templateLink'.").at("properties.template"));
            }
        };
        let parameters = Parameters {
            given: member(properties, "parameters").cloned().unwrap_or(Value::Null),
            link: link(properties, "parametersLink")?,
        };
        let text = |name| member(root, name).and_then(Value::as_str).map(str::to_owned);
        Ok(Request {
            location: text("location").filter(|location| !location.is_empty()),
            tags: member(root, "tags").cloned(),
            mode,
            template,
            parameters,
            on_error: on_error(properties)?,
            ids_only: member(properties, "whatIfSettings")
                .and_then(|settings| member(settings, "resultFormat"))
                .and_then(Value::as_str)
                .is_some_and(|format| format.eq_ignore_ascii_case("ResourceIdOnly")),
        })
    }
}

/// Turns the template language's refusal into an answer.
pub(crate) fn refusal(error: pillion_arm_template::Error) -> ArmError {
    ArmError::new(400, error.code().as_str(), error.to_string())
}

/// Returns the member of this name in any case; `null` is none.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let members = value.as_object()?;
    let found =
        members.get(name).or_else(|| members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// Reads `onErrorDeployment`: `{type, deploymentName}`.
fn on_error(properties: &Value) -> Result<Option<OnError>, ArmError> {
    let Some(given) = member(properties, "onErrorDeployment") else { return Ok(None) };
    let refused = |message: &str, field: &str| Err(ArmError::content(message).at(format!("properties.onErrorDeployment{field}")));
    if !given.is_object() {
        return refused("'onErrorDeployment' is an object with a 'type'.", "");
    }
    let name = member(given, "deploymentName").map(|name| name.as_str().unwrap_or_default().to_owned());
    let is = |kind: &Value, word: &str| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(word));
    match (member(given, "type"), name) {
        (Some(kind), None) if is(kind, "LastSuccessful") => Ok(Some(OnError::LastSuccessful)),
        (Some(kind), Some(name)) if is(kind, "SpecificDeployment") && !name.is_empty() => Ok(Some(OnError::Specific(name))),
        (Some(kind), Some(_)) if is(kind, "LastSuccessful") => {
            refused("A 'deploymentName' goes with the type 'SpecificDeployment' only.", ".deploymentName")
        }
        (Some(kind), _) if is(kind, "SpecificDeployment") => {
            refused("The type 'SpecificDeployment' needs the 'deploymentName' of a deployment.", ".deploymentName")
        }
        (_, _) => refused("The type of 'onErrorDeployment' is 'LastSuccessful' or 'SpecificDeployment'.", ".type"),
    }
}

fn link(properties: &Value, name: &'static str) -> Result<Option<Link>, ArmError> {
    let Some(given) = member(properties, name) else { return Ok(None) };
    let text = |field| member(given, field).and_then(Value::as_str).map(str::to_owned).filter(|text| !text.is_empty());
    let link = Link { uri: text("uri"), id: text("id"), content_version: text("contentVersion"), query: text("queryString") };
    match (&link.uri, &link.id) {
        (None, None) => Err(ArmError::content(format!("'{name}' has no 'uri'.")).at(format!("properties.{name}.uri"))),
        (Some(_), _) | (_, Some(_)) => Ok(Some(link)),
    }
}
