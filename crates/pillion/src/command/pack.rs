//! `pillion image pack`: makes an image in this process, as the caller; the server has no part in it.

use std::path::PathBuf;

use pillion_image::{
    Credential,
    pack::{Add, Recipe, epoch_from_environment, push},
};
use serde::Serialize;

use super::{Context, credentials};
use crate::{
    cli::{Format, PackArgs},
    complaint::Complaint,
    output,
    paint::Paint,
};

/// What was made, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    digest: String,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<String>,
    warnings: Vec<String>,
}

pub async fn run(context: &Context, args: PackArgs) -> Result<(), Complaint> {
    let recipe = recipe(&args)?;
    // Pushed only: the layout is on the way, not a result.
    let scratch = match &args.to {
        Some(_) => None,
        None => Some(Scratch::make()?),
    };
    let out = match (&args.to, &scratch) {
        (Some(dir), _) => dir.clone(),
        (None, Some(scratch)) => scratch.0.join("image"),
        (None, None) => return Err(Complaint::usage("name where the image goes with `--to` or `--push`")),
    };
    let built = tokio::task::spawn_blocking(move || recipe.build(&out)).await;
    let packed = built
        .map_err(|error| Complaint::from_error(&error))?
        .map_err(|error| Complaint::new("could not pack the image").because(Some(&error)))?;
    for warning in &packed.warnings {
        eprintln!("{} {warning}", Paint::for_stderr().warn("warning:"));
    }
    let mut made = Made {
        digest: packed.digest.to_string(),
        size_bytes: packed.size,
        layout: args.to.clone(),
        pushed: None,
        warnings: packed.warnings.clone(),
    };
    if let Some(image) = &args.push {
        made.pushed = Some(send(&packed.layout, image).await?);
    }
    output::print_as(&made, context.format(Format::Table), |made| match &made.pushed {
        Some(pinned) => format!("{pinned}\n"),
        None => format!("{}\n", made.digest),
    })
}

async fn send(layout: &std::path::Path, image: &str) -> Result<String, Complaint> {
    let failed = |fault: pillion_fault::Fault, error: &dyn std::error::Error| {
        let complaint = Complaint::new(format!("could not push {image}")).because(Some(error));
        match fault.hint() {
            Some(hint) => complaint.hint(hint),
            None => complaint,
        }
    };
    let name: pillion_image::ImageName = image.parse().map_err(|error: pillion_image::NameInvalid| {
        Complaint::usage(error.to_string()).hint("write it as registry/name:tag, e.g. localhost:5000/shop/web:1")
    })?;
    let credential = credentials::for_images([image]).await?.into_values().next();
    let credential = credential.map(|c| Credential::Password { user: c.username, password: c.password });
    let settings = pillion_image::Settings::default();
    let pushed = push(layout, &name, credential.as_ref(), &settings).await;
    pushed.map(|pushed| pushed.pinned).map_err(|error| failed((&error).into(), &error))
}

fn recipe(args: &PackArgs) -> Result<Recipe, Complaint> {
    let mut recipe = Recipe {
        entrypoint: args.entrypoint.clone(),
        cmd: args.cmd.clone(),
        working_dir: args.workdir.clone(),
        user: args.user.clone(),
        ports: args.expose.clone(),
        name: args.push.clone(),
        ca_certificates: true,
        epoch: epoch_from_environment(),
        ..Recipe::default()
    };
    for given in &args.dir {
        recipe.adds.push(match given.rsplit_once(':') {
            Some(_) => added(given)?,
            None => Add { source: given.into(), destination: "/".into() },
        });
    }
    for given in &args.program {
        match given.rsplit_once(':') {
            Some(_) => recipe.adds.push(added(given)?),
            None => recipe.programs.push(absolute(given)?),
        }
    }
    for given in &args.env {
        let (name, value) =
            given.split_once('=').ok_or_else(|| Complaint::usage(format!("`--env {given}` is not NAME=VALUE")))?;
        recipe.env.push((name.to_owned(), value.to_owned()));
    }
    // One program under another path is still the obvious thing to run.
    if let ([], [], [only]) = (recipe.entrypoint.as_slice(), recipe.programs.as_slice(), args.program.as_slice()) {
        let target = only.rsplit_once(':').map(|(_, target)| target.to_owned());
        recipe.entrypoint.extend(target);
    }
    Ok(recipe)
}

fn added(given: &str) -> Result<Add, Complaint> {
    given.parse().map_err(|error: pillion_image::pack::PackError| {
        Complaint::usage(error.to_string()).hint("write SOURCE:TARGET, the target an absolute path in the image")
    })
}

fn absolute(given: &str) -> Result<PathBuf, Complaint> {
    std::path::absolute(given).map_err(|error| Complaint::new(format!("could not find {given}")).because(Some(&error)))
}

/// A directory that goes with the command.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self, Complaint> {
        let dir = std::env::temp_dir().join(format!("pillion-pack-{}", std::process::id()));
        // Not recursive: a directory that somebody else has put there is not used.
        std::fs::create_dir(&dir)
            .map_err(|error| Complaint::new(format!("could not make {}", dir.display())).because(Some(&error)))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("could not remove {}: {error}", self.0.display());
        }
    }
}
