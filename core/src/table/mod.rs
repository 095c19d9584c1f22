//! The one DynamoDB table: keys `pk` and `sk`, both strings.
//!
//! Reads are consistent; writes that must not lose a race carry a condition. What DynamoDB leaves undone
//! of a batch, or of many changes at once, is asked for again, with growing pauses.

mod error;
mod item;

use std::{borrow::Cow, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    config::Builder,
    error::SdkError,
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{
        AttributeValue, KeysAndAttributes, PutRequest, ReturnValue, ReturnValuesOnConditionCheckFailure, WriteRequest,
    },
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::aws::retries_of_its_own;

pub use self::error::TableError;
pub(crate) use self::item::{Attributes, Item, Key, bytes, number, text};

/// Most keys of one `BatchGetItem`: DynamoDB's limit.
const MAX_BATCH_GET: usize = 100;
/// Most items of one `BatchWriteItem`: DynamoDB's limit; with the largest items they stay under its 16 MB.
const MAX_BATCH_WRITE: usize = 25;
/// Requests of one operation that are in flight together: a room of thousands must not open as many connections.
pub(crate) const CONCURRENCY: usize = 32;
/// How often what was throttled is asked for, and the first pause before that, which doubles: 3.2 s in all, within the
/// time of an event.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// The table.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

/// A conditional change of one item.
#[derive(Debug)]
pub(crate) struct Update {
    /// The item that is changed.
    pub(crate) key: Key,
    /// The change (`UpdateExpression`).
    pub(crate) change: &'static str,
    /// What has to hold (`ConditionExpression`).
    pub(crate) condition: Cow<'static, str>,
    /// What the names in both stand for.
    pub(crate) values: Vec<(&'static str, AttributeValue)>,
}

impl Table {
    /// The table `name`, reached as `config` says.
    #[must_use]
    pub fn new(config: &SdkConfig, name: &str) -> Self {
        let config = Builder::from(config).retry_partition(retries_of_its_own()).build();
        Self { client: Client::from_conf(config), name: name.to_owned() }
    }

    fn failed<E>(&self, error: &SdkError<E>) -> TableError
    where
        E: std::error::Error + aws_sdk_dynamodb::error::ProvideErrorMetadata + 'static,
    {
        TableError::of_call(&self.name, error)
    }

    /// The item with `key`.
    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key.attributes()));
        let answer = request.consistent_read(true).send().await.map_err(|error| self.failed(&error))?;
        Ok(answer.item.map(Item))
    }

    /// The items with `keys`, in any order; those that are there.
    pub(crate) async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        let batches = stream::iter(batches_of(keys, MAX_BATCH_GET)).map(|keys| self.get_batch(keys));
        let found: Vec<Vec<Item>> = batches.buffer_unordered(CONCURRENCY).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn get_batch(&self, keys: Vec<Key>) -> Result<Vec<Item>, TableError> {
        let mut left: Vec<Attributes> = keys.iter().map(Key::attributes).collect();
        let mut found = Vec::with_capacity(left.len());
        // A batch also ends at 16 MB: as long as it goes on, it is not throttled.
        let mut tries = 0;
        while !left.is_empty() {
            pause(tries).await;
            let asked = left.len();
            let keys = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true).build();
            let keys = keys.expect("the keys are set");
            let answer = self.client.batch_get_item().request_items(&self.name, keys).send().await;
            let answer = answer.map_err(|error| self.failed(&error))?;
            found.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items).map(Item));
            left = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, keys)| keys.keys).collect();
            tries = if left.len() < asked { 0 } else { tries + 1 };
            if tries == TRIES {
                return Err(TableError::unprocessed(&self.name));
            }
        }
        Ok(found)
    }

    /// All items of the partition `pk`, or those up to the sort key `last`, in order.
    pub(crate) async fn query(&self, pk: &str, last: Option<&str>) -> Result<Vec<Item>, TableError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let condition = if last.is_some() { "pk = :pk AND sk <= :last" } else { "pk = :pk" };
            let request = self.client.query().table_name(&self.name).consistent_read(true);
            let mut request = request.key_condition_expression(condition).expression_attribute_values(":pk", text(pk));
            if let Some(last) = last {
                request = request.expression_attribute_values(":last", text(last));
            }
            let answer = request.set_exclusive_start_key(after).send().await.map_err(|error| self.failed(&error))?;
            found.extend(answer.items.into_iter().flatten().map(Item));
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// A page of the partitions' keys behind `after` in the table's own order, neighbours that are equal
    /// left out; and whether there is more. Costs what a page of 1 MB costs, whatever is in it.
    pub(crate) async fn partitions(&self, after: Option<&Key>) -> Result<(Vec<String>, Option<Key>), TableError> {
        let request = self.client.scan().table_name(&self.name).projection_expression("pk");
        let request = request.consistent_read(true).set_exclusive_start_key(after.map(Key::attributes));
        let answer = request.send().await.map_err(|error| self.failed(&error))?;
        let mut found = Vec::new();
        for mut item in answer.items.into_iter().flatten() {
            match item.remove("pk") {
                Some(AttributeValue::S(pk)) if found.last() != Some(&pk) => found.push(pk),
                _ => {}
            }
        }
        Ok((found, answer.last_evaluated_key.map(|key| Item(key).key()).transpose()?))
    }

    /// Puts an item unless there is one with its key; whether it did.
    pub(crate) async fn put_new(&self, item: Attributes) -> Result<bool, TableError> {
        let request = self.client.put_item().table_name(&self.name).set_item(Some(item));
        match request.condition_expression("attribute_not_exists(pk)").send().await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Puts items, whether there are such or not. Some may be written when it fails.
    pub(crate) async fn put_many(&self, items: Vec<Attributes>) -> Result<(), TableError> {
        let put = |item| {
            let put = PutRequest::builder().set_item(Some(item)).build().expect("the item is set");
            WriteRequest::builder().put_request(put).build()
        };
        let requests: Vec<WriteRequest> = items.into_iter().map(put).collect();
        let batches = stream::iter(batches_of(&requests, MAX_BATCH_WRITE)).map(|batch| self.put_batch(batch));
        batches.buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn put_batch(&self, mut left: Vec<WriteRequest>) -> Result<(), TableError> {
        for tries in 0..TRIES {
            pause(tries).await;
            let answer = self.client.batch_write_item().request_items(&self.name, left).send().await;
            let answer = answer.map_err(|error| self.failed(&error))?;
            left = answer.unprocessed_items.into_iter().flatten().flat_map(|(_, requests)| requests).collect();
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(TableError::unprocessed(&self.name))
    }

    /// Changes an item if its condition holds; whether it did. An item that is not there is made, if the
    /// condition holds for one without attributes.
    pub(crate) async fn update(&self, update: &Update) -> Result<bool, TableError> {
        match self.update_item(update).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The same, again and again while it is throttled; also what the item is then, at no cost: after the change, or as it
    /// is if the condition did not hold. The latter may be missing though there is an item (dynalite does not know it).
    pub(crate) async fn update_returning(&self, update: &Update) -> Result<(bool, Option<Item>), TableError> {
        let mut tries = 0;
        loop {
            pause(tries).await;
            tries += 1;
            let request = self.update_item(update).return_values(ReturnValue::AllNew);
            let as_it_is = ReturnValuesOnConditionCheckFailure::AllOld;
            match request.return_values_on_condition_check_failure(as_it_is).send().await {
                Ok(answer) => return Ok((true, answer.attributes.map(Item))),
                Err(error) if is_refused(&error) => return Ok((false, refused_item(error).map(Item))),
                Err(error) => {
                    let error = self.failed(&error);
                    if !error.is_throttling() || tries == TRIES {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn update_item(&self, update: &Update) -> UpdateItemFluentBuilder {
        let request = self.client.update_item().table_name(&self.name).set_key(Some(update.key.attributes()));
        let mut request = request.update_expression(update.change).condition_expression(&*update.condition);
        for (name, value) in &update.values {
            request = request.expression_attribute_values(*name, value.clone());
        }
        request
    }

    /// Makes all `updates` whose conditions hold, a bounded number of them at a time. Those of one room are in one
    /// partition, which takes a thousand a second: of more some are throttled, beyond what the SDK's own retries bear.
    pub(crate) async fn update_all(&self, updates: Vec<Update>) -> Result<(), TableError> {
        let update = async |update: Update| self.update_returning(&update).await.map(drop);
        stream::iter(updates).map(update).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// Deletes an item if `condition` holds, whatever the names in it stand for; what the item was, if it did.
    pub(crate) async fn delete_if(
        &self,
        key: &Key,
        condition: &str,
        values: Vec<(&'static str, AttributeValue)>,
    ) -> Result<Option<Item>, TableError> {
        let request = self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
        let mut request = request.condition_expression(condition).return_values(ReturnValue::AllOld);
        for (name, value) in values {
            request = request.expression_attribute_values(name, value);
        }
        match request.send().await {
            Ok(answer) => Ok(answer.attributes.map(Item)),
            Err(error) if is_refused(&error) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Deletes an item if its attribute `written` is still what it was; whether it did.
    pub(crate) async fn delete_unchanged(&self, key: &Key, written: u64) -> Result<bool, TableError> {
        let request = self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
        let request = request.condition_expression("written = :written");
        match request.expression_attribute_values(":written", number(written)).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }
}

fn batches_of<T: Clone>(all: &[T], max: usize) -> Vec<Vec<T>> {
    all.chunks(max).map(<[T]>::to_vec).collect()
}

async fn pause(tries: u32) {
    if tries > 0 {
        tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(tries - 1)).await;
    }
}

/// The item for which a change's condition did not hold.
fn refused_item(error: SdkError<UpdateItemError>) -> Option<Attributes> {
    match error.into_service_error() {
        UpdateItemError::ConditionalCheckFailedException(refusal) => refusal.item,
        _ => None,
    }
}

/// Whether the condition did not hold.
fn is_refused<E>(error: &SdkError<E>) -> bool
where
    E: aws_sdk_dynamodb::error::ProvideErrorMetadata,
{
    aws_sdk_dynamodb::error::ProvideErrorMetadata::code(error) == Some("ConditionalCheckFailedException")
}

#[cfg(test)]
mod tests;
