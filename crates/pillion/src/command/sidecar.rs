//! `pillion sidecar`: edits an app's definition, one sidecar at a time, against the etag it was read with.

use std::str::FromStr;

use pillion_api::wire::{AppDocument, ApplyOutcome, ApplyRequest};
use pillion_model::{App, AppName, Bytes, Condition, Container, ContainerName, EnvValue};
use serde_json::json;

use super::{Context, app_name, credentials, rollout};
use crate::{
    cli::{Format, SidecarCommand, SidecarFields},
    client::Ask,
    complaint::Complaint,
    output::{self, Table},
    paint::Paint,
};

pub async fn run(context: &Context, command: SidecarCommand) -> Result<(), Complaint> {
    match command {
        SidecarCommand::Add { app, name, image, fields } => {
            let (app, name) = (app_name(&app)?, container_name(&name)?);
            edit(context, &app, |definition| {
                if definition.containers.contains_key(&name) {
                    return Err(Complaint::conflict(format!("{app} already has a container `{name}`"))
                        .hint(format!("`pillion sidecar update {app} {name} …` changes it")));
                }
                let mut container = bare(&image)?;
                set(&mut container, &fields)?;
                definition.containers.insert(name.clone(), container);
                Ok(())
            })
            .await
        }
        SidecarCommand::Update { app, name, image, unset_env, fields } => {
            let (app, name) = (app_name(&app)?, container_name(&name)?);
            edit(context, &app, |definition| {
                let container = sidecar(definition, &app, &name)?;
                if let Some(image) = &image {
                    container.image.clone_from(image);
                }
                for variable in &unset_env {
                    container.env.shift_remove(variable);
                }
                set(container, &fields)
            })
            .await
        }
        SidecarCommand::Remove { app, name } => {
            let (app, name) = (app_name(&app)?, container_name(&name)?);
            edit(context, &app, |definition| {
                sidecar(definition, &app, &name)?;
                definition.containers.shift_remove(&name);
                Ok(())
            })
            .await
        }
        SidecarCommand::List(args) => list(context, &app_name(&args.app)?).await,
    }
}

async fn list(context: &Context, app: &AppName) -> Result<(), Complaint> {
    let document = read(context, app).await?;
    let sidecars: Vec<_> = document.definition.containers.iter().filter(|(_, container)| !container.main).collect();
    let values: Vec<_> = sidecars
        .iter()
        .map(|(name, container)| {
            let mut value = serde_json::to_value(container).unwrap_or_else(|_| json!({}));
            value["name"] = json!(name);
            value
        })
        .collect();
    output::print_as(&values, context.format(Format::Table), |_| {
        let mut table = Table::new(&["NAME", "IMAGE", "PORT", "ESSENTIAL"]);
        for (name, container) in &sidecars {
            table.row([
                name.to_string(),
                container.image.clone(),
                container.port.map_or_else(|| "-".into(), |port| port.to_string()),
                if container.essential { "yes" } else { "no" }.into(),
            ]);
        }
        table.text("")
    })
}

async fn read(context: &Context, app: &AppName) -> Result<AppDocument, Complaint> {
    Ok(context.client.ask(Ask::get(format!("/v1/apps/{app}"))).await?)
}

/// Reads, changes, applies only if nobody else changed the app in between, and waits.
async fn edit(context: &Context, app: &AppName, change: impl FnOnce(&mut App) -> Result<(), Complaint>) -> Result<(), Complaint> {
    let AppDocument { etag, mut definition, .. } = read(context, app).await?;
    change(&mut definition)?;
    let credentials = credentials::for_app(&definition).await?;
    let definition = serde_json::to_value(&definition).map_err(|error| Complaint::from_error(&error))?;
    let ask = Ask::put(format!("/v1/apps/{app}")).json(&ApplyRequest { definition, credentials }).if_match(format!("\"{etag}\""));
    let outcome: ApplyOutcome = context.client.ask(ask).await?;
    for step in &outcome.steps {
        eprintln!("{step}");
    }
    rollout::follow(context, app.as_str(), outcome.revision).await?;
    eprintln!("{} {app} is ready (revision {})", Paint::for_stderr().good("✓"), outcome.revision);
    Ok(())
}

fn sidecar<'a>(app: &'a mut App, of: &AppName, name: &ContainerName) -> Result<&'a mut Container, Complaint> {
    let names: Vec<String> =
        app.containers.iter().filter(|(_, container)| !container.main).map(|(name, _)| name.to_string()).collect();
    match app.containers.get_mut(name) {
        Some(container) if container.main => Err(Complaint::usage(format!("`{name}` is the main container of {of}"))
            .hint(format!("change it in the app file: `pillion show {of} > {of}.yaml`, then `pillion apply -f {of}.yaml`"))),
        Some(container) => Ok(container),
        None => {
            let complaint = Complaint::not_found(format!("{of} has no sidecar `{name}`"));
            Err(if names.is_empty() { complaint } else { complaint.hint(format!("it has {}", names.join(", "))) })
        }
    }
}

fn bare(image: &str) -> Result<Container, Complaint> {
    serde_json::from_value(json!({ "image": image })).map_err(|error| Complaint::from_error(&error))
}

fn set(container: &mut Container, fields: &SidecarFields) -> Result<(), Complaint> {
    if fields.port.is_some() {
        container.port = fields.port;
    }
    for given in &fields.env {
        let (name, value) =
            given.split_once('=').ok_or_else(|| Complaint::usage(format!("`--env {given}` is not NAME=VALUE")))?;
        let value = match value.strip_prefix('@') {
            Some(setting) => EnvValue::FromSetting { from_setting: setting.to_owned() },
            None => EnvValue::Literal(value.to_owned()),
        };
        container.env.insert(name.to_owned(), value);
    }
    if let Some(command) = &fields.command {
        container.command = Some(command.split_whitespace().map(str::to_owned).collect());
    }
    if let Some(memory) = &fields.memory {
        container.resources.memory = Some(size(memory)?);
    }
    if fields.cpu.is_some() {
        container.resources.cpu = fields.cpu;
    }
    for given in &fields.depends_on {
        let (name, condition) = given.split_once('=').unwrap_or((given, "started"));
        container.depends_on.insert(container_name(name)?, condition_of(condition)?);
    }
    container.essential |= fields.essential;
    Ok(())
}

fn size(given: &str) -> Result<Bytes, Complaint> {
    serde_json::from_value(json!(given)).map_err(|error| Complaint::usage(format!("`--memory {given}` is not a size: {error}")))
}

fn condition_of(given: &str) -> Result<Condition, Complaint> {
    match given {
        "started" => Ok(Condition::Started),
        "healthy" => Ok(Condition::Healthy),
        "completed" => Ok(Condition::Completed),
        _ => Err(Complaint::usage(format!("`{given}` is none of started, healthy, completed"))),
    }
}

fn container_name(given: &str) -> Result<ContainerName, Complaint> {
    ContainerName::from_str(given).map_err(|error| Complaint::usage(error.to_string()))
}
