//! A room (XEP-0045) whose occupants read what some of them say.

use futures::future::join_all;

use super::Client;
use crate::raw::is_refusal;

/// Enters a room one after the other; what this tells the others is read by the first talk.
pub(super) async fn join(occupants: &mut [Client], room: &str) {
    for client in occupants {
        let presence = format!(
            "<presence xmlns='jabber:client' to='{room}/{}'><x xmlns='http://jabber.org/protocol/muc'>\
             <history maxstanzas='0'/></x></presence>",
            client.localpart()
        );
        client.raw.send(&presence).await;
        client.raw.until("code='110'").await; // its own presence, which comes last
    }
}

/// What is said in a room.
pub(super) struct Talk<'command> {
    pub(super) room: &'command str,
    pub(super) speakers: usize,
    /// Of each speaker's.
    pub(super) messages: usize,
    /// How many a speaker has in flight: sent, and not come back.
    pub(super) window: usize,
}

impl Talk<'_> {
    /// Returns when everybody has read everything.
    pub(super) async fn run(&self, occupants: &mut [Client]) {
        join_all(occupants.iter_mut().enumerate().map(|(place, client)| self.take_part(place, client))).await;
    }

    async fn take_part(&self, place: usize, client: &mut Client) {
        let own = if place < self.speakers { self.messages } else { 0 };
        let mark = format!("<body>{place}: ");
        let (mut sent, mut returned, mut read) = (0, 0, 0);
        while read < self.speakers * self.messages {
            while sent < own.min(returned + self.window) {
                let body = format!("{place}: message {sent} of an ordinary length, as people write them");
                let frame = format!(
                    "<message xmlns='jabber:client' type='groupchat' id='g{sent}' to='{}'><body>{body}</body></message>",
                    self.room
                );
                client.raw.send(&frame).await;
                sent += 1;
            }
            let text = client.raw.text().await;
            assert!(!is_refusal(&text), "a message to {} is refused: {text}", self.room);
            read += usize::from(text.contains("<body>"));
            returned += usize::from(text.contains(&mark));
        }
    }
}
