//! `pillion az`: points the unmodified Azure CLI at this server.

use std::{io, path::PathBuf, process::Command};

use pillion_api::wire::{CreatePrincipal, EndpointInfo, PrincipalCreated, PrincipalView, RevokePrincipal};

use super::{Context, principal::role};
use crate::{
    cli::{AzCommand, RoleWord, Shell},
    client::Ask,
    complaint::Complaint,
    output,
};

/// The name under which the cloud is registered.
const CLOUD: &str = "pillion";
/// How the names of principals begin that a set-up made.
const MADE_HERE: &str = "az-setup-";

pub async fn run(context: &Context, command: AzCommand) -> Result<(), Complaint> {
    let endpoint: EndpointInfo = context.client.ask(Ask::get("/v1/system/endpoint")).await?;
    let variables = variables(context, &endpoint)?;
    match command {
        AzCommand::Env { shell } => output::print(&exports(&variables, shell)),
        AzCommand::Setup { role } => setup(context, &endpoint, &variables, role).await,
    }
}

/// What makes `az`, the SDKs and what they are built on speak to this server and trust it.
fn variables(context: &Context, endpoint: &EndpointInfo) -> Result<Vec<(&'static str, String)>, Complaint> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| Complaint::new("HOME is not set, so there is no place for az's configuration"))?;
    let mut config = PathBuf::from(home).join(".azure-pillion");
    if let Some(root) = context.layout.root() {
        // Each copy has its own logins.
        let tag = root.to_string_lossy().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        config.as_mut_os_string().push(tag);
    }
    let mut no_proxy = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let current = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).unwrap_or_default();
    no_proxy.extend(current.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned));
    no_proxy.dedup();
    let mut seen = std::collections::BTreeSet::new();
    no_proxy.retain(|host| seen.insert(host.clone()));
    Ok(vec![
        ("AZURE_CONFIG_DIR", config.display().to_string()),
        ("REQUESTS_CA_BUNDLE", endpoint.bundle_file.clone()),
        ("SSL_CERT_FILE", endpoint.bundle_file.clone()),
        ("AZURE_CORE_COLLECT_TELEMETRY", "no".to_owned()),
        ("NO_PROXY", no_proxy.join(",")),
        ("PILLION_ENDPOINT", endpoint.url.clone()),
    ])
}

fn exports(variables: &[(&'static str, String)], shell: Shell) -> String {
    let line = |(name, value): &(&'static str, String)| match shell {
        Shell::Sh => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
        Shell::Fish => format!("set -gx {name} '{}'\n", value.replace('\\', r"\\").replace('\'', r"\'")),
        Shell::Powershell => format!("$env:{name} = '{}'\n", value.replace('\'', "''")),
    };
    variables.iter().map(line).collect()
}

async fn setup(
    context: &Context,
    endpoint: &EndpointInfo,
    variables: &[(&'static str, String)],
    word: RoleWord,
) -> Result<(), Complaint> {
    // Before anything is made: without az nothing of it would be of use.
    let az = |args: &[&str]| {
        let mut command = Command::new("az");
        command.args(args).envs(variables.iter().map(|(name, value)| (name, value)));
        command.env("AZURE_CORE_ONLY_SHOW_ERRORS", "true");
        command
    };
    eprintln!("looking for az");
    run_az(az(&["version", "--output", "none"]), "az version")?;

    let before = logged_in_as(az(&["account", "show", "--query", "user.name", "--output", "tsv"]));
    let mut random = [0; 4];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Complaint::new("there is no random name to be had").because(Some(&error)))?;
    let name = format!("{MADE_HERE}{:08x}", u32::from_ne_bytes(random));
    let asked = CreatePrincipal { name: Some(name), role: Some(role(word)), ..CreatePrincipal::default() };
    let made: PrincipalCreated = context.client.ask(Ask::post("/v1/principals").json(&asked)).await?;
    eprintln!("made the principal {} ({}), {}", made.principal.display_name, made.principal.app_id, role(word));
    if let Err(complaint) = log_in(endpoint, &az, &made) {
        // Nobody knows its secret any more.
        if revoke(context, made.principal.app_id).await.is_err() {
            eprintln!("{} could not be revoked and is still good", made.principal.display_name);
        }
        return Err(complaint);
    }
    if revoke_earlier(context, before).await.is_err() {
        eprintln!("the principal of an earlier set-up could not be revoked and is still good; see `pillion principal list`");
    }
    eprintln!("az is logged in. In each shell that is to use it:\n");
    let copy = context.layout.root().map(|root| format!(" --root {}", root.display())).unwrap_or_default();
    output::print(&format!("eval \"$(pillion az env{copy})\"\n"))
}

/// Registers the cloud with az and logs it in.
fn log_in(endpoint: &EndpointInfo, az: &dyn Fn(&[&str]) -> Command, made: &PrincipalCreated) -> Result<(), Complaint> {
    // The slash at the end is part of it: az builds addresses both ways.
    let url = format!("{}/", endpoint.url);
    let listed = az(&["cloud", "show", "--name", CLOUD, "--output", "none"]);
    let verb = if quiet(listed) { "update" } else { "register" };
    eprintln!("registering the cloud `{CLOUD}` at {url}");
    let mut register = az(&["cloud", verb, "--name", CLOUD, "--endpoint-resource-manager", &url]);
    if verb == "update" {
        // An update changes what it is given and nothing else.
        register.args(["--endpoint-active-directory", &format!("{}/adfs", endpoint.url)]);
        register.args(["--endpoint-active-directory-resource-id", &endpoint.url]);
    }
    run_az(register, "az cloud register")?;
    run_az(az(&["cloud", "set", "--name", CLOUD]), "az cloud set")?;
    eprintln!("logging in");
    let (id, secret) = (&made.principal.app_id, made.password.as_deref().unwrap_or_default());
    let login =
        ["login", "--service-principal", "--username", id, "--password", secret, "--tenant", &made.tenant, "--output", "none"];
    run_az(az(&login), "az login")
}

/// The secret of an earlier set-up is not needed any more; what somebody logged in with otherwise is theirs.
async fn revoke_earlier(context: &Context, before: Option<String>) -> Result<(), Complaint> {
    let Some(before) = before else { return Ok(()) };
    let principals: Vec<PrincipalView> = context.client.ask(Ask::get("/v1/principals")).await?;
    let earlier = principals
        .into_iter()
        .find(|one| one.app_id == before && one.display_name.starts_with(MADE_HERE) && one.revoked_ms.is_none());
    if let Some(earlier) = earlier {
        let revoked = revoke(context, earlier.app_id).await?;
        eprintln!("revoked {}, which this az was logged in as before", revoked.display_name);
    }
    Ok(())
}

async fn revoke(context: &Context, principal: String) -> Result<PrincipalView, Complaint> {
    Ok(context.client.ask(Ask::post("/v1/principals/revoke").json(&RevokePrincipal { principal })).await?)
}

fn logged_in_as(mut command: Command) -> Option<String> {
    let output = command.stderr(std::process::Stdio::null()).output().ok().filter(|output| output.status.success())?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}

/// Runs it with what it says going to standard error.
fn run_az(mut command: Command, name: &str) -> Result<(), Complaint> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Complaint::new(format!("`{name}` failed")).cause(format!("it ended with {status}"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Complaint::new("there is no `az` on this machine")
            .hint("install the Azure CLI (a Python environment will do: `pip install azure-cli`), then run this again")),
        Err(error) => Err(Complaint::new(format!("could not run `{name}`")).because(Some(&error))),
    }
}

fn quiet(mut command: Command) -> bool {
    let (out, err) = (std::process::Stdio::null(), std::process::Stdio::null());
    command.stdout(out).stderr(err).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_each_shell() {
        let variables = [("A", "it's".to_owned())];
        assert_eq!(exports(&variables, Shell::Sh), "export A='it'\\''s'\n");
        assert_eq!(exports(&variables, Shell::Fish), "set -gx A 'it\\'s'\n");
        assert_eq!(exports(&variables, Shell::Powershell), "$env:A = 'it''s'\n");
    }
}
