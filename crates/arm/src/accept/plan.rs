//! App Service plans: which sizes there are, and how many instances each may have.

use serde_json::{Map, Value, json};

use super::{
    Write,
    fields::{Fields, overlay, take},
};
use crate::{ArmError, Resource};

/// A size that plans may have. Its memory and CPU are what an instance of an app gets at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Size {
    pub(crate) name: &'static str,
    pub(crate) tier: &'static str,
    pub(crate) cpu: f64,
    pub(crate) memory_mib: u64,
    /// Most instances of the tier.
    pub(crate) instances: u32,
}

const fn size(name: &'static str, tier: &'static str, cpu: f64, memory_mib: u64, instances: u32) -> Size {
    Size { name, tier, cpu, memory_mib, instances }
}

/// What the instances of a plan may use together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PlanRoom {
    pub cores: f64,
    pub memory_bytes: u64,
}

/// Reads a plan's size and capacity.
pub fn plan_room(plan: &Resource) -> Option<PlanRoom> {
    let sku = plan.sku.as_ref()?;
    let name = sku.get("name")?.as_str()?;
    let size = SIZES.iter().find(|size| size.name.eq_ignore_ascii_case(name))?;
    let instances = sku.get("capacity").and_then(Value::as_u64).unwrap_or(1).max(1);
    Some(PlanRoom { cores: size.cpu * instances as f64, memory_bytes: (size.memory_mib << 20) * instances })
}

/// The sizes, as documented for App Service on Linux.
pub(crate) const SIZES: [Size; 31] = [
    size("F1", "Free", 1.0, 1024, 1),
    size("D1", "Shared", 1.0, 1024, 1),
    size("B1", "Basic", 1.0, 1792, 3),
    size("B2", "Basic", 2.0, 3584, 3),
    size("B3", "Basic", 4.0, 7168, 3),
    size("S1", "Standard", 1.0, 1792, 10),
    size("S2", "Standard", 2.0, 3584, 10),
    size("S3", "Standard", 4.0, 7168, 10),
    size("P1", "Premium", 1.0, 1792, 20),
    size("P2", "Premium", 2.0, 3584, 20),
    size("P3", "Premium", 4.0, 7168, 20),
    size("P1v2", "PremiumV2", 1.0, 3584, 30),
    size("P2v2", "PremiumV2", 2.0, 7168, 30),
    size("P3v2", "PremiumV2", 4.0, 14_336, 30),
    size("P0v3", "PremiumV3", 1.0, 4096, 30),
    size("P1v3", "PremiumV3", 2.0, 8192, 30),
    size("P2v3", "PremiumV3", 4.0, 16_384, 30),
    size("P3v3", "PremiumV3", 8.0, 32_768, 30),
    size("P1mv3", "PremiumMV3", 2.0, 16_384, 30),
    size("P2mv3", "PremiumMV3", 4.0, 32_768, 30),
    size("P3mv3", "PremiumMV3", 8.0, 65_536, 30),
    size("P4mv3", "PremiumMV3", 16.0, 131_072, 30),
    size("P5mv3", "PremiumMV3", 32.0, 262_144, 30),
    size("P0v4", "PremiumV4", 1.0, 4096, 30),
    size("P1v4", "PremiumV4", 2.0, 8192, 30),
    size("P2v4", "PremiumV4", 4.0, 16_384, 30),
    size("P3v4", "PremiumV4", 8.0, 32_768, 30),
    size("P1mv4", "PremiumMV4", 2.0, 16_384, 30),
    size("P2mv4", "PremiumMV4", 4.0, 32_768, 30),
    size("P3mv4", "PremiumMV4", 8.0, 65_536, 30),
    size("P4mv4", "PremiumMV4", 16.0, 131_072, 30),
];

/// What is computed when a plan is shown, never stored.
const READ_ONLY: [&str; 13] = [
    "status",
    "subscription",
    "maximumNumberOfWorkers",
    "numberOfWorkers",
    "currentNumberOfWorkers",
    "numberOfSites",
    "resourceGroup",
    "provisioningState",
    "geoRegion",
    "name",
    "serverFarmId",
    "reserved",
    "kubeEnvironmentProfile",
];

pub(super) fn accept(mut write: Write<'_>) -> Result<Resource, ArmError> {
    let name = write.id.name();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.len() > 60 || !name.chars().all(fits) {
        return Err(ArmError::bad_request(
            "name",
            format!("The plan name '{name}' has up to 60 letters, digits, hyphens and underscores."),
        ));
    }
    let mut plan = write.begin();
    write.place(&mut plan)?;
    let mut given = write.given.properties.take().unwrap_or_default();
    linux_only(&given, write.given.kind.as_deref())?;
    let old = plan.sku.clone();
    plan.sku = Some(sku(write.given.sku.take(), old, write.around.max_instances())?);
    for field in READ_ONLY {
        take(&mut given, field);
    }
    overlay(
        &mut plan.properties,
        given,
        &["perSiteScaling", "elasticScaleEnabled", "zoneRedundant", "maximumElasticWorkerCount"],
    );
    plan.kind = Some("linux".to_owned());
    Ok(plan)
}

fn linux_only(given: &Map<String, Value>, kind: Option<&str>) -> Result<(), ArmError> {
    let fields = Fields::new(given, "properties");
    let refuse = |field: &str| {
        Err(ArmError::bad_request(
            format!("properties.{field}"),
            "Pillion runs Linux containers: set properties.reserved to true and leave isXenon and hyperV false.",
        ))
    };
    let says_linux = kind.is_some_and(|kind| kind.to_ascii_lowercase().contains("linux"));
    if fields.flag("reserved")? == Some(false) && !says_linux {
        return refuse("reserved");
    }
    for field in ["isXenon", "hyperV"] {
        if fields.flag(field)? == Some(true) {
            return refuse(field);
        }
    }
    Ok(())
}

/// Writes size and capacity over what is there, in Azure's spelling.
fn sku(given: Option<Map<String, Value>>, old: Option<Value>, max: u32) -> Result<Value, ArmError> {
    let (old_name, old_capacity) = match &old {
        Some(old) => (old["name"].as_str().map(str::to_owned), old["capacity"].as_i64()),
        None => (None, None),
    };
    let given = given.unwrap_or_default();
    let fields = Fields::new(&given, "sku");
    let asked = match (fields.text("name")?, fields.text("size")?) {
        (Some(name), _) | (None, Some(name)) => Some(name),
        (None, None) => None,
    };
    let asked = asked.or(old_name).unwrap_or_else(|| "P1v3".to_owned());
    // `P1` of tier `PremiumV3` is how old templates write P1v3.
    let tier = fields.text("tier")?.unwrap_or_default().to_ascii_lowercase();
    let versioned = tier.strip_prefix("premiumv").map(|version| format!("{asked}v{version}"));
    let known = |name: &str| SIZES.iter().find(|size| size.name.eq_ignore_ascii_case(name));
    let exact = known(&asked).filter(|size| tier.is_empty() || size.tier.eq_ignore_ascii_case(&tier));
    let found = exact.or_else(|| known(versioned.as_deref()?)).or_else(|| known(&asked));
    let Some(size) = found else {
        let names: Vec<&str> = SIZES.iter().map(|size| size.name).collect();
        return Err(ArmError::bad_request(
            "sku.name",
            format!("The pricing tier '{asked}' is not available. Known are {}.", names.join(", ")),
        ));
    };
    let most = size.instances.min(max).max(1);
    let capacity = match fields.number("capacity", i64::MIN, i64::MAX)? {
        // App Service reads a capacity of 0 as not given.
        None | Some(0) => old_capacity.unwrap_or(1).clamp(1, i64::from(most)),
        Some(asked) if (1..=i64::from(most)).contains(&asked) => asked,
        Some(asked) => {
            return Err(ArmError::bad_request(
                "sku.capacity",
                format!("A plan of {} has 1 to {most} instances here; {asked} were asked for.", size.name),
            ));
        }
    };
    let family: String = size.name.chars().filter(|c| !c.is_ascii_digit()).collect();
    let family = if size.name.len() > 2 { size.name.replacen(|c: char| c.is_ascii_digit(), "", 1) } else { family };
    Ok(json!({ "name": size.name, "tier": size.tier, "size": size.name, "family": family, "capacity": capacity }))
}
