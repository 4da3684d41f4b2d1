//! The control plane's routes in the gateway's words.

use std::time::Duration;

use pillion_control::{RouteState, Routes};
use pillion_gateway::protocol::{AppRoute, AppState, InstanceRoute, RouteTable, ShareRoute, SiteRoute};

/// Requests wait this long for a first instance: as long as a revision has to become ready.
const HOLD: Duration = Duration::from_secs(230);

/// Translates; `generation` is the gateway's count.
pub fn of(routes: &Routes, generation: u64) -> RouteTable {
    let apps = routes.apps.iter().map(|route| AppRoute {
        app: route.app.to_string(),
        hosts: route.hosts.clone(),
        state: match &route.state {
            RouteState::Serving => AppState::Serving { hold_ms: HOLD.as_millis() as u64 },
            RouteState::Down { reason, hint } => AppState::Down { reason: reason.clone(), hint: hint.clone() },
            RouteState::Stopped => AppState::Stopped,
        },
        instances: route
            .instances
            .iter()
            .map(|instance| InstanceRoute {
                instance: instance.instance.to_string(),
                gate: instance.gate.clone(),
                port: instance.port,
                draining: instance.draining,
            })
            .collect(),
        site: route.site.as_ref().map(|site| SiteRoute {
            affinity: site.affinity,
            https_only: site.https_only,
            access: site.access.clone(),
            cors: site.cors.clone(),
            shares: site
                .shares
                .iter()
                .map(|share| ShareRoute { slot: share.slot.clone(), app: share.app.to_string(), share: share.share })
                .collect(),
        }),
    });
    RouteTable { generation, apps: apps.collect() }
}

#[cfg(test)]
mod tests {
    use pillion_control::{AppRoute, Share, SiteFront};
    use pillion_model::{Access, AccessRules, Cors};

    use super::*;

    #[test]
    fn what_holds_for_a_site_goes_along() {
        let share = Share { slot: "blue".into(), app: "shop--blue".parse().unwrap(), share: 1_000 };
        let access = AccessRules { rules: Vec::new(), others: Access::Deny };
        let cors = Some(Cors { origins: vec!["https://shop.example".to_owned()], credentials: true });
        let (access_of_route, cors_of_route) = (access.clone(), cors.clone());
        let site = SiteFront { affinity: false, https_only: true, access, cors, shares: vec![share] };
        let app = AppRoute {
            app: "shop".parse().unwrap(),
            hosts: Vec::new(),
            port: 0,
            state: RouteState::Stopped,
            instances: Vec::new(),
            site: Some(site),
        };
        let table = of(&Routes { generation: 7, apps: vec![app] }, 2);
        let share = ShareRoute { slot: "blue".into(), app: "shop--blue".into(), share: 1_000 };
        assert_eq!(table.generation, 2);
        let (access, cors) = (access_of_route, cors_of_route);
        assert_eq!(table.apps[0].site, Some(SiteRoute { affinity: false, https_only: true, access, cors, shares: vec![share] }));
    }
}
