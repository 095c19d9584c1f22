//! In every small case, whatever the interleaving, wherever movers die and whatever comes late, a tenant is on one cell with all
//! that was acknowledged; and no part of what makes it so can be left out.

use sippo_xmpp_rooms_model::moves::{
    CAN_END, IS_DONE, LEAVES_NOTHING, LOSES_NOTHING, Moves, ONE_SERVES, PARTS, PLACED_ONCE, READS_WHAT_STAYS, Without,
};
use stateright::{Checker, HasDiscoveries, Model};

const PROPERTIES: [&str; 6] = [ONE_SERVES, READS_WHAT_STAYS, LOSES_NOTHING, LEAVES_NOTHING, PLACED_ONCE, CAN_END];

fn moves(without: Without) -> Moves {
    Moves { moves: 2, returns: 1, troubles: 1, without }
}

#[test]
fn a_tenant_is_on_one_cell_with_all_that_was_acknowledged() {
    let checker = moves(Without::Nothing).checker().threads(2).spawn_bfs().join();
    assert!(checker.discovery(IS_DONE).is_some(), "no run ends");
    for property in PROPERTIES {
        let found = checker.discovery(property).map(stateright::Path::into_actions);
        assert_eq!(found, None, "not: {property}");
    }
    assert!(checker.unique_state_count() > 10_000, "{} states are not all there are", checker.unique_state_count());
    println!("{} states", checker.unique_state_count());
}

#[test]
fn it_needs_all_of_its_parts() {
    for without in PARTS {
        let until = HasDiscoveries::AnyOf(PROPERTIES.into());
        let checker = moves(without).checker().finish_when(until).threads(2).spawn_bfs().join();
        let found =
            PROPERTIES.into_iter().find_map(|property| Some((property, checker.discovery(property)?.into_actions())));
        println!("{without:?}: {found:?}");
        assert!(found.is_some(), "it makes no difference without {without:?}");
    }
}
