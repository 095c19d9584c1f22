//! In every small case, whatever the interleaving and wherever the server crashes, a bookmark ends as its room is; and no part
//! of what makes it so can be left out.

use sippo_xmpp_rooms_model::bookmarks::{AGREES, Bookmarks, IS_DONE, Without};
use stateright::{Checker, HasDiscoveries, Model};

fn counterexample(without: Without) -> Option<String> {
    let model = Bookmarks { requests: 3, crashes: 2, without };
    let until = HasDiscoveries::AnyOf([AGREES].into());
    let checker = model.checker().finish_when(until).threads(2).spawn_bfs().join();
    let path = checker.discovery(AGREES)?;
    let first = path.clone().into_states().swap_remove(0);
    Some(format!("{:?}: {:?}", first.changes(), path.into_actions()))
}

#[test]
fn a_bookmark_ends_as_its_room_is() {
    let checker = Bookmarks { requests: 3, crashes: 2, without: Without::Nothing }.checker().spawn_bfs().join();
    assert!(checker.discovery(IS_DONE).is_some(), "no run ends");
    assert!(checker.unique_state_count() > 10_000, "{} states are not all there are", checker.unique_state_count());
    assert_eq!(counterexample(Without::Nothing), None);
}

#[test]
fn it_needs_all_of_its_parts() {
    for without in
        [Without::Looking, Without::Waiting, Without::Before, Without::List, Without::StoredList, Without::Once]
    {
        assert!(counterexample(without).is_some(), "it makes no difference without {without:?}");
    }
}
