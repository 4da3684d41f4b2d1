//! Which part answers: by the kind of resource that the path begins with.

use axum::http::Method;
use pillion_arm::{ArmError, ResourceKind};

use super::{Answer, Arm, Call, deployments, group, provider, resource, site, subscription};

pub(crate) async fn dispatch(arm: &Arm, call: &Call) -> Result<Answer, ArmError> {
    if !matches!(call.method, Method::GET | Method::HEAD | Method::PUT | Method::PATCH | Method::POST | Method::DELETE) {
        return Err(call.method_not_allowed());
    }
    if let Some(answered) = deployments::answer(arm, call).await {
        return answered;
    }
    let Some(id) = &call.id else { return provider::at_tenant(arm, call) };
    match id.kind() {
        ResourceKind::Subscription => subscription::answer(arm, call, id).await,
        ResourceKind::Group => group::answer(arm, call, id).await,
        ResourceKind::Site | ResourceKind::Slot => site::answer(arm, call, id).await,
        ResourceKind::Plan
        | ResourceKind::SiteConfig(_)
        | ResourceKind::SiteContainer
        | ResourceKind::PublishingPolicy
        | ResourceKind::UserIdentity
        | ResourceKind::Autoscale => resource::answer(arm, call, id).await,
        ResourceKind::Deployment => Err(call.no_such_path()),
        ResourceKind::Unknown(kind) => site::beside(arm, call, id, &kind).await,
    }
}
