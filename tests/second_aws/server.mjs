// SQS and DynamoDB a second time: fauxqs and dynalite behind one port of loopback, told apart as AWS's clients name them.
// node server.mjs PORT HEALTH_PATH

import { createServer } from "node:http"
import dynalite from "dynalite"
import { buildApp } from "fauxqs"
import { SqsStore } from "./node_modules/fauxqs/dist/sqs/sqsStore.js"

const [port, health] = process.argv.slice(2)
const table = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 })
const sqsStore = new SqsStore()
sqsStore.host = undefined // queues' URLs begin with the address that is called, as the stack's do
sqsStore.getQueue = url => sqsStore.getQueueByName(url.split("/").pop()) // a proxy in between has another address
const queues = buildApp({ logger: false, defaultRegion: "eu-west-1", stores: { sqsStore } })
await queues.ready()

createServer((request, response) => {
  const target = request.headers["x-amz-target"] ?? ""
  // dynalite wants a date, and does not look at it; nothing here lives long enough to expire.
  request.headers["x-amz-date"] ??= "20260101T000000Z"
  if (request.url === health || target.endsWith(".UpdateTimeToLive")) response.end("{}")
  else if (target.startsWith("DynamoDB")) table.emit("request", request, response)
  else queues.routing(request, response)
}).listen(Number(port), "127.0.0.1")

process.on("SIGTERM", () => process.exit(0))
