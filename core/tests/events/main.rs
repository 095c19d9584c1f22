//! Events from the outside: the samples in `events/`, and what nobody would publish on purpose.

mod cases;
mod samples;

use sippo_xmpp_core::address::{Tenancy, UserJid};

fn tenancy() -> Tenancy {
    Tenancy::new(UserJid::canonical("sippo@sippo-admin.internal").unwrap())
}
