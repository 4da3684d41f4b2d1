//! Routes for principals, logins that wait for approval, the audit log, and where the TLS endpoint is.

use axum::{
    Json,
    extract::State,
    http::{Method, StatusCode},
    routing::{get, post},
};
use pillion_identity::{
    Caller, Grant, IdentityError, NewPrincipal, Principal, PrincipalError, PrincipalKind, Role, Scope, new_id,
};
use pillion_store::AuditRecord;
use serde::Deserialize;

use super::{Answer, Endpoint, Parameter};
use crate::{
    Failure, Services,
    extract::{Body, Query},
    wire::{ApproveLogin, AuditLine, CreatePrincipal, EndpointInfo, GrantView, PrincipalCreated, PrincipalView, RevokePrincipal},
};

/// Audit records in one answer, unless fewer were asked for.
const MOST_RECORDS: u32 = 1000;

/// Returns this file's routes.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            method: Method::GET,
            path: "/v1/principals",
            id: "listPrincipals",
            summary: "Lists who may log in, and who was revoked",
            parameters: &[],
            request: None,
            answer: Answer::Many("PrincipalView"),
            failures: &[],
            handler: get(list).post(create),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/principals",
            id: "createPrincipal",
            summary: "Makes a principal; its secret is shown this once",
            parameters: &[],
            request: Some("CreatePrincipal"),
            answer: Answer::One("PrincipalCreated"),
            failures: &[400, 409, 413],
            // One path has one handler for all its methods: the entry before this one brings it.
            handler: axum::routing::MethodRouter::new(),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/principals/revoke",
            id: "revokePrincipal",
            summary: "Revokes a principal: its secret, tokens and logins are worth nothing from now on",
            parameters: &[],
            request: Some("RevokePrincipal"),
            answer: Answer::One("PrincipalView"),
            failures: &[400, 404, 409, 413],
            handler: post(revoke),
        },
        Endpoint {
            method: Method::POST,
            path: "/v1/principals/approve",
            id: "approveLogin",
            summary: "Lets a login in that waits with a code",
            parameters: &[],
            request: Some("ApproveLogin"),
            answer: Answer::One("PrincipalView"),
            failures: &[400, 404, 413],
            handler: post(approve),
        },
        Endpoint {
            method: Method::GET,
            path: "/v1/audit",
            id: "audit",
            summary: "Tells who did what, newest first",
            parameters: &[
                Parameter {
                    name: "target",
                    place: "query",
                    kind: "string",
                    meaning: "only this resource id and what is below it",
                },
                Parameter { name: "before", place: "query", kind: "integer", meaning: "only records with serials below this" },
                Parameter { name: "sinceMs", place: "query", kind: "integer", meaning: "only records not older than this" },
                Parameter { name: "limit", place: "query", kind: "integer", meaning: "at most so many; 1000 where absent" },
            ],
            request: None,
            answer: Answer::Many("AuditLine"),
            failures: &[400],
            handler: get(audit),
        },
        Endpoint {
            method: Method::GET,
            path: "/v1/system/endpoint",
            id: "endpoint",
            summary: "Says where the TLS endpoint is and what to trust",
            parameters: &[],
            request: None,
            answer: Answer::One("EndpointInfo"),
            failures: &[503],
            handler: get(endpoint),
        },
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    #[serde(default)]
    target: String,
    before: Option<u64>,
    #[serde(default)]
    since_ms: u64,
    limit: Option<u32>,
}

async fn list(State(services): State<Services>) -> Json<Vec<PrincipalView>> {
    Json(services.identity.principals().into_iter().map(view).collect())
}

async fn create(State(services): State<Services>, Body(asked): Body<CreatePrincipal>) -> Result<Json<PrincipalCreated>, Failure> {
    let identity = &services.identity;
    let kind = match asked.kind.as_deref() {
        None | Some("service") => PrincipalKind::Service,
        Some("user") => PrincipalKind::User,
        Some(other) => {
            return Err(Failure::bad_request("KindInvalid", format!("`{other}` is no kind; there are `service` and `user`")));
        }
    };
    let role: Role = match asked.role {
        None => Role::Contributor,
        Some(role) => {
            role.parse().map_err(|error: pillion_identity::RoleError| Failure::bad_request("RoleInvalid", error.to_string()))?
        }
    };
    let whole = format!("/subscriptions/{}", identity.subscription());
    let scopes = if asked.scopes.is_empty() { vec![whole.clone()] } else { asked.scopes };
    let mut grants = Vec::new();
    for text in scopes {
        let scope: Scope = text
            .parse()
            .map_err(|error: pillion_identity::ScopeError| Failure::bad_request("ScopeInvalid", error.to_string()))?;
        if !Scope::of_path(&whole).covers(&scope) && scope != Scope::root() {
            let failure = Failure::bad_request("ScopeInvalid", format!("`{text}` is not below this server's subscription"));
            return Err(failure.hint(format!("begin it with {whole}")));
        }
        grants.push(Grant { role, scope });
    }
    let name = asked.name.unwrap_or_else(|| format!("principal-{}", &new_id()[..8]));
    let new = NewPrincipal { name, kind, password: asked.password, grants };
    let created = identity.create(&Caller::machine(), new).await.map_err(failure)?;
    Ok(Json(PrincipalCreated {
        principal: view(created.principal),
        password: created.secret,
        tenant: identity.tenant().to_owned(),
        subscription: identity.subscription().to_owned(),
    }))
}

async fn revoke(State(services): State<Services>, Body(asked): Body<RevokePrincipal>) -> Result<Json<PrincipalView>, Failure> {
    let revoked = services.identity.revoke(&Caller::machine(), &asked.principal).await;
    revoked.map(|principal| Json(view(principal))).map_err(failure)
}

async fn approve(State(services): State<Services>, Body(asked): Body<ApproveLogin>) -> Result<Json<PrincipalView>, Failure> {
    let approved = services.identity.approve(&Caller::machine(), &asked.code, &asked.principal).await;
    approved.map(|principal| Json(view(principal))).map_err(failure)
}

async fn audit(State(services): State<Services>, Query(wanted): Query<Wanted>) -> Result<Json<Vec<AuditLine>>, Failure> {
    let target = if wanted.target.is_empty() { String::new() } else { Scope::of_path(&wanted.target).as_str().to_owned() };
    let limit = wanted.limit.unwrap_or(MOST_RECORDS).min(MOST_RECORDS);
    // SQLite's integers are signed.
    let bounded = |number: u64| number.min(i64::MAX as u64);
    let records = services.identity.audit(&target, bounded(wanted.since_ms), wanted.before.map(bounded), limit).await;
    let records = records.map_err(|error| failure(error.into()))?;
    Ok(Json(records.into_iter().map(line).collect()))
}

async fn endpoint(State(services): State<Services>) -> Result<Json<EndpointInfo>, Failure> {
    services.system.endpoint().await.map(Json)
}

fn view(principal: Principal) -> PrincipalView {
    let kind = match principal.kind {
        PrincipalKind::Service => "service",
        PrincipalKind::User => "user",
    };
    let grants = principal.grants.into_iter();
    PrincipalView {
        app_id: principal.id,
        display_name: principal.name,
        kind: kind.to_owned(),
        grants: grants.map(|grant| GrantView { role: grant.role.to_string(), scope: grant.scope.to_string() }).collect(),
        created_ms: principal.created_ms,
        revoked_ms: principal.revoked_ms,
    }
}

fn line(record: AuditRecord) -> AuditLine {
    let entry = record.entry;
    AuditLine {
        serial: record.serial,
        at_ms: entry.at_ms,
        principal: entry.principal,
        caller: entry.caller,
        action: entry.action,
        target: entry.target,
        status: entry.status,
        correlation: entry.correlation,
        detail: entry.detail,
    }
}

fn failure(error: PrincipalError) -> Failure {
    let (status, code, hint) = match &error {
        PrincipalError::Name(_) => (StatusCode::BAD_REQUEST, "NameInvalid", None),
        PrincipalError::Password => (StatusCode::BAD_REQUEST, "PasswordInvalid", None),
        PrincipalError::ServicePassword => (StatusCode::BAD_REQUEST, "PasswordInvalid", Some("add `--user` to make a user")),
        PrincipalError::Taken(_) => {
            (StatusCode::CONFLICT, "PrincipalExists", Some("choose another name, or revoke the one there is"))
        }
        PrincipalError::Revoked(_) => (StatusCode::CONFLICT, "PrincipalRevoked", None),
        PrincipalError::Unknown(_) => {
            (StatusCode::NOT_FOUND, "PrincipalNotFound", Some("`pillion principal list` shows those there are"))
        }
        PrincipalError::Code(_) => (StatusCode::NOT_FOUND, "CodeNotFound", Some("begin the login again and use the new code")),
        PrincipalError::Identity(source) => return internal(source),
    };
    let failure = Failure::new(status, code, error.to_string());
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn internal(error: &IdentityError) -> Failure {
    tracing::error!(error = error as &dyn std::error::Error, "identities could not be read or written");
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "IdentityFailed", "the server's identities could not be read or written")
        .hint("the server's log says why")
}
