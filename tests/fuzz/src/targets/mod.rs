//! The targets.

mod access_token;
mod address;
mod config;
mod event;
mod framing;
mod gateway;
mod key_set;
mod layout;
mod ledger;
mod lives;
mod login_token;
mod route;
mod sending;
mod stamped;
mod telemetry;

use crate::Target;

macro_rules! targets {
    ($($name:ident)*) => { &[$(Target { name: stringify!($name), run: $name::run }),*] };
}

/// All targets.
pub const ALL: &[Target] = targets! {
    access_token address config event framing gateway key_set layout ledger lives login_token route sending stamped telemetry
};
