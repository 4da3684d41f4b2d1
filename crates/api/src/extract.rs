//! Extractors that refuse in the API's own words: JSON bodies, queries, path names.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use pillion_model::AppName;
use serde::de::DeserializeOwned;

use crate::{Services, failure::Failure};

/// A JSON body.
pub struct Body<T>(pub T);

/// A query.
pub struct Query<T>(pub T);

/// Names in the path.
pub struct Path<T>(pub T);

/// The app that a path names by its public name. After a swap another app stands behind that.
pub struct Behind {
    pub app: AppName,
    pub public: AppName,
}

impl FromRequestParts<Services> for Behind {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Failure> {
        let Path(public) = Path::<AppName>::from_request_parts(parts, services).await?;
        let app = services.control.resolve(&public).await?;
        Ok(Behind { app, public })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let axum::Json(value) = axum::Json::<T>::from_request(request, state).await?;
        Ok(Body(value))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let axum::extract::Query(value) = axum::extract::Query::<T>::from_request_parts(parts, state).await?;
        Ok(Query(value))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let axum::extract::Path(value) = axum::extract::Path::<T>::from_request_parts(parts, state).await?;
        Ok(Path(value))
    }
}
