use std::time::SystemTime;

use super::*;
use crate::{events::Version, ledger::RoomKind};

fn at(counter: u64) -> Ordinal {
    Ordinal::new(Version { epoch: 1, counter }, "e")
}

fn user(name: &str) -> UserJid {
    UserJid::of_username(name, "example.test").unwrap()
}

fn users(names: &str) -> BTreeSet<UserJid> {
    names.split_whitespace().map(user).collect()
}

fn create(counter: u64, owner: &str, participants: &str) -> RoomEvent {
    let owner = (!owner.is_empty()).then(|| user(owner));
    event(counter, RoomChange::Created { name: None, owner, participants: users(participants) })
}

fn event(counter: u64, change: RoomChange) -> RoomEvent {
    RoomEvent { at: at(counter), kind: RoomKind::UsersGroup, change }
}

fn join(counter: u64, name: &str) -> RoomEvent {
    event(counter, RoomChange::Joined(users(name)))
}

fn leave(counter: u64, name: &str) -> RoomEvent {
    event(counter, RoomChange::Left(users(name)))
}

fn destroy(counter: u64) -> RoomEvent {
    event(counter, RoomChange::Destroyed)
}

fn state(events: &[RoomEvent]) -> RoomState {
    let mut state = RoomState::default();
    for event in events {
        state.apply_event(event);
    }
    state
}

const MEMBER: Membership = Membership::In(Grant::AtLeastMember);

#[test]
fn a_room_exists_if_it_was_created_since_it_ended() {
    assert_eq!(state(&[]).room(), None);
    assert_eq!(state(&[destroy(1)]).room(), None);
    assert_eq!(state(&[create(2, "", ""), destroy(1)]).room().unwrap().life, at(2));
    assert_eq!(state(&[create(1, "", ""), destroy(2)]).room(), None);
    let mut of_deleted_domain = state(&[create(1, "", "a")]);
    of_deleted_domain.domain_deleted = Some(at(2));
    assert_eq!(of_deleted_domain.room(), None);
}

#[test]
fn a_repeated_creation_adds_participants_takes_nobody_out_and_continues_the_life() {
    let state = state(&[create(1, "", "a"), create(3, "", "b")]);
    assert_eq!(state.room().unwrap().life, at(1));
    assert_eq!((state.membership(&user("a")), state.membership(&user("b"))), (MEMBER, MEMBER));
}

#[test]
fn the_newest_word_about_a_member_decides() {
    assert_eq!(state(&[create(1, "", "a"), leave(2, "a")]).membership(&user("a")), Membership::Out);
    assert_eq!(state(&[create(1, "", "a"), leave(2, "a"), join(3, "a")]).membership(&user("a")), MEMBER);
    assert_eq!(state(&[create(1, "", "a"), join(2, "a"), leave(3, "a")]).membership(&user("a")), Membership::Out);
    assert_eq!(state(&[leave(1, "a"), create(2, "", "a")]).membership(&user("a")), MEMBER);
}

#[test]
fn what_precedes_the_creation_counts_unless_a_destruction_lies_between() {
    assert_eq!(state(&[join(1, "a"), create(2, "", "")]).membership(&user("a")), MEMBER);
    assert_eq!(state(&[join(1, "a"), destroy(2), create(3, "", "")]).membership(&user("a")), Membership::Out);
}

#[test]
fn a_late_destruction_takes_out_who_belonged_only_to_the_earlier_life() {
    let state = state(&[create(1, "", "a b"), create(3, "", "b"), destroy(2)]);
    assert_eq!(state.room().unwrap().life, at(3));
    assert_eq!((state.membership(&user("a")), state.membership(&user("b"))), (Membership::Out, MEMBER));
    assert!(state.recorded().contains(&user("a")), "or nobody would revoke them");
}

#[test]
fn nothing_lowers_an_owner_but_the_end_of_her_ownership() {
    let owner = Membership::In(Grant::Owner);
    assert_eq!(state(&[create(1, "o", "o"), join(2, "o"), create(3, "", "o")]).membership(&user("o")), owner);
    let demoted = Membership::In(Grant::ExactlyMember);
    assert_eq!(state(&[create(1, "o", ""), leave(2, "o"), join(3, "o")]).membership(&user("o")), demoted);
    assert_eq!(state(&[create(1, "o", ""), destroy(2), create(3, "", "o")]).membership(&user("o")), demoted);
    assert_eq!(state(&[create(1, "o", ""), leave(2, "o"), create(3, "o", "")]).membership(&user("o")), owner);
}

#[test]
fn the_event_id_breaks_ties() {
    let mut left = leave(1, "a");
    left.at.event = "f".into();
    assert_eq!(state(&[create(1, "", ""), join(1, "a"), left.clone()]).membership(&user("a")), Membership::Out);
    left.at.event = "d".into();
    assert_eq!(state(&[create(1, "", ""), join(1, "a"), left]).membership(&user("a")), MEMBER);
}

#[test]
fn an_invitation_is_due_once_a_spell() {
    let mut state = state(&[create(1, "o", "a b"), join(2, "c")]);
    let due = |state: &RoomState| -> Vec<String> {
        state.invitations_due(&Scope::Whole).iter().map(|(user, _)| user.localpart().to_owned()).collect()
    };
    assert_eq!(due(&state), ["a", "b", "c"], "the owner is not invited unless they take part");
    state.creations.get_mut(&at(1)).unwrap().announced = Some(users("b"));
    assert_eq!(due(&state), ["b", "c"], "b was left out of the announcement");
    state.members.get_mut(&user("c")).unwrap().invited = Some(at(2));
    state.apply_event(&join(3, "a"));
    assert_eq!(due(&state), ["b"], "joining once more begins no new spell");
    state.apply_event(&leave(4, "c"));
    assert_eq!(due(&state), ["b"], "who left is not invited");
    state.apply_event(&join(5, "c"));
    assert_eq!(due(&state), ["b", "c"], "a new spell");
    state.apply_event(&destroy(6));
    assert!(due(&state).is_empty(), "nobody is invited to a room that should not be");
    state.apply_event(&create(7, "", "a"));
    assert_eq!(due(&state), ["a"], "a new life, a new spell");
}

#[test]
fn invitations_are_no_change_of_who_should_be_where() {
    let before = state(&[create(1, "", "a"), join(2, "b")]);
    let mut after = before.clone();
    after.members.entry(user("a")).or_default().claimed = Some(SystemTime::UNIX_EPOCH);
    after.members.get_mut(&user("b")).unwrap().invited = Some(at(2));
    after.creations.get_mut(&at(1)).unwrap().announced = Some(users(""));
    assert!(before.same_desired_state(&after));
    for change in [create(3, "", ""), join(3, "b"), leave(1, "b"), destroy(0)] {
        let mut changed = before.clone();
        changed.apply_event(&change);
        assert!(!before.same_desired_state(&changed), "{change:?}");
    }
}

#[test]
fn an_event_is_overtaken_when_a_newer_one_decides() {
    let all = [
        create(2, "", "a"),
        join(4, "b"),
        leave(5, "b"),
        leave(6, "c"),
        destroy(8),
        create(10, "", "a d"),
        join(12, "c"),
    ];
    let state = state(&all);
    let overtaken: Vec<bool> = all.iter().map(|event| state.has_overtaken(event)).collect();
    assert_eq!(overtaken, [true, true, true, true, true, false, false]);
    // Events that are recorded too, but late ones of the same members.
    assert!(state.has_overtaken(&leave(9, "d")), "the creation that lists them is newer");
    assert!(!state.has_overtaken(&leave(11, "d")));
    assert!(!state.has_overtaken(&join(9, "e")) && state.has_overtaken(&join(7, "e")), "only the end counts for them");
    assert!(!state.has_overtaken(&event(9, RoomChange::Joined(users("c e")))), "as long as one of them is not");
}
