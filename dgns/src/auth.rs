//! Who asks: what a request or a sign-in proves of the one behind it. Never: decides what a certificate may do.

pub mod aliases;
pub mod notary;
pub mod oidc;
pub mod passkey;
pub mod request;
pub mod signin;
