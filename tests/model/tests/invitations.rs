//! In every small case, whatever the interleaving and wherever handlers crash, a member finds an invitation of their last spell,
//! and nobody else finds any; and no part of what makes it so can be left out.

use sippo_xmpp_rooms_model::{
    history::{Event, words},
    invitations::{INVITES, IS_DONE, Invitations, TAKES_BACK, Without},
};
use stateright::{Checker, HasDiscoveries, Model};

const ALPHABET: [Event; 3] = [Event::Create { participants: 1, owner: 0 }, Event::Join(1), Event::Leave(1)];

fn counterexample(model: Invitations, property: &'static str) -> Option<String> {
    let until = HasDiscoveries::AnyOf([property].into());
    let checker = model.checker().finish_when(until).threads(2).spawn_bfs().join();
    let path = checker.discovery(property)?;
    let first = path.clone().into_states().swap_remove(0);
    Some(format!("{:?}: {:?}", checker.model().history(&first), path.into_actions()))
}

#[test]
fn members_have_their_invitations_and_nobody_else_has() {
    let checker = Invitations::new(words(&ALPHABET, 3), 2, Without::Nothing).checker().threads(2).spawn_bfs().join();
    assert!(checker.discovery(IS_DONE).is_some(), "no run ends");
    assert!(checker.unique_state_count() > 100_000, "{} states are not all there are", checker.unique_state_count());
    for property in [INVITES, TAKES_BACK] {
        let found = counterexample(Invitations::new(words(&ALPHABET, 3), 2, Without::Nothing), property);
        assert_eq!(found, None, "not: {property}");
    }
}

#[test]
fn it_needs_revocations_to_say_what_ended_the_membership() {
    let model = Invitations::new(words(&ALPHABET, 2), 1, Without::EndInRevocations);
    assert!(counterexample(model, INVITES).is_some(), "it makes no difference");
}

#[test]
fn it_needs_late_invitations_to_be_dropped() {
    let model = Invitations::new(words(&ALPHABET, 2), 1, Without::Dropping);
    assert!(counterexample(model, TAKES_BACK).is_some(), "it makes no difference");
}
