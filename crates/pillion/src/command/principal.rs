//! `pillion principal`: who may log in at the TLS endpoint.

use std::io::BufRead;

use pillion_api::wire::{ApproveLogin, CreatePrincipal, PrincipalCreated, PrincipalView, RevokePrincipal};

use super::Context;
use crate::{
    cli::{CreateArgs, Format, PrincipalCommand, RoleWord},
    client::Ask,
    complaint::Complaint,
    output::{self, Table},
};

pub async fn run(context: &Context, command: PrincipalCommand) -> Result<(), Complaint> {
    match command {
        PrincipalCommand::Create(args) => create(context, args).await,
        PrincipalCommand::List => list(context).await,
        PrincipalCommand::Revoke { principal } => {
            let revoked: PrincipalView =
                context.client.ask(Ask::post("/v1/principals/revoke").json(&RevokePrincipal { principal })).await?;
            eprintln!("{} is revoked", revoked.display_name);
            Ok(())
        }
        PrincipalCommand::Approve { code, principal } => {
            let approved: PrincipalView =
                context.client.ask(Ask::post("/v1/principals/approve").json(&ApproveLogin { code, principal })).await?;
            eprintln!("the waiting login is {} now", approved.display_name);
            Ok(())
        }
    }
}

/// The role as the API spells it.
pub fn role(word: RoleWord) -> String {
    match word {
        RoleWord::Owner => "Owner",
        RoleWord::Contributor => "Contributor",
        RoleWord::Reader => "Reader",
    }
    .to_owned()
}

async fn create(context: &Context, args: CreateArgs) -> Result<(), Complaint> {
    let asked = CreatePrincipal {
        name: args.name,
        kind: args.user.then(|| "user".to_owned()),
        password: args.password_stdin.then(password).transpose()?,
        role: Some(role(args.role)),
        scopes: args.scopes,
    };
    let created: PrincipalCreated = context.client.ask(Ask::post("/v1/principals").json(&asked)).await?;
    output::print_as(&created, context.format(Format::Table), |created| {
        let grants: Vec<String> =
            created.principal.grants.iter().map(|grant| format!("{} at {}", grant.role, grant.scope)).collect();
        let password = created.password.as_deref().unwrap_or("as given");
        let rows = [
            ("name", created.principal.display_name.as_str()),
            ("id", created.principal.app_id.as_str()),
            ("password", password),
            ("tenant", created.tenant.as_str()),
            ("may", &grants.join(", ")),
        ];
        rows.iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect()
    })?;
    if created.password.is_some() {
        eprintln!("the password is not shown again");
    }
    Ok(())
}

fn password() -> Result<String, Complaint> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Complaint::new("could not read the password from standard input").because(Some(&error)))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn list(context: &Context) -> Result<(), Complaint> {
    let principals: Vec<PrincipalView> = context.client.ask(Ask::get("/v1/principals")).await?;
    output::print_as(&principals, context.format(Format::Table), |principals| {
        let mut table = Table::new(&["NAME", "ID", "KIND", "MAY"]);
        for principal in principals {
            let grants: Vec<String> = principal.grants.iter().map(|grant| format!("{} at {}", grant.role, grant.scope)).collect();
            let may = if principal.revoked_ms.is_some() { "revoked".to_owned() } else { grants.join(", ") };
            table.row([principal.display_name.clone(), principal.app_id.clone(), principal.kind.clone(), may]);
        }
        table.text("")
    })
}
