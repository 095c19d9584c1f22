//! One-to-one messages between pairs of users who are online.

use std::slice::ChunksExactMut;

use futures::future::join_all;

use super::Client;
use crate::raw::is_refusal;

/// Each pair's first sends, the second reads; returns when all is read.
pub(super) async fn run(pairs: ChunksExactMut<'_, Client>, messages: usize, window: usize) {
    join_all(pairs.map(|pair| {
        let [sender, recipient] = pair else { unreachable!("chunks of two") };
        exchange(sender, recipient, messages, window)
    }))
    .await;
}

async fn exchange(sender: &mut Client, recipient: &mut Client, messages: usize, window: usize) {
    let (mut sent, mut received) = (0, 0);
    while received < messages {
        let due = (received + window).min(messages);
        for number in sent..due {
            let body = format!("message {number} of an ordinary length, as people write them");
            let frame = format!(
                "<message xmlns='jabber:client' type='chat' id='c{number}' to='{}'><body>{body}</body></message>",
                recipient.jid
            );
            sender.raw.feed(&frame).await;
        }
        if due > sent {
            sender.raw.flush().await;
            sent = due;
        }
        tokio::select! {
            text = recipient.raw.text() => {
                assert!(!is_refusal(&text), "a recipient gets {text}");
                received += usize::from(text.contains("<body>"));
            }
            text = sender.raw.text() => assert!(!is_refusal(&text), "a message is refused: {text}"),
        }
    }
}
