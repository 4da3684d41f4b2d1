//! The services of App Service on the real store and control plane.

mod deployment;
