// A bridge from RabbitMQ to SQS as one writes it with amqplib and the AWS SDK: batches of 10 for each event type, a
// message is acknowledged when SQS has taken it. No stamp, no epoch, no fence: less work than ours does.

import amqp from "amqplib";
import { SendMessageBatchCommand, SQSClient } from "@aws-sdk/client-sqs";

const { AMQP_URL, QUEUE, QUEUE_PREFIX, FUNCTIONS, PREFETCH, AWS_ENDPOINT_URL_SQS } = process.env;
const functions = new Map(JSON.parse(FUNCTIONS));
const LINGER = 5;
const sqs = new SQSClient({ endpoint: AWS_ENDPOINT_URL_SQS });

const connection = await amqp.connect(AMQP_URL);
const channel = await connection.createChannel();
await channel.prefetch(Number(PREFETCH));
const open = new Map();
const sending = new Set();

async function send(url, batch) {
  const Entries = batch.map((message, index) => ({ Id: String(index), MessageBody: message.content.toString() }));
  let failed = new Set();
  try {
    const result = await sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries }));
    failed = new Set((result.Failed ?? []).map((entry) => Number(entry.Id)));
  } catch (error) {
    console.error(error);
    failed = new Set(batch.keys());
  }
  batch.forEach((message, index) => failed.has(index) ? channel.nack(message) : channel.ack(message));
}

function flush(url) {
  const { batch, timer } = open.get(url);
  clearTimeout(timer);
  open.delete(url);
  const done = send(url, batch).finally(() => sending.delete(done));
  sending.add(done);
}

await channel.consume(QUEUE, (message) => {
  const url = QUEUE_PREFIX + functions.get(message.fields.routingKey);
  let group = open.get(url);
  if (!group) {
    group = { batch: [], timer: setTimeout(flush, LINGER, url) };
    open.set(url, group);
  }
  group.batch.push(message);
  if (group.batch.length === 10) flush(url);
});

process.on("SIGTERM", async () => {
  for (const url of [...open.keys()]) flush(url);
  while (sending.size > 0) await Promise.all(sending);
  await channel.close();
  await connection.close();
  process.exit(0);
});
